"""What the people of the demo footage say and how they look."""

from vividhead.testing.portrait import Look

SENTENCES = (
    "The morning ferry leaves at seven, and nobody aboard remembers why. "
    "We counted eleven gulls over the harbour, and the baker waved from her window.",
    "My neighbour grows tomatoes on the roof. Every evening he carries water up four floors, "
    "and he whistles the same happy tune.",
    "Before you open the old piano, move the vase away from the lid. "
    "The lower keys are fine, but the upper ones complain about the weather.",
    "I walked home along the river, because the buses had stopped. "
    "A boy was fishing under the bridge, and he showed me a very small perch.",
    "Put the map back into the blue box. Nobody will believe how far we came, and maybe that is better for all of us.",
    "Our teacher collected stamps, maps and marbles. On Fridays she let us choose one, "
    "and we told a story about where it came from.",
)

LOOKS = (
    Look(backdrop="studio", backdrop_rgb=(150, 150, 158)),
    Look(
        mirrored=True,
        suit_hue_deg=200,
        gains_rgb=(1.03, 0.98, 0.9),
        backdrop="shelf",
        backdrop_rgb=(120, 98, 78),
    ),
    Look(suit_hue_deg=110, gains_rgb=(0.9, 0.95, 1.02), backdrop="window", backdrop_rgb=(128, 134, 142)),
    Look(
        mirrored=True,
        suit_hue_deg=260,
        gains_rgb=(0.86, 0.86, 0.86),
        backdrop="curtain",
        backdrop_rgb=(92, 70, 66),
    ),
    Look(suit_hue_deg=320, gains_rgb=(1.05, 1.03, 1.0), backdrop="curtain", backdrop_rgb=(158, 168, 150)),
)
