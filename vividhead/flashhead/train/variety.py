"""Windows seen otherwise than they were recorded, so that a few clips teach what holds for others."""

from dataclasses import replace

import cv2
import torch
from torch import Tensor

from vividhead.flashhead.train.ranks import window_generator
from vividhead.flashhead.training_options import Data
from vividhead.loader import Batch

MIDDLE = 127.5


def varied(batch: Batch, options: Data, seed: int) -> Batch:
    """Mirror some windows and recolour all of them, each with its reference; audio and file are untouched.

    What becomes of a window depends on the seed and its position in the order alone, so any ranks see the same.
    """
    if not options.mirrored and not options.recoloured:
        return batch
    draws = torch.stack([_drawn(seed, int(position)) for position in batch.position_B])
    mirrored_B = draws[:, 0] < options.mirrored
    gain_BC = 1 + options.recoloured * (2 * draws[:, 1:4] - 1)
    shift_BC = options.recoloured * MIDDLE * (2 * draws[:, 4:7] - 1)
    video_BTHWC, reference_BHWC, landmarks_BTPX = batch.video_BTHWC, batch.reference_BHWC, batch.landmarks_BTPX
    if mirrored_B.any():
        width_px = video_BTHWC.shape[3]
        video_BTHWC = _chosen(mirrored_B, video_BTHWC.flip(3), video_BTHWC)
        reference_BHWC = _chosen(mirrored_B, reference_BHWC.flip(2), reference_BHWC)
        if landmarks_BTPX is not None:  # the points keep their numbers: left stays what was left before the mirror
            seen = torch.cat((width_px - landmarks_BTPX[..., :1], landmarks_BTPX[..., 1:]), -1)
            landmarks_BTPX = _chosen(mirrored_B, seen, landmarks_BTPX)
    return replace(
        batch,
        video_BTHWC=_recoloured(video_BTHWC, gain_BC, shift_BC),
        reference_BHWC=_recoloured(reference_BHWC, gain_BC, shift_BC),
        landmarks_BTPX=landmarks_BTPX,
    )


def _drawn(seed: int, position: int) -> Tensor:
    return torch.rand(7, generator=window_generator(seed, position))


def _chosen(which_B: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(which_B.view(-1, *[1] * (one.ndim - 1)), one, other)


def _recoloured(pictures_BxHWC: Tensor, gain_BC: Tensor, shift_BC: Tensor) -> Tensor:
    """Contrast about the middle grey and brightness, of each colour; uint8 in and out."""
    levels = torch.arange(256.0)[None, :, None]
    tables_BVC = (levels - MIDDLE) * gain_BC[:, None] + (MIDDLE + shift_BC[:, None])
    tables_BVC = tables_BVC.round().clamp(0, 255).to(torch.uint8)
    width_px = pictures_BxHWC.shape[-2]
    recoloured = torch.empty_like(pictures_BxHWC)
    for seen, table, made in zip(pictures_BxHWC, tables_BVC, recoloured, strict=True):
        rows = seen.reshape(-1, width_px, 3).numpy()  # tables are a tenth of the time of arithmetic
        made.copy_(torch.from_numpy(cv2.LUT(rows, table[None].numpy())).view_as(made))
    return recoloured
