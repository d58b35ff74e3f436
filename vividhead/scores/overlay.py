"""Do captions come and go in the crop?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.score import WIDE_PX, ClipMedia, Field, Score, Unmeasurable

_STROKE_PX = 9  # of a thumbnail, whose face is about 75 px high: strokes are narrower
_STROKE_LEVELS = 35.0  # and stand out by so much
_SAME_LEVELS = 12.0  # what stays differs by less
_CHANGED_LEVELS = 35.0  # what is drawn anew by more
_STILL_FOR = 2  # intervals of 0.24 s for which strokes stay before they go, or once they came
_JOIN_PX = 13  # letters nearer than this make one line
_LEAST_WIDE_PX = 24
_LEAST_INK_PX = 60
_LEAST_STROKES = 3.0  # that a row of a line of letters crosses, on average
_AT_ONCE = 0.6  # of the strokes that change, how many rest just before and just after
_MOST_CHANGED = 0.5  # of the crop; more at once is a cut
_LEAST_SAMPLES = 2 * _STILL_FOR + 2

Map = NDArray[np.bool_]


class Overlay(Score):
    """What part of the crop's area captions cover at most, told by how they behave, not by what they say.

    Thin strokes, many to a row, that rest at their place in the picture for half a second, and are drawn or gone from
    one sample to the next, while all rests just before and after. Neither heads, bodies nor rooms do so. Of what
    stays through the whole clip, as logos do, nothing here can tell whether it is drawn over the picture or a poster
    in it: that reads 0. So do captions over the face, under a head or camera that moves the text's ground all the
    time, or for less than half a second. Four samples a second.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "swapped_fraction": Field("1", "largest part of the crop in which letters came or went at once", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 6.0

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        views, known = _laid_on_crop(clip)
        if len(views) < _LEAST_SAMPLES:
            raise Unmeasurable("too_short", "captions are told by what stays from sample to sample")
        return {"swapped_fraction": _swapped(views, known)}


def _laid_on_crop(clip: ClipMedia) -> tuple[list[NDArray[np.float32]], list[Map]]:
    """The thumbnails as they lie on the packed crop, and where they show the source around the face.

    Those of another scale than most are left out: scaled to it, their strokes would seem to change.
    """
    seen = list(clip.wide_lumas())
    if not seen:
        return [], []
    side, _ = Counter(square[2] for _, _, square in seen).most_common(1)[0]
    left, top, right, bottom = clip.clip.crop_xyxy_px
    pitch = side / WIDE_PX
    size = max(1, round((right - left) / pitch)), max(1, round((bottom - top) / pitch))
    x_W = left + (np.arange(size[0]) + 0.5) * pitch
    y_H = top + (np.arange(size[1]) + 0.5) * pitch
    views, known = [], []
    for frame, luma_HW, (x0, y0, _) in [one for one in seen if one[2][2] == side]:
        shift = np.array([[1, 0, round((x0 - left) / pitch)], [0, 1, round((y0 - top) / pitch)]], np.float32)
        views.append(cv2.warpAffine(luma_HW, shift, size, flags=cv2.INTER_NEAREST).astype(np.float32))
        columns_W = (x_W > max(x0, 0)) & (x_W < min(x0 + side, clip.source_width_px))
        rows_H = (y_H > max(y0, 0)) & (y_H < min(y0 + side, clip.source_height_px))
        face_x0, face_y0, face_x1, face_y1 = clip.box_xyxy_px_T4[frame].tolist()
        away_HW = np.hypot(x_W - (face_x0 + face_x1) / 2, y_H[:, None] - (face_y0 + face_y1) / 2)
        known.append(rows_H[:, None] & columns_W & (away_HW > (face_y1 - face_y0) / 2))
    return views, known


def _strokes(view_HW: NDArray[np.float32]) -> Map:
    kernel = np.ones((_STROKE_PX, _STROKE_PX), np.uint8)
    light_HW = cv2.morphologyEx(view_HW, cv2.MORPH_TOPHAT, kernel)
    dark_HW = cv2.morphologyEx(view_HW, cv2.MORPH_BLACKHAT, kernel)
    return np.asarray(np.maximum(light_HW, dark_HW) > _STROKE_LEVELS)


def _swapped(views: Sequence[NDArray[np.float32]], known: Sequence[Map]) -> float:
    """The largest part of the crop whose letters came or went between two samples."""
    strokes = [_strokes(view_HW) for view_HW in views]
    both = [a & b for a, b in pairwise(known)]
    steps = [np.abs(a - b) for a, b in pairwise(views)]
    rest = [(step_HW < _SAME_LEVELS) & both_HW for step_HW, both_HW in zip(steps, both, strict=True)]
    largest = 0.0
    for t in range(_STILL_FOR, len(steps) - _STILL_FOR):
        changed_HW = (steps[t] > _CHANGED_LEVELS) & both[t]
        if changed_HW.mean() > _MOST_CHANGED:
            continue
        before_HW = np.logical_and.reduce(rest[t - _STILL_FOR : t])
        after_HW = np.logical_and.reduce(rest[t + 1 : t + 1 + _STILL_FOR])
        ink_HW = changed_HW & ((strokes[t] & before_HW) | (strokes[t + 1] & after_HW))
        largest = max(largest, _lettered(ink_HW, before_HW & after_HW))
    return largest


def _lettered(ink_HW: Map, resting_HW: Map) -> float:
    """The part of the picture under lines of letters that the ink makes; of ink that rests but for the change."""
    joined_HW = cv2.morphologyEx(ink_HW.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((_JOIN_PX, _JOIN_PX), np.uint8))
    count, label_HW, stats_K5, _ = cv2.connectedComponentsWithStats(joined_HW)
    begins_HW = np.diff(ink_HW.astype(np.int8), axis=1, prepend=0) > 0
    ink_K, still_K, begun_K = (
        np.bincount(label_HW[which_HW], minlength=count) for which_HW in (ink_HW, ink_HW & resting_HW, begins_HW)
    )
    told_K = (
        (stats_K5[:, cv2.CC_STAT_WIDTH] >= _LEAST_WIDE_PX)
        & (ink_K >= _LEAST_INK_PX)
        & (begun_K >= _LEAST_STROKES * stats_K5[:, cv2.CC_STAT_HEIGHT])
        & (still_K >= _AT_ONCE * ink_K)
    )
    return float(stats_K5[1:, cv2.CC_STAT_AREA][told_K[1:]].sum() / ink_HW.size)
