"""An invisible watermark in generated pictures: it says `synthetic` and nothing else, and needs no key to be found.

A picture is a grid of 32 × 32 cells, each of which is to be a little lighter or darker than its neighbours, as a fixed
pattern of signs wants it. The writer sees the picture and changes only the cells that do not say so yet, by three of
255 steps where it is smooth and up to six where detail hides it. The reader counts how well cells agree with the
pattern: for pictures without it, a normal deviate.

The grid goes with the picture's sides, so scaling does not matter; cropping and turning hide it.

Axes: C C cells, H W picture.
"""

from collections.abc import Iterable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 32
WANTED = 3.0
"""By how much a cell is to differ from its neighbours, in steps of 255."""
SMOOTH, DETAILED, FOR_DETAIL = 3.0, 6.0, 0.3
"""The most that is done for it: where nothing hides it, anywhere, and more for each step of detail."""
HOPELESS = 2.0
"""A cell that differs by so many times this the other way is left alone."""
HEARD = 2.0
"""What a cell says counts up to this difference: strong edges drown the rest otherwise."""
CERTAIN = 4.0
"""Agreement from which a picture counts as marked: by chance once in 30,000."""
NOTHING = 1e-6
"""Squares of what rounding alone makes of an even picture."""
_NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
_SEED = 20261122


def marked(picture_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The RGB picture with the watermark."""
    signs_CC, cells_CC = _signs(), _cells(_luma(picture_HWC))
    says_CC = signs_CC * _differences(cells_CC)
    detail_CC = cv2.blur(np.abs(_differences(cells_CC)), (3, 3))
    most_CC = np.clip(SMOOTH + FOR_DETAIL * detail_CC, SMOOTH, DETAILED)
    added_CC = np.zeros_like(cells_CC)
    for _ in range(4):  # what is done to a cell undoes a quarter of it in each neighbour
        missing_CC = WANTED - signs_CC * _differences(cells_CC + added_CC * signs_CC)
        added_CC = np.clip(added_CC + 0.7 * missing_CC, 0, most_CC)
    added_CC[says_CC < -HOPELESS * most_CC] = 0
    added_HW = _spread(added_CC * signs_CC, picture_HWC.shape[0], picture_HWC.shape[1])
    steps_HW = np.rint(added_HW).astype(np.int16)
    changed_HWC = cv2.add(picture_HWC, cv2.merge([steps_HW] * 3), dtype=cv2.CV_8U)  # what overflows stays at the end
    return np.asarray(changed_HWC, np.uint8)


def all_marked(frames_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each picture with the watermark."""
    return np.stack([marked(frame_HWC) for frame_HWC in frames_THWC]) if len(frames_THWC) else frames_THWC


def agreement(lumas: Iterable[NDArray[np.uint8]]) -> float:
    """How well grey pictures (H, W) of any size agree with the watermark, all together; see `CERTAIN`.

    Near 0, deviation 1, without it; 0 where there is nothing to see.
    """
    heard_CC = np.zeros((CELLS, CELLS), np.float32)
    for luma_HW in lumas:
        heard_CC += np.clip(_differences(_cells(luma_HW)), -HEARD, HEARD)
    power = float((heard_CC**2).sum())
    return float((heard_CC * _signs()).sum()) / power**0.5 if power > NOTHING else 0.0


@lru_cache(maxsize=1)
def _signs() -> NDArray[np.float32]:
    signs: NDArray[np.float32] = np.random.Generator(np.random.PCG64(_SEED)).choice([-1.0, 1.0], (CELLS, CELLS))
    return signs.astype(np.float32)


def _luma(picture_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2GRAY), np.uint8)


def _cells(luma_HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    how = cv2.INTER_AREA if min(luma_HW.shape) >= CELLS else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(luma_HW.astype(np.float32), (CELLS, CELLS), interpolation=how), np.float32)


def _spread(cells_CC: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Cells over a picture, their edges softened."""
    flat_HW = cv2.resize(cells_CC, (width, height), interpolation=cv2.INTER_NEAREST)
    soft = max(1, round(min(height, width) / CELLS / 2))
    return np.asarray(cv2.blur(flat_HW, (soft, soft)), np.float32)


def _differences(cells_CC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each cell less the mean of its four neighbours."""
    around_CC = cv2.filter2D(cells_CC, -1, _NEIGHBOURS, borderType=cv2.BORDER_REFLECT)
    return cells_CC - np.asarray(around_CC, np.float32)
