"""How large is the face, and does it stay inside the clip's crop?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vividhead.faces import FaceDetector
from vividhead.score import ClipMedia, Field, Score


class Framing(Score):
    """Size of the face and its room in the crop, from the detected boxes alone (MediaPipe, brow to chin).

    `face_height_px_in_source` tells how much picture there is to learn from, whatever the crop is scaled
    to later; a small face enlarged is still a small face. The distance to the border is the smallest of all
    frames and all four sides, so that one moment at the edge counts.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "face_height_px_in_source": Field("px", "median height of the face box in the source picture", 0),
        "crop_side_px_in_source": Field("px", "side of the clip's square crop in the source picture", 0),
        "face_fraction_of_crop": Field("1", "median height of the face box in sides of the crop", 0),
        "border_distance_fraction": Field(
            "1", "smallest distance of the face box to the crop's border, in crop sides; negative is outside"
        ),
    }
    cost_ms_per_s: ClassVar[float] = 0.01
    fingerprint = FaceDetector.fingerprint

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        boxes_T4 = clip.box_xyxy_px_T4
        x0, y0, x1, y1 = clip.clip.crop_xyxy_px
        height = float(np.median(boxes_T4[:, 3] - boxes_T4[:, 1]))
        inside_T4 = np.hstack([boxes_T4[:, :2] - (x0, y0), (x1, y1) - boxes_T4[:, 2:]])
        return {
            "face_height_px_in_source": height,
            "crop_side_px_in_source": x1 - x0,
            "face_fraction_of_crop": height / (x1 - x0),
            "border_distance_fraction": float(inside_T4.min()) / (x1 - x0),
        }
