"""Which age and gender would a network guess?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vividhead.faces import FaceMesh
from vividhead.person_over_time import sample_frames
from vividhead.score import ClipMedia, Field, Score, Unmeasurable
from vividhead.weights import find_file, fingerprint


class Attributes(Score):
    """What InsightFace's genderage network guesses of the face: an age in years, and one of the two genders it knows.

    Guesses about people are sensitive data, and this network's are off by years and worse for some groups than
    for others; they are in no shipped pipeline. They may serve to see how a set is spread, and belong in no
    rule about a single clip. What people said of themselves goes into the source list's attributes instead.

    Needs InsightFace's buffalo_l folder (`vividhead weights fetch buffalo_l --accept-licence`), whose models
    are for non-commercial research only. One look a second, at frames that have a face mesh.
    """

    needs: ClassVar[tuple[str, str] | None] = ("buffalo_l", "genderage.onnx")
    fields: ClassVar[Mapping[str, Field]] = {
        "age_years": Field("years", "median over looks of the age guessed", -50, 200),
        "age_range_years": Field("years", "largest guess less the smallest", 0, 250),
        "male_probability": Field("1", "mean over looks; the network knows male and female alone", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 180.0  # nearly all of it the mesh, where no other score has asked for it

    def __init__(self) -> None:
        """Open the network of the weights folder."""
        from vividhead.backends.insightface import GENDERAGE_PX, face_network

        assert self.needs is not None
        path = find_file(*self.needs)
        self._network = face_network(path, GENDERAGE_PX, 3)
        self.fingerprint = f"{fingerprint(self.needs[0], path)} {FaceMesh.fingerprint}"

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        from vividhead.backends.insightface import age_and_gender

        mesh_TNC = clip.landmarks_TNC
        frames = [f for f in sample_frames(clip.clip.n_frames) if np.isfinite(mesh_TNC[f]).all()]
        if not frames:
            raise Unmeasurable("face_mesh_lost", "no face mesh at any of the frames looked at")
        guesses = [age_and_gender(self._network, clip.face_HWC(frame), mesh_TNC[frame]) for frame in frames]
        ages_K, male_K = np.clip(np.array(guesses), (-50, 0), (200, 1)).T
        return {
            "age_years": float(np.median(ages_K)),
            "age_range_years": float(np.ptp(ages_K)),
            "male_probability": float(male_K.mean()),
        }
