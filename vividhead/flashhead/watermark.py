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
HEARD, CALM = 1.0, 2.0
"""What a cell says counts up to this difference, and the less the more goes on around it, half as much from CALM on:
strong edges, which are much the same in each picture, drown the rest otherwise."""
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
    height, width = picture_HWC.shape[:2]
    lighter_HWC = _spread(np.maximum(added_CC * signs_CC, 0), height, width)
    darker_HWC = _spread(np.maximum(-added_CC * signs_CC, 0), height, width)
    return np.asarray(cv2.subtract(cv2.add(picture_HWC, lighter_HWC), darker_HWC), np.uint8)  # neither end overflows


def all_marked(frames_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each picture with the watermark."""
    return np.stack([marked(frame_HWC) for frame_HWC in frames_THWC]) if len(frames_THWC) else frames_THWC


def agreement(lumas: Iterable[NDArray[np.uint8]]) -> float:
    """How well grey pictures (H, W) of any size agree with the watermark, all together; see `CERTAIN`.

    Near 0, deviation 1, without it; 0 where there is nothing to see.
    """
    heard_CC, seen_CC, count = np.zeros((CELLS, CELLS), np.float32), np.zeros((CELLS, CELLS), np.float32), 0
    for luma_HW in lumas:
        differences_CC = _differences(_cells(luma_HW))
        heard_CC += np.clip(differences_CC, -HEARD, HEARD)
        seen_CC += differences_CC
        count += 1
    if count:
        heard_CC /= CALM + cv2.blur(np.abs(seen_CC / count), (3, 3))
    power = float((heard_CC**2).sum())
    return float((heard_CC * _signs()).sum()) / power**0.5 if power > NOTHING else 0.0


@lru_cache(maxsize=1)
def _signs() -> NDArray[np.float32]:
    signs: NDArray[np.float32] = np.random.Generator(np.random.PCG64(_SEED)).choice([-1.0, 1.0], (CELLS, CELLS))
    return signs.astype(np.float32)


def _luma(picture_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2GRAY), np.uint8)


def _cells(luma_HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = luma_HW.shape
    if min(height, width) >= 8 * CELLS and height % 4 == width % 4 == 0:  # by whole numbers it is quick
        luma_HW = np.asarray(cv2.resize(luma_HW, (width // 4, height // 4), interpolation=cv2.INTER_AREA), np.uint8)
    how = cv2.INTER_AREA if min(luma_HW.shape) >= CELLS else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(luma_HW.astype(np.float32), (CELLS, CELLS), interpolation=how), np.float32)


def _spread(cells_CC: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """Cells, in steps, over an RGB picture, their edges softened."""
    few = 4 * CELLS
    fine_HW = cv2.blur(cv2.resize(cells_CC, (few, few), interpolation=cv2.INTER_NEAREST), (2, 2))
    steps_HW = np.rint(fine_HW).astype(np.uint8)
    how = cv2.INTER_LINEAR if min(height, width) >= few else cv2.INTER_AREA
    return np.asarray(cv2.merge([cv2.resize(steps_HW, (width, height), interpolation=how)] * 3), np.uint8)


def _differences(cells_CC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each cell less the mean of its four neighbours."""
    around_CC = cv2.filter2D(cells_CC, -1, _NEIGHBOURS, borderType=cv2.BORDER_REFLECT)
    return cells_CC - np.asarray(around_CC, np.float32)
