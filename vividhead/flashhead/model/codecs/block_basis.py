"""Few numbers for a block of pictures: a basis by principal components, and by frequencies where nothing was seen.

A block is `frames` pictures of a square of `side_px`. Its colours are weighted first: the eye sees detail in luma
better than in chroma, and the components kept are those that matter most for what is so weighted.

Axes: C channels (components), P values of a block (colour, frame, row, column), K frequencies (frame, row, column),
N blocks, t y x frame, row and column within a block, i j colours.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from vividhead.errors import VividHeadError

CHROMA_WEIGHT = 0.7
"""Against components of plain RGB: luma PSNR 0.2 … 0.4 dB higher and edges stronger, for 0.1 … 0.4 dB of RGB PSNR (two
sets of talking heads, 128 px, people held out). At 0.5 another 0.1 dB of luma costs as much RGB again."""
WEIGHTED_YCC = torch.diag(torch.tensor([1.0, CHROMA_WEIGHT, CHROMA_WEIGHT], dtype=torch.float64)) @ torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=torch.float64
)
"""RGB to weighted YCbCr (BT.601)."""

# Power of talking heads at spatial frequency f (cycles/px) and temporal frequency g (cycles/frame) is about
# (1 + KNEE · (f² + SPEED² · g²)) ^ -FALL, fitted to twelve clips of 128 px; chroma has CHROMA_POWER of it.
_KNEE_PX2 = 5000.0
_SPEED2 = 4.0  # (px/frame)²
_FALL = 1.4
_CHROMA_POWER = 0.02
_MEAN_SQUARE = 0.217  # of a pixel, its three weighted colours together, in units where black is -1 and white 1

ROUNDING_POWER = (2 / 255) ** 2 / 12
"""Noise that pictures of 8 bits have anyway: weaker components are not blown up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockBasis:
    """Orthonormal components of weighted blocks, float64."""

    frames: int
    side_px: int
    vectors_CP: Tensor
    mean_P: Tensor
    scale_C: Tensor
    """Standard deviation of each component."""

    @property
    def unit(self) -> Tensor:
        """What all latents are divided by: their power is 1 on average over the channels, not in each.

        A generator's error then counts as it is seen. With each channel brought to unit power by itself, grain counts
        as much as a mouth, and a small model learns grain: see docs/decisions/0006.
        """
        return self.scale_C.square().mean().sqrt()

    def analysis(self) -> tuple[Tensor, Tensor]:
        """Matrix (C, P) and offset (C) from an RGB block to its latents."""
        rgb_CP = torch.einsum("cin,ij->cjn", self._split(self.vectors_CP), WEIGHTED_YCC).flatten(1)
        return rgb_CP / self.unit, -(self.vectors_CP @ self.mean_P) / self.unit

    def synthesis(self) -> tuple[Tensor, Tensor]:
        """Matrix (P, C) and offset (P) from latents to the RGB block that has them; without them, the mean's."""
        inverse = torch.linalg.inv(WEIGHTED_YCC)
        scaled_CP = self.vectors_CP * self.unit
        rgb_CP = torch.einsum("cin,ji->cjn", self._split(scaled_CP), inverse).flatten(1)
        return rgb_CP.T.contiguous(), (inverse @ self._split(self.mean_P[None])[0]).flatten()

    def _split(self, rows_CP: Tensor) -> Tensor:
        split: Tensor = rows_CP.unflatten(1, (3, -1))
        return split


class BlockMoments:
    """Blocks seen so far, as their first and second moments over the lowest frequencies; memory does not grow.

    It begins with `prior_blocks` made-up blocks with the power of talking heads: without any other, principal
    components are plain frequencies, lowest first (a 3-D DCT).
    """

    def __init__(self, frames: int, side_px: int, channels: int, prior_blocks: float) -> None:
        """Keep twice as many frequencies as channels, in each of three colours: more change the PSNR by < 0.1 dB."""
        pixels = frames * side_px**2
        if channels > 3 * pixels:
            raise VividHeadError(f"{channels} channels are more than the {3 * pixels} values of a {side_px} px block")
        self.frames, self.side_px, self.channels = frames, side_px, channels
        power_3K = prior_power(frames, side_px).flatten(1)
        self._kept_K = torch.argsort(power_3K[0], descending=True, stable=True)[: 2 * channels]
        self.blocks = 0
        self._weight = prior_blocks
        self._sum = torch.zeros(3 * len(self._kept_K), dtype=torch.float64)
        self._outer = torch.diag(prior_blocks * power_3K[:, self._kept_K].flatten())

    def add(self, rgb_N3tyx: Tensor) -> None:
        """Take in blocks of RGB in -1 … 1."""
        weighted = torch.einsum("ij,njtyx->nityx", WEIGHTED_YCC, rgb_N3tyx.double())
        rows = self._frequencies(weighted).flatten(2)[:, :, self._kept_K].flatten(1)
        self.blocks += len(rows)
        self._weight += len(rows)
        self._sum += rows.sum(0)
        self._outer.addmm_(rows.T, rows)

    def basis(self) -> BlockBasis:
        """The principal components; needs a block, or a prior."""
        if not self._weight:
            raise VividHeadError("no blocks to fit a linear codec to: no clip was given")
        mean = self._sum / self._weight
        power, vectors = torch.linalg.eigh(self._outer / self._weight - torch.outer(mean, mean))
        power, vectors = power.flip(0)[: self.channels], vectors.T.flip(0)[: self.channels]
        return BlockBasis(
            frames=self.frames,
            side_px=self.side_px,
            vectors_CP=canonical(self._pixels(vectors)),
            mean_P=self._pixels(mean[None])[0],
            scale_C=power.clamp(min=ROUNDING_POWER).sqrt(),
        )

    def _frequencies(self, blocks_N3tyx: Tensor) -> Tensor:
        time, side = dct(self.frames), dct(self.side_px)
        return torch.einsum("kt,ly,mx,nityx->niklm", time, side, side, blocks_N3tyx)

    def _pixels(self, rows: Tensor) -> Tensor:
        """Rows over the kept frequencies as rows over the values of a block."""
        full = torch.zeros(len(rows), 3, self.frames * self.side_px**2, dtype=torch.float64)
        full[:, :, self._kept_K] = rows.unflatten(1, (3, -1))
        full = full.unflatten(2, (self.frames, self.side_px, self.side_px))
        time, side = dct(self.frames), dct(self.side_px)
        return torch.einsum("kt,ly,mx,niklm->nityx", time, side, side, full).flatten(1)


def dct(n: int) -> Tensor:
    """The orthonormal DCT-II of n values, float64, a frequency in each row."""
    k, t = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(n, dtype=torch.float64)
    rows = torch.cos(torch.pi * (t + 0.5) * k / n) * math.sqrt(2 / n)
    rows[0] /= math.sqrt(2)
    return rows


def prior_power(frames: int, side_px: int) -> Tensor:
    """Mean square of each weighted colour's frequencies (3, frames, side, side) in blocks of talking heads."""
    time = torch.arange(frames, dtype=torch.float64) / (2 * frames)
    side = torch.arange(side_px, dtype=torch.float64) / (2 * side_px)
    squared = _SPEED2 * time[:, None, None] ** 2 + side[:, None] ** 2 + side**2
    power = (1 + _KNEE_PX2 * squared) ** -_FALL
    power = torch.stack((power, _CHROMA_POWER * power, _CHROMA_POWER * power))
    return power * (_MEAN_SQUARE * frames * side_px**2 / power.sum())


def canonical(vectors_CP: Tensor) -> Tensor:
    """The vectors with their largest value positive: which sign a solver gives is chance."""
    largest = vectors_CP.abs().argmax(1, keepdim=True)
    return vectors_CP * vectors_CP.gather(1, largest).sign()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearBasis:
    """What a linear codec is: a basis for the first latent frame's pictures, another for the later ones' blocks."""

    first: BlockBasis
    later: BlockBasis
    blocks: int
    """Later blocks that it was fitted on; 0: frequencies."""

    @classmethod
    def of(cls, first: BlockMoments, later: BlockMoments) -> Self:
        """Both bases, the first's channels in the order of those of the later one that look like them."""
        later_basis = later.basis()
        return cls(first=aligned(first.basis(), later_basis), later=later_basis, blocks=later.blocks)


def aligned(first: BlockBasis, later: BlockBasis) -> BlockBasis:
    """`first` with its components in the order and with the signs of `later`'s, averaged over their pictures.

    The transformer sees every latent frame through the same weights: a channel should mean the same in each.
    """
    from scipy.optimize import linear_sum_assignment

    still_CP = later.vectors_CP.unflatten(1, (3, later.frames, -1)).mean(2).flatten(1)
    likeness_CC = still_CP @ first.vectors_CP.T
    _, order = linear_sum_assignment(-likeness_CC.abs().numpy())
    order_C = torch.from_numpy(order)
    likeness_C = likeness_CC.gather(1, order_C[:, None])[:, 0]
    turned = torch.where(likeness_C < -1e-9, -1.0, 1.0)
    return BlockBasis(
        frames=first.frames,
        side_px=first.side_px,
        vectors_CP=first.vectors_CP[order_C] * turned[:, None],
        mean_P=first.mean_P,
        scale_C=first.scale_C[order_C],
    )
