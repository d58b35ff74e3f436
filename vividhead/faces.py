"""Find faces and their mesh: the only owner of MediaPipe (models inside its wheel).

The detector sees whole pictures (any size, about 640 px wide is best); the mesh sees square face crops only,
because on wide pictures it misses small faces.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vividhead.records import Box

MESH_POINTS = 478
_MEDIAPIPE_SAYS = re.compile(rb"[IWEF]\d{4} |INFO: Created TensorFlow|WARNING: All log messages before absl")


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """A face box in pixels of the picture it was found in, and the detector's confidence 0 … 1."""

    box: Box
    confidence: float


def _solutions() -> Any:  # mediapipe is untyped
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # protobuf's and jax's deprecations, none of ours
        import mediapipe
    return mediapipe.solutions


@contextmanager
def hushed(*, others_pass: bool = False) -> Iterator[None]:
    """Keep what MediaPipe's C++ writes to standard error out of sight; it is shown after all if the block raises.

    `others_pass`: lines that are not MediaPipe's, as of a server's other threads, are shown when the block ends.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as words:
        os.dup2(words.fileno(), 2)
        try:
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(kept, 2)
                os.close(kept)
                words.seek(0)
        except BaseException:
            os.write(2, words.read())
            raise
        if others_pass:
            os.write(2, b"".join(line for line in words if not _MEDIAPIPE_SAYS.match(line)))


class FaceDetector:
    """MediaPipe's full-range face detector, and its short-range one where that finds nothing.

    The full-range model flickers on faces that fill the picture, the short-range one misses small faces.
    One per process; not safe to share between threads.
    """

    fingerprint = "mediapipe-0.10.21/face_detection_full_range_sparse+short_range"

    def __init__(self, min_confidence: float) -> None:
        """Load the models; faces under `min_confidence` (0 … 1) are not reported."""
        detection = _solutions().face_detection
        self._full = detection.FaceDetection(model_selection=1, min_detection_confidence=min_confidence)
        self._short = detection.FaceDetection(model_selection=0, min_detection_confidence=min_confidence)

    def detect(self, picture_HWC: NDArray[np.uint8]) -> list[DetectedFace]:
        """Find faces in an RGB picture; largest first."""
        height, width = picture_HWC.shape[:2]
        found = self._full.process(picture_HWC).detections or self._short.process(picture_HWC).detections or []
        faces = []
        for detection in found:
            box = detection.location_data.relative_bounding_box
            x0, y0 = box.xmin * width, box.ymin * height
            faces.append(DetectedFace((x0, y0, x0 + box.width * width, y0 + box.height * height), detection.score[0]))
        return sorted(faces, key=lambda f: (f.box[1] - f.box[3], f.box[0]))


class FaceMesh:
    """MediaPipe's attention mesh on a run of face crops of one person, tracking from crop to crop.

    The tracker carries state: make a new one for every clip, so that a clip's mesh depends on that clip alone.
    """

    fingerprint = "mediapipe-0.10.21/face_landmark_with_attention"

    def __enter__(self) -> Self:
        self._model = _solutions().face_mesh.FaceMesh(
            static_image_mode=False, max_num_faces=1, refine_landmarks=True,
            min_detection_confidence=0.5, min_tracking_confidence=0.5,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._model.close()

    def points(self, crops: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Yield (478, 3) float32 per RGB crop: x, y, z in its pixels; NaN where no face is found."""
        for crop_HWC in crops:
            height, width = crop_HWC.shape[:2]
            found = self._model.process(crop_HWC).multi_face_landmarks
            if not found:
                yield np.full((MESH_POINTS, 3), np.nan, np.float32)
                continue
            points = np.array([(p.x, p.y, p.z) for p in found[0].landmark], np.float32)
            yield points * np.array([width, height, width], np.float32)
