"""Somebody else in the picture: in place of the talker, or beside them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.calibrate.perturbations.family import Family, Pictures, Scene, Truth
from vividhead.records import GRID_FPS

GAMMA = 2.2
"""From light to levels."""
EYE_DISTANCE = 5.0
"""Of the camera from the face, in heights of the face."""
WALL = 96
"""Grey of the empty half of the picture beside the talker."""
IDENTITY = (
    "identity.worst_similarity_to_medoid", "identity.worst_pair_similarity", "identity.drift_start_to_end",
    "identity.largest_step",
)  # fmt: skip
MOMENT = "identity.switch_at_s"
IN_THE_MIDDLE = Truth(field=MOMENT, of_level=lambda level: 0.5, compared="times_duration")


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


def relit(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """From the middle on the light comes from the right: `level` stops more there than on the left, and warmer."""
    frames_THWC = scene.frames_THWC.copy()
    width = frames_THWC.shape[2]
    centre = (scene.face[0] + scene.face[2]) / 2
    stops_W = level / 2 * np.clip((np.arange(width) - centre) / scene.face_px * 2, -1, 1)
    tint_C = 2.0 ** np.array([0.15, 0, -0.15])
    gain_WC = ((2.0**stops_W)[:, None] * tint_C) ** (1 / GAMMA)
    for frame_HWC in frames_THWC[scene.n_frames // 2 :]:
        frame_HWC[:] = np.clip(frame_HWC * gain_WC, 0, 255).round()
    return scene.shown(frames_THWC)


def turned(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """From the middle on the flat picture is turned about its upright axis by `level` degrees, tilted by a third."""
    height, width = scene.frames_THWC.shape[1:3]
    face_x, face_y = ((scene.face[i] + scene.face[i + 2]) / 2 for i in (0, 1))
    angle, away = np.deg2rad(level), EYE_DISTANCE * scene.face_px
    turn_33 = np.array([[np.cos(angle), 0, 0], [0, 1, 0], [np.sin(angle), 0, away]])
    seen = np.diag([away, away, 1]) @ turn_33
    seen = (
        np.array([[1, 0, face_x], [0, 1, face_y], [0, 0, 1]])
        @ seen
        @ np.array([[1, 0, -face_x], [0, 1, -face_y], [0, 0, 1]])
    )
    tilt = np.vstack([cv2.getRotationMatrix2D((face_x, face_y), level / 3, 1), [0, 0, 1]])
    frames = list(scene.frames_THWC)
    for at in range(scene.n_frames // 2, scene.n_frames):
        frames[at] = cv2.warpPerspective(frames[at], tilt @ seen, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return scene.shown(np.stack(frames))


def beside(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """The picture twice as wide; in the other half somebody else, for the first `level` of the time, then a wall."""
    theirs_THWC = in_place_of(scene, other)
    theirs_THWC[round(level * scene.n_frames) :] = WALL
    return scene.shown(np.concatenate([scene.frames_THWC, theirs_THWC], axis=2))


FAMILIES = (
    Family(
        name="identity_cut", meaning="a hard cut to another person in the same place, at the middle", unit="of 1",
        levels=(1,), harmful=(1,), concerns=IDENTITY, changes="pictures",
        make=lambda scene, other, level, rng: faded(scene, other, 0.0, rng), truth=(IN_THE_MIDDLE,),
    ),
    Family(
        name="identity_fade", meaning="a cross-fade to another person, of this length", unit="s", levels=(0.5, 1, 2),
        harmful=(0.5, 1, 2), concerns=IDENTITY, changes="pictures", make=faded, truth=(IN_THE_MIDDLE,),
    ),
    Family(
        name="relit", meaning="the same talker in other light from the middle on: from the side, so many stops apart",
        unit="stops", levels=(-2, 2), harmful=(), concerns=(), changes="pictures", make=relit,
        watches=(*IDENTITY, MOMENT),
    ),
    Family(
        name="turned", meaning="the same talker seen from elsewhere from the middle on: from the side, and tilted",
        unit="degrees", levels=(15, 30), harmful=(), concerns=(), changes="pictures", make=turned,
        watches=(*IDENTITY, MOMENT),
    ),
    Family(
        name="second_face", meaning="somebody else beside the talker for this part of the time", unit="of 1",
        levels=(0.1, 0.25, 0.5, 1), harmful=(0.25, 0.5, 1), concerns=("other_faces.seconds_fraction",),
        changes="pictures", make=beside,
        truth=(Truth(field="other_faces.seconds_fraction", of_level=lambda share: share, compared="to_zero"),),
    ),
)  # fmt: skip
