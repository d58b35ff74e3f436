"""What a model is before it has learned anything."""

import math

import torch
from torch import Tensor, nn

from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.rope import ROPE_BASE, axis_widths

GATE = 0.1
"""How much of a block's attention and feed-forward counts at first, where the portrait leads."""
CROSS_GAIN = 0.5
"""Of the audio's way into a model that begins with little but its prior."""
HEAD_GAIN = 0.1
"""Of what such a model says at first."""
PLACED_BLOCKS = 2
CERTAINTY = 3.0
"""Of the attention by place, against that by content."""
SHARPNESS = 1.5
"""Scale of queries and keys where attention goes by place."""
PLACED_PAIRS = 2
"""Frequencies of each axis that tell the place; lower ones hardly change over a face."""


def initialise(dit: Dit, seed: int) -> Dit:
    """Give every parameter a fresh value, Xavier's but for what makes training begin at what moves.

    With a portrait prior the network says at first that little is left to say, and looks at its own place in the
    latent frames before. Without one, its velocity leads to the portrait.
    """
    generator = torch.Generator().manual_seed(seed)
    gate, cross_gain = (1.0, CROSS_GAIN) if dit.prior else (GATE, GATE)
    for name, parameter in dit.named_parameters():
        if name.endswith("modulation"):
            nn.init.normal_(parameter, std=0.02, generator=generator)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.ndim == 1:
            nn.init.ones_(parameter)
        else:
            flat = parameter.data.flatten(1)  # a view: the convolution is a linear layer on patches
            gain = cross_gain if name.endswith("cross_attn.o.weight") or name.startswith("time_projection") else 1.0
            nn.init.xavier_uniform_(flat, gain, generator=generator)
    with torch.no_grad():
        for block in dit.typed_blocks():
            block.modulation[:, [2, 5]] += gate
        if dit.prior is None:
            _lead_to_the_portrait(dit, generator)
        else:
            dit.head.head.weight.mul_(HEAD_GAIN)
            _attend_by_place(dit)
    return dit


def _attend_by_place(dit: Dit) -> None:
    """Bias queries and keys so that rotation alone makes a token attend to its own row and column, some frames back.

    Turned by its position, a constant query agrees with a constant key as the cosine of the distance between them.
    Head h of block b looks h + 1 - b latent frames back. Content is learned on top of it; without it, a small model
    spends most of its training on finding out that what was there will be there.
    """
    heads = dit.config.dit.heads
    width = dit.config.dit.dim // heads
    for number, block in enumerate(dit.typed_blocks()[:PLACED_BLOCKS]):
        attention = block.self_attn
        key = _constant(width, 0)
        attention.k.bias.copy_(key.repeat(heads))
        attention.q.bias.copy_(torch.cat([_constant(width, head + 1 - number) for head in range(heads)]))
        attention.norm_q.weight.fill_(SHARPNESS)
        attention.norm_k.weight.fill_(SHARPNESS)


def _constant(width: int, frames_back: int) -> Tensor:
    """A query [head width] that agrees best with the same place so many latent frames before; 0: the key."""
    time_width, side_width, _ = axis_widths(width)
    values = torch.zeros(width)
    for pair in range(min(PLACED_PAIRS, time_width // 2)):
        angle = frames_back * ROPE_BASE ** (-2 * pair / time_width)
        values[2 * pair], values[2 * pair + 1] = math.cos(angle), -math.sin(angle)
    for begin in (time_width, time_width + side_width):
        values[begin : begin + 2 * min(PLACED_PAIRS, side_width // 2) : 2] = 1.0
    return CERTAINTY * values / values.square().mean().sqrt()


def _lead_to_the_portrait(dit: Dit, generator: torch.Generator) -> None:
    """Embed noise minus reference isometrically, as far as the width goes, and read it out by the transpose.

    The blocks, whose gates are nearly shut, leave it undisturbed, and the last layer norm brings it to the deviation
    of a velocity.
    """
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
