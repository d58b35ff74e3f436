"""Has the picture been compressed until it shows blocks or bands?"""

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.score import FACE_CROP_PX, FACE_DISC_HW, ClipMedia, Field, Score, Unknown

_STEP = 12  # grid frames between samples: about two a second
_BLOCK_PX = 8  # of the source: side of the blocks that MPEG, H.264 and JPEG transform
_LEAST_BLOCK_PX = 2.5  # of the crop; blocks that were scaled down further cannot be told from texture
_MOST = 100.0
_FLAT_SIDE = 5  # px: a band is at least this wide
_RAMP_SIDE = 21  # px: a band lies in a slope that goes on to either side
_RAMP_LEVELS = (2, 12)  # of luma across that: more is an edge, less is no slope


class Artifacts(Score):
    """Blocks of 8 source pixels, and bands where a smooth slope should be.

    `blocking` compares steps of luma across the borders of the source's 8 px blocks with those between them: 1 is
    none, 2 is twice as much. The loop filter of H.264 hides blocks well, so its strong compression reads lower than
    that of JPEG or MPEG-2, and costs `sharpness` instead. `banding` is the share of smooth slopes that are made of
    flat steps. Two samples a second, medians. Combing of interlaced footage is scaled away before scores see it.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "blocking": Field("1", "steps at block borders ÷ steps elsewhere; 1 is none", 0, _MOST),
        "banding": Field("1", "fraction of smooth slopes in flat steps", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 2.5

    def measure(self, clip: ClipMedia) -> Mapping[str, float | Unknown]:
        blocking, banding = [], []
        for frame, face_HWC in clip.faces(_STEP):
            luma_HW = np.asarray(cv2.cvtColor(face_HWC, cv2.COLOR_RGB2GRAY), np.uint8)
            square_4 = clip.crop_xyxy_px_T4[frame]
            if _BLOCK_PX * FACE_CROP_PX / float(square_4[2] - square_4[0]) >= _LEAST_BLOCK_PX:
                blocking.append(_blocking(luma_HW.astype(np.float32), square_4))
            banding.append(_banding(luma_HW))
        slopes = [share for share in banding if share is not None]
        return {
            "blocking": min(float(np.median(blocking)), _MOST) if blocking else Unknown("scaled_down"),
            "banding": float(np.median(slopes)) if slopes else Unknown("no_slopes"),
        }


def _blocking(luma_HW: NDArray[np.float32], square_4: NDArray[np.float32]) -> float:
    """Mean over both directions of (steps at the grid) ÷ (steps elsewhere)."""
    found = []
    for axis, start in ((1, float(square_4[0])), (0, float(square_4[1]))):
        lines_HW = luma_HW if axis == 1 else luma_HW.T
        steps_HW = np.abs(np.diff(lines_HW, axis=1))
        # Second difference: a step alone, not the slope or edge that it lies in.
        alone_HW = np.maximum(steps_HW[:, 1:-1] - (steps_HW[:, :-2] + steps_HW[:, 2:]) / 2, 0)
        profile_W = np.minimum(alone_HW, 8.0).mean(0)
        per_source_px = (square_4[2] - square_4[0]) / FACE_CROP_PX
        borders_W = start + (np.arange(len(profile_W)) + 2.0) * per_source_px  # of the crop's pixels, in the source
        off_W = np.abs((borders_W + _BLOCK_PX / 2) % _BLOCK_PX - _BLOCK_PX / 2)
        at_grid_W = off_W <= per_source_px / 2
        found.append(float((profile_W[at_grid_W].mean() + 0.02) / (profile_W[~at_grid_W].mean() + 0.02)))
    return float(np.mean(found))


def _banding(luma_HW: NDArray[np.uint8]) -> float | None:
    """Share of the smooth slopes' pixels that lie in a flat patch; None where there are no slopes."""
    lowest, highest = (f(luma_HW, np.ones((_RAMP_SIDE, _RAMP_SIDE), np.uint8)) for f in (cv2.erode, cv2.dilate))
    rise_HW = highest.astype(np.int16) - lowest
    slope_HW = (rise_HW >= _RAMP_LEVELS[0]) & (rise_HW <= _RAMP_LEVELS[1])
    if slope_HW.sum() < FACE_DISC_HW.sum() / 100:
        return None
    low, high = (f(luma_HW, np.ones((_FLAT_SIDE, _FLAT_SIDE), np.uint8)) for f in (cv2.erode, cv2.dilate))
    return float((low == high)[slope_HW].mean())
