"""Is somebody else in the picture?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vividhead.faces import FaceDetector
from vividhead.score import ClipMedia, Field, Score, Unmeasurable


class OtherFaces(Score):
    """How long, and how large, faces other than the clip's own are seen anywhere in the source picture.

    Counted at the frames the detector looked at. A face in the far background is small against the clip's
    own: read the two fields together.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "seconds_fraction": Field("1", "fraction of the frames looked at that hold another face", 0, 1),
        "largest_height_ratio": Field(
            "1", "height of the largest other face ÷ median height of the clip's own; 0 when there is none", 0
        ),
    }
    cost_ms_per_s: ClassVar[float] = 0.01
    fingerprint = FaceDetector.fingerprint

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        looked = set(clip.detected_frames)
        if not looked:
            raise Unmeasurable("not_looked", "the detector looked at no frame of this clip")
        own_height = float(np.median(clip.box_xyxy_px_T4[:, 3] - clip.box_xyxy_px_T4[:, 1]))
        largest = max((other.height_px for other in clip.others), default=0.0)
        return {
            "seconds_fraction": len(looked & {other.frame for other in clip.others}) / len(looked),
            "largest_height_ratio": largest / own_height,
        }
