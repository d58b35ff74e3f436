"""Is the face well lit: neither sunk in shadow nor burnt out?"""

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np

from vividhead.score import FACE_DISC_HW, ClipMedia, Field, Score

_STEP = 12  # grid frames between samples: about two a second


class Exposure(Score):
    """Brightness of the face, from the luma of the pixels in the circle inside the face box.

    Luma is the Rec. 601 weighting of 8-bit RGB, 0 … 255. A pixel counts as under-exposed at 16 or less and
    as over-exposed at 250 or more: there, an 8-bit picture has lost the skin's shading. Pixels of all
    samples, two a second, are pooled.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "face_luma_median": Field("8-bit luma", "median luma of the face", 0, 255),
        "under_fraction": Field("1", "fraction of the face's pixels with luma of 16 or less", 0, 1),
        "over_fraction": Field("1", "fraction of the face's pixels with luma of 250 or more", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 0.3

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        counts_256 = np.zeros(256, np.int64)
        for _, face_HWC in clip.faces(_STEP):
            luma_HW = cv2.cvtColor(face_HWC, cv2.COLOR_RGB2GRAY)
            counts_256 += np.bincount(luma_HW[FACE_DISC_HW], minlength=256)
        shares_256 = counts_256 / counts_256.sum()
        return {
            "face_luma_median": float(np.searchsorted(shares_256.cumsum(), 0.5)),
            "under_fraction": float(shares_256[:17].sum()),
            "over_fraction": float(shares_256[250:].sum()),
        }
