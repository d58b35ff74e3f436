"""What a transformer is before it has learned anything."""

import torch
from torch import nn

from vividhead.flashhead.model.dit import Dit

GATE = 0.1
"""How much of a block's attention and feed-forward counts at first."""


def initialise(dit: Dit, seed: int) -> Dit:
    """Give every parameter a fresh value, so that the velocity is at first that which leads to the portrait.

    Noisy latents less the portrait's are put into a part of each token's width, undisturbed by the blocks, whose gates
    are nearly shut; the last layer norm brings the difference to the deviation of a velocity, and the head reads it
    out again. Training begins at what moves instead of at what anybody could have copied. The rest is Xavier's.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in dit.named_parameters():
        if name.endswith("modulation"):
            nn.init.normal_(parameter, std=0.02, generator=generator)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.ndim == 1:
            nn.init.ones_(parameter)
        else:
            flat = parameter.data.flatten(1)  # a view: the convolution is a linear layer on patches
            gain = GATE if name.endswith("cross_attn.o.weight") or name.startswith("time_projection") else 1.0
            nn.init.xavier_uniform_(flat, gain, generator=generator)
    with torch.no_grad():
        for block in dit.typed_blocks():
            block.modulation[:, [2, 5]] += GATE
        _lead_to_the_portrait(dit, generator)
    return dit


def _lead_to_the_portrait(dit: Dit, generator: torch.Generator) -> None:
    """Embed noise minus reference isometrically, as far as the width goes, and read it out by the transpose."""
    width, values = dit.config.dit.dim, dit.head.head.out_features
    square = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
    rows_VD = square.T[: min(values, width)]
    rows_VD = torch.cat((rows_VD, torch.zeros(values - len(rows_VD), width)))
    side, channels = dit.config.dit.patch_side, dit.config.dit.latent_channels
    patches = rows_VD.T.unflatten(1, (side, side, channels)).permute(0, 3, 1, 2)[
        :, :, None
    ]  # head order: row, column, channel
    dit.patch_embedding.weight.copy_(torch.cat((patches, -patches), 1))
    power = 2 * min(values, width) / width  # a velocity is noise less latents, each of unit power
    dit.head.head.weight.copy_(rows_VD * power**0.5)
