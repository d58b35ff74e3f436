"""Do the picture's rows come from two fields, taken one after the other?"""

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.score import ClipMedia, Field, Score, Unmeasurable

_TEETH = np.array([1, -4, 6, -4, 1], np.float32) / 16  # sees rows that alternate, and little else
_ALONG = np.array([1, 4, 6, 4, 1], np.float32) / 16
_PATCH_PX = 16  # of the source, in which combing is looked for
_TIMES_MORE = 4.0  # in energy: alternation from row to row against that from column to column
_FAINTEST = 1.0  # levels² of alternation; less is noise and rounding


class Interlacing(Score):
    """The share of the face that is combed: luma alternates from row to row far more than from column to column.

    Read off the source's own rows in patches of 16 px, four times as much alternation being combed; of two samples a
    second the one with most, as a face at rest shows none. Progressive faces of 160 px and more read up to 0.05,
    smaller ones up to 0.08, and fields a pixel apart 0.14 to 0.54. Footage that says it is interlaced was mended before
    any score saw it: this is for footage that does not say so. Scaled down after it was woven, it shows less.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "combed_fraction": Field("1", "largest fraction of the face, over samples, in alternating rows", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 3.0

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        shares = [share for _, luma_HW in clip.unscaled_lumas() if (share := _combed(luma_HW)) is not None]
        if not shares:
            raise Unmeasurable("too_small", "the face holds no whole patch")
        return {"combed_fraction": max(shares)}


def _combed(luma_HW: NDArray[np.uint8]) -> float | None:
    """Share of the patches whose rows alternate; None where there is none."""
    high, wide = (side // _PATCH_PX for side in luma_HW.shape)
    if not high * wide:
        return None
    luma_HW = luma_HW[: high * _PATCH_PX, : wide * _PATCH_PX]
    rows_HW, columns_HW = (
        np.asarray(cv2.sepFilter2D(luma_HW, cv2.CV_32F, across, down)) ** 2
        for across, down in ((_ALONG, _TEETH), (_TEETH, _ALONG))
    )
    rows_hw, columns_hw = (e.reshape(high, _PATCH_PX, wide, _PATCH_PX).mean((1, 3)) for e in (rows_HW, columns_HW))
    return float((rows_hw > _TIMES_MORE * (columns_hw + _FAINTEST)).mean())
