"""Is it the same person from start to end?"""

import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import dlib
import numpy as np
from numpy.typing import NDArray

from vividhead.errors import VividHeadError
from vividhead.person_over_time import fields, person_over_time, sample_frames
from vividhead.score import FACE_CROP_PX, FACE_CROP_SCALE, ClipMedia, Field, Score, Unknown

_STRANGER = 0.5
"""Two-sample means of one talker lie up to 0.38 apart, those of two 0.7 and more (docs/scores.md)."""
_NETWORK, _CORNERS = "dlib_face_recognition_resnet_model_v1.dat", "shape_predictor_5_face_landmarks.dat"


class Identity(Score):
    """Steadiness of the face's identity, by 128-number embeddings of dlib's ResNet, one a second.

    The network was trained so that two pictures of one person lie within an L2 distance of 0.6, the usual
    threshold (99.4 % right on the pairs of Labeled Faces in the Wild; CC0).
    Similarity here is 1 - L2: 1 is the same picture, above 0.4 the same person by that threshold. Clips of
    one talker read 0.55 … 0.9, a clip of two talkers about 0.2. The medoid is the sample with the smallest
    sum of distances to the others.

    Drift is the L2 distance of the mean of the first three samples to that of the last three (fewer in clips
    under 6 samples): a slow change that no single sample shows. Per minute it is the slope of a line through
    all samples, unknown (`too_short`) in clips under ten. `switch_at_s` is the moment at which the talker
    becomes somebody else, by cut or by cross-fade, found by up to four looks more; unknown (`no_switch`)
    where nobody does. Somebody who is seen for under two seconds, or in the last one, is not noticed by it.
    The clip's mean embedding is kept.
    """

    version: ClassVar[int] = 2
    fields: ClassVar[Mapping[str, Field]] = fields("1 - L2", -2, "L2", 3)
    cost_ms_per_s: ClassVar[float] = 125.0

    def __init__(self) -> None:
        """Load the network and the five-point aligner from the `face_recognition_models` package."""
        network = _model_file(_NETWORK)
        self._aligner = dlib.shape_predictor(str(_model_file(_CORNERS)))
        self._network = dlib.face_recognition_model_v1(str(network))
        self.fingerprint = f"dlib-resnet-v1/{hashlib.sha256(network.read_bytes()).hexdigest()[:16]}"
        self._latest: tuple[str, NDArray[np.float32]] | None = None

    def measure(self, clip: ClipMedia) -> Mapping[str, float | Unknown]:
        samples_K128 = self._embeddings(clip)
        self._latest = clip.clip.clip_id, samples_K128
        return person_over_time(
            samples_K128, sample_frames(clip.clip.n_frames), lambda frame: self.embedding(clip.face_HWC(frame)),
            _STRANGER, lambda distance: 1 - distance,
        )  # fmt: skip

    def keep(self, clip: ClipMedia) -> Mapping[str, NDArray[np.float32]]:
        """Mean embedding (128,), not normalised; compare by L2."""
        if self._latest is None or self._latest[0] != clip.clip.clip_id:
            self._latest = clip.clip.clip_id, self._embeddings(clip)
        return {"mean_embedding": self._latest[1].mean(axis=0)}

    def _embeddings(self, clip: ClipMedia) -> NDArray[np.float32]:
        """(K, 128): one sample from the middle of each whole second."""
        frames = sample_frames(clip.clip.n_frames)
        return np.array([self.embedding(clip.face_HWC(frame)) for frame in frames], np.float32)

    def embedding(self, face_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(128,) of one RGB face crop (256, 256, 3), as `ClipMedia.face_HWC` cuts it."""
        edge = (FACE_CROP_PX - FACE_CROP_PX / FACE_CROP_SCALE) / 2
        box = dlib.rectangle(*(round(px) for px in (edge, edge, FACE_CROP_PX - edge, FACE_CROP_PX - edge)))
        whole_HWC = np.ascontiguousarray(face_HWC)
        return np.array(self._network.compute_face_descriptor(whole_HWC, self._aligner(whole_HWC, box)), np.float32)


def _model_file(name: str) -> Path:
    """Find a model without importing its package, whose import needs the long gone pkg_resources."""
    package = importlib.util.find_spec("face_recognition_models")
    found = Path(package.origin).parent / "models" / name if package and package.origin else None
    if found is None or not found.is_file():
        raise VividHeadError(f"no {name}: pip install --force-reinstall face_recognition_models")
    return found
