"""Fit `nano`'s linear codec to clips, in one pass and flat memory; and how well any codec gives clips back."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vividhead.flashhead.model.codecs.block_basis import BlockMoments, LinearBasis
from vividhead.flashhead.model.codecs.codec import VideoCodec
from vividhead.flashhead.model.codecs.linear import LinearCodec

PRIOR_BLOCKS = 5000.0
"""Made-up blocks that a fit begins with, so that a few clips of one person do not make a codec for that person: without
them, PCA of five clips of one face is 1.4 dB worse than plain frequencies on other faces, with them 0.2 dB; on held-out
people of one's own footage they cost nothing. A minute of 128 px is 12 000 blocks."""
LUMA = torch.tensor([0.299, 0.587, 0.114])
_PEAK = 2.0  # from black to white
_AT_ONCE = 4  # latent frames


def fit_linear(
    videos: Iterable[Tensor], stride_frames: int, stride_px: int, channels: int, prior_blocks: float = PRIOR_BLOCKS
) -> LinearCodec:
    """The linear codec that gives back such videos with the least weighted square error (principal components).

    Each video is (3, T, H, W), RGB in -1 … 1, as long as it likes, sides multiples of `stride_px`; what is left of it
    after 1 + k · stride_frames pictures is not used. The more a video holds, the more it counts.
    """
    first = BlockMoments(1, stride_px, channels, prior_blocks)
    later = BlockMoments(stride_frames, stride_px, channels, prior_blocks)
    for video_CTHW in videos:
        step = stride_frames * _AT_ONCE
        for start in range(1, video_CTHW.shape[1], step):
            part_CTHW = video_CTHW[:, start : start + step]
            part_CTHW = part_CTHW[:, : part_CTHW.shape[1] // stride_frames * stride_frames]
            if part_CTHW.shape[1]:
                first.add(_blocks(part_CTHW[:, ::stride_frames], 1, stride_px))
                later.add(_blocks(part_CTHW, stride_frames, stride_px))
    return LinearCodec(LinearBasis.of(first, later))


def _blocks(video_CTHW: Tensor, frames: int, side: int) -> Tensor:
    """All blocks of a video: (N, 3, frames, side, side)."""
    split = video_CTHW.unflatten(3, (-1, side)).unflatten(2, (-1, side)).unflatten(1, (-1, frames))
    blocks_N3tyx: Tensor = split.permute(1, 3, 5, 0, 2, 4, 6).flatten(0, 2)
    return blocks_N3tyx


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """How near decoded pictures are to those that were encoded: peak signal to noise over all of them."""

    psnr_db: float
    """Of RGB."""
    luma_psnr_db: float
    frames: int


def reconstruction(codec: VideoCodec, videos: Iterable[Tensor]) -> Reconstruction:
    """Encode and decode videos as in `fit_linear`, clamp to -1 … 1 and compare. Infinite where nothing differs."""
    squares = luma_squares = 0.0
    pixels = frames = 0
    for video_CTHW in videos:
        whole = 1 + (video_CTHW.shape[1] - 1) // codec.stride_frames * codec.stride_frames
        video_BCTHW = video_CTHW[None, :, :whole]
        with torch.inference_mode():
            difference = (codec.decode(codec.encode(video_BCTHW)).clamp(-1, 1) - video_BCTHW).double()
        squares += difference.square().sum().item()
        luma_squares += torch.einsum("c,bcthw->bthw", LUMA.double(), difference).square().sum().item()
        pixels += difference[:, 0].numel()
        frames += whole
    if not pixels:
        raise ValueError("no video to measure a codec on")
    return Reconstruction(
        psnr_db=_psnr_db(squares / (3 * pixels)), luma_psnr_db=_psnr_db(luma_squares / pixels), frames=frames
    )


def _psnr_db(mean_square: float) -> float:
    return 10 * math.log10(_PEAK**2 / mean_square) if mean_square else math.inf
