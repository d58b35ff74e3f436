"""Rotary position embedding over (latent frame, row, column), in real numbers.

The published model turns interleaved pairs by complex128 products. Tables of float64 cosines and sines give the same
numbers ("exact"); float32 tables differ by one rounding and run on any device and in any graph ("fast").
"""

import torch
from torch import Tensor

ROPE_BASE = 10000.0


def axis_widths(head_width: int) -> tuple[int, int, int]:
    """How many of a head's features turn with time, row and column; 44, 42 and 42 of 128."""
    side = 2 * (head_width // 6)
    return head_width - 2 * side, side, side


def rope_tables(grid_THW: tuple[int, int, int], head_width: int, dtype: torch.dtype) -> Tensor:
    """Cosines and sines [2, T·H·W, head_width/2] for tokens in (t, h, w) order; every chunk begins at 0."""
    angles = []
    for axis, (size, width) in enumerate(zip(grid_THW, axis_widths(head_width), strict=True)):
        frequencies = ROPE_BASE ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
        along = torch.outer(torch.arange(size, dtype=torch.float64), frequencies)
        shape = [1, 1, 1, width // 2]
        shape[axis] = size
        angles.append(along.view(shape).expand(*grid_THW, -1))
    turns = torch.cat(angles, -1).flatten(0, 2)
    return torch.stack((turns.cos(), turns.sin())).to(dtype)


def rotated(x_BNHD: Tensor, tables_2ND: Tensor) -> Tensor:
    """Turn the interleaved pairs of each head by the tables, in the tables' precision; returns the type of `x`."""
    cos_ND, sin_ND = tables_2ND[0, :, None], tables_2ND[1, :, None]
    pairs = x_BNHD.to(tables_2ND.dtype).unflatten(-1, (-1, 2))
    even, odd = pairs[..., 0], pairs[..., 1]
    turned = torch.stack((even * cos_ND - odd * sin_ND, even * sin_ND + odd * cos_ND), -1)
    return turned.flatten(-2).to(x_BNHD.dtype)
