"""Is it the same person from start to end, by ArcFace?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vividhead.faces import FaceMesh
from vividhead.person_over_time import fields, person_over_time, sample_frames
from vividhead.score import ClipMedia, Field, Score, Unknown, Unmeasurable
from vividhead.weights import find_file, fingerprint

_STRANGER = 1.18
"""L2 of unit vectors at a cosine of 0.3, midway in what is usual for one person with this file."""


class IdentityArcface(Score):
    """What `identity` tells, by ArcFace's 512-number embeddings (ResNet-50, WebFace600K), of unit length.

    Needs InsightFace's buffalo_l folder (`vividhead weights fetch buffalo_l --accept-licence`), whose models
    are for non-commercial research only. Similarity is the cosine: 1 is the same picture, 0 is unrelated; one
    person usually reads above 0.3 to 0.5. Distances are L2 of the unit vectors, from 0 to 2.

    One look a second, at frames that have a face mesh: eyes, nose and mouth are laid where ArcFace expects
    them. Fields are as in `identity`. The clip's mean embedding, again of unit length, is kept.
    """

    needs: ClassVar[tuple[str, str] | None] = ("buffalo_l", "w600k_r50.onnx")
    fields: ClassVar[Mapping[str, Field]] = fields("cosine", -1, "L2", 2)
    cost_ms_per_s: ClassVar[float] = 250.0  # 184 for the network, and a third of the mesh

    def __init__(self) -> None:
        """Open the network of the weights folder."""
        from vividhead.backends.insightface import ARCFACE_PX, WIDTH, face_network

        assert self.needs is not None
        path = find_file(*self.needs)
        self._network = face_network(path, ARCFACE_PX, WIDTH)
        self.fingerprint = f"{fingerprint(self.needs[0], path)} {FaceMesh.fingerprint}"
        self._latest: tuple[str, NDArray[np.float32]] | None = None

    def measure(self, clip: ClipMedia) -> Mapping[str, float | Unknown]:
        frames, samples_KD = self._samples(clip)
        return person_over_time(
            samples_KD, frames, lambda frame: self._look(clip, frame), _STRANGER,
            lambda distance: max(-1.0, 1 - distance**2 / 2),
        )  # fmt: skip

    def keep(self, clip: ClipMedia) -> Mapping[str, NDArray[np.float32]]:
        """Mean embedding (512,) of unit length; compare by cosine."""
        if self._latest is None or self._latest[0] != clip.clip.clip_id:
            self._samples(clip)
        assert self._latest is not None
        mean_D = self._latest[1].mean(axis=0)
        return {"mean_embedding": mean_D / max(float(np.linalg.norm(mean_D)), 1e-9)}

    def _samples(self, clip: ClipMedia) -> tuple[list[int], NDArray[np.float32]]:
        looks = [(frame, self._look(clip, frame)) for frame in sample_frames(clip.clip.n_frames)]
        seen = [(frame, found_D) for frame, found_D in looks if found_D is not None]
        if not seen:
            raise Unmeasurable("face_mesh_lost", "no face mesh at any of the frames looked at")
        samples_KD = np.stack([found_D for _, found_D in seen])
        self._latest = clip.clip.clip_id, samples_KD
        return [frame for frame, _ in seen], samples_KD

    def _look(self, clip: ClipMedia, frame: int) -> NDArray[np.float32] | None:
        """(512,), or None where there is no mesh."""
        from vividhead.backends.insightface import embedding_512

        mesh_NC = clip.landmarks_TNC[frame]
        return embedding_512(self._network, clip.face_HWC(frame), mesh_NC) if np.isfinite(mesh_NC).all() else None
