"""Somebody else in the picture: in place of the talker, or beside them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.calibrate.perturbations.family import Family, Pictures, Scene, Truth
from vividhead.records import GRID_FPS

WALL = 96
"""Grey of the empty half of the picture beside the talker."""
IDENTITY = ("identity.worst_similarity_to_medoid", "identity.drift_start_to_end")


def in_place_of(scene: Scene, other: Scene) -> Pictures:
    """The other's pictures, as many, laid so that their face fills the place of the talker's."""
    height, width = scene.frames_THWC.shape[1:3]
    scale = scene.face_px / other.face_px
    x, y = ((scene.face[i] + scene.face[i + 2]) / 2 - (other.face[i] + other.face[i + 2]) / 2 * scale for i in (0, 1))
    laid = np.array([[scale, 0, x], [0, scale, y]], np.float32)
    frames = [other.frames_THWC[k % other.n_frames] for k in range(scene.n_frames)]
    return np.stack([cv2.warpAffine(f, laid, (width, height), borderMode=cv2.BORDER_REPLICATE) for f in frames]).astype(
        np.uint8
    )


def faded(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """The talker turns into somebody else around the clip's middle, within `level` seconds; 0 is a hard cut."""
    share_T = _share_of_other(scene.n_frames, level)
    theirs_THWC = in_place_of(scene, other)
    mixed = [
        cv2.addWeighted(mine, 1 - share, theirs, share, 0)
        for mine, theirs, share in zip(scene.frames_THWC, theirs_THWC, share_T.tolist(), strict=True)
    ]
    return scene.shown(np.stack(mixed).astype(np.uint8))


def _share_of_other(n_frames: int, seconds: float) -> NDArray[np.float64]:
    from_middle_s = (np.arange(n_frames) + 0.5 - n_frames / 2) / GRID_FPS
    return np.clip(from_middle_s / max(seconds, 1e-3) + 0.5, 0, 1)


def beside(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """The picture twice as wide; in the other half somebody else, for the first `level` of the time, then a wall."""
    theirs_THWC = in_place_of(scene, other)
    theirs_THWC[round(level * scene.n_frames) :] = WALL
    return scene.shown(np.concatenate([scene.frames_THWC, theirs_THWC], axis=2))


FAMILIES = (
    Family(
        name="identity_cut", meaning="a hard cut to another person in the same place, at the middle", unit="of 1",
        levels=(1,), harmful=(1,), concerns=IDENTITY, changes="pictures",
        make=lambda scene, other, level, rng: faded(scene, other, 0.0, rng),
    ),
    Family(
        name="identity_fade", meaning="a cross-fade to another person, of this length", unit="s", levels=(0.5, 1, 2),
        harmful=(0.5, 1, 2), concerns=IDENTITY, changes="pictures", make=faded,
    ),
    Family(
        name="second_face", meaning="somebody else beside the talker for this part of the time", unit="of 1",
        levels=(0.1, 0.25, 0.5, 1), harmful=(0.25, 0.5, 1), concerns=("other_faces.seconds_fraction",),
        changes="pictures", make=beside,
        truth=(Truth(field="other_faces.seconds_fraction", of_level=lambda share: share, compared="to_zero"),),
    ),
)  # fmt: skip
