"""Does anything move behind the head?"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.score import FACE_CROP_PX, FACE_CROP_SCALE, ClipMedia, Field, Score, Unmeasurable

_APART = 10  # frames (0.4 s) between the two pictures of a pair, so that slow movement shows, too
_STEP = 10  # frames between pairs
_BLUR_PX = 2.0  # against noise and compression
_MOVED_LEVELS = 12.0  # of luma, after the blur
_LEAST_PX = 1500  # of background; below, head and borders fill the crop


def _behind() -> NDArray[np.bool_]:
    """What of a face crop is background if anything is: beside and above a circle 1.5 face boxes wide, not the body."""
    from_centre = np.arange(FACE_CROP_PX) + 0.5 - FACE_CROP_PX / 2
    away_HW = np.hypot(from_centre[:, None], from_centre) > 1.5 * FACE_CROP_PX / FACE_CROP_SCALE / 2
    return np.asarray(away_HW & (from_centre[:, None] < FACE_CROP_PX / FACE_CROP_SCALE / 4))


_BEHIND_HW = _behind()


class Background(Score):
    """Change beside and above the head between pictures 0.4 s apart, each pixel held against the same of the source.

    The crop follows the head, so pairs are first laid on one another as they lay in the source picture. A wall
    behind a head that moves reads under 0.1 in `moving_fraction`, a pan or a hand-held camera over a textured
    room 0.3 and more. Hair that swings and shoulders that rise into view count, too.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "moving_fraction": Field("1", "mean fraction of the background that changed within 0.4 s", 0, 1),
        "moving_fraction_p95": Field("1", "95th percentile over pairs of that fraction", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 4.0

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        shares = list(_moved(clip))
        if not shares:
            raise Unmeasurable("no_background", "no two pictures show the same background beside the head")
        return {
            "moving_fraction": float(np.mean(shares)),
            "moving_fraction_p95": float(np.percentile(shares, 95)),
        }


def _moved(clip: ClipMedia) -> Iterator[float]:
    held: list[tuple[NDArray[np.float32], NDArray[np.float64]]] = []
    inside_4 = np.array([0, 0, clip.source_width_px, clip.source_height_px], np.float64)
    for frame, face_HWC in clip.faces(_STEP):
        luma_HW = cv2.GaussianBlur(cv2.cvtColor(face_HWC, cv2.COLOR_RGB2GRAY), (0, 0), _BLUR_PX)
        held.append((luma_HW.astype(np.float32), clip.crop_xyxy_px_T4[frame].astype(np.float64)))
        if len(held) <= _APART // _STEP:
            continue
        (then_HW, then_4), (now_HW, now_4) = held.pop(0), held[-1]
        onto_now = _map(then_4, now_4)
        size = (FACE_CROP_PX, FACE_CROP_PX)
        laid_HW = cv2.warpAffine(then_HW, onto_now, size, flags=cv2.INTER_LINEAR)
        seen_then_HW = cv2.warpAffine((_BEHIND_HW & _within(then_4, inside_4)).astype(np.uint8), onto_now, size)
        both_HW = _BEHIND_HW & _within(now_4, inside_4) & (seen_then_HW > 0)
        if both_HW.sum() >= _LEAST_PX:
            yield float((np.abs(laid_HW - now_HW)[both_HW] > _MOVED_LEVELS).mean())


def _map(from_4: NDArray[np.float64], to_4: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map from one crop's pixels to another's, by their squares in the source; centres of pixels on centres."""
    scale = (from_4[2] - from_4[0]) / (to_4[2] - to_4[0])
    shift_2 = (from_4[:2] - to_4[:2]) * FACE_CROP_PX / (to_4[2] - to_4[0]) + (scale - 1) / 2
    return np.array([[scale, 0, shift_2[0]], [0, scale, shift_2[1]]])


def _within(square_4: NDArray[np.float64], inside_4: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which pixels of the crop lie in the source picture, not on its repeated border."""
    at = (np.arange(FACE_CROP_PX) + 0.5) * (square_4[2] - square_4[0]) / FACE_CROP_PX
    columns_W = (at + square_4[0] >= inside_4[0]) & (at + square_4[0] < inside_4[2])
    rows_H = (at + square_4[1] >= inside_4[1]) & (at + square_4[1] < inside_4[3])
    return np.asarray(rows_H[:, None] & columns_W)
