"""Ways to spoil a good clip by a known amount, one file a kind: pure functions on pictures and sound."""

from vividhead.calibrate.perturbations import cover, focus, hearing, light, montage, people, timing
from vividhead.calibrate.perturbations.family import MARGIN_FRAMES, Family, Scene, Truth

FAMILIES: tuple[Family, ...] = (
    *timing.FAMILIES, *hearing.FAMILIES, *focus.FAMILIES, *light.FAMILIES, *people.FAMILIES, *cover.FAMILIES,
    *montage.FAMILIES,
)  # fmt: skip

__all__ = ["FAMILIES", "MARGIN_FRAMES", "Family", "Scene", "Truth"]
