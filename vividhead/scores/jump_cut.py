"""Is there a cut inside the clip that shot detection did not see?"""

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.records import GRID_FPS
from vividhead.score import ClipMedia, Field, Score, Unmeasurable

_SIDE_PX = 32  # fine enough to see a head jump by a tenth of itself, coarse enough to overlook lips and lids
_NEAR = 6  # frames to either side that a jump is held against: a fast turn lasts longer than one frame
_EDGE = 3  # frames at either end of the clip, whose changes have too few beside them to be held against
_FLOOR = 1.0  # luma levels: below, the difference of two frames is noise and rounding
_LARGEST = 255.0


class JumpCut(Score):
    """The largest change from one frame to the next against the changes just before and after it.

    Frames are compared as face crops of 32 px, in which a head that jumps shows and a blink hardly does. A fast
    movement changes several frames in a row and reads 1 to 2; a cut within a shot, where the same person sits a
    little differently all at once, changes just one. Cross-fades do not show.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "largest_jump": Field("1", "change of one frame ÷ largest change within 0.24 s of it", 0, _LARGEST),
        "at_s": Field("s", "where in the clip that is", 0),
    }
    cost_ms_per_s: ClassVar[float] = 5.0

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        if clip.clip.n_frames < 2 * _NEAR:
            raise Unmeasurable("too_short", f"{clip.clip.n_frames} frames, {2 * _NEAR} are needed")
        seen_THW = np.stack([_thumbnail(face_HWC) for _, face_HWC in clip.faces()])
        change_T = np.abs(np.diff(seen_THW, axis=0)).mean((1, 2))
        jump_T = (change_T / np.maximum(_around(change_T), _FLOOR))[_EDGE:-_EDGE]
        return {"largest_jump": float(jump_T.max()), "at_s": float(jump_T.argmax() + _EDGE + 1) / GRID_FPS}


def _thumbnail(face_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    small_HWC = cv2.resize(face_HWC, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small_HWC, cv2.COLOR_RGB2GRAY), np.float32)


def _around(change_T: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest of the changes before and after each, itself left out."""
    near_TK = np.lib.stride_tricks.sliding_window_view(np.pad(change_T, _NEAR), 2 * _NEAR + 1).copy()
    near_TK[:, _NEAR] = 0
    return np.asarray(near_TK.max(1))
