"""How far is the head turned away from the camera?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vividhead.faces import FaceMesh
from vividhead.score import ClipMedia, Field, Score, Unknown

# Mesh points that keep their place on the skull, as (picture's left, picture's right) of a facing head: eye
# corners, temples, cheeks before the ears, sides of the forehead. Each join points along the head's width.
_PAIRS = np.array(
    [(33, 263), (133, 362), (127, 356), (234, 454), (93, 323), (54, 284), (103, 332), (67, 297), (109, 338)]
)
_FOREHEAD_TOP, _NOSE_BASE = 10, 2
# The nose's base stands before the top of the forehead: in MediaPipe's canonical face, drawn facing straight
# ahead, the join of the two leans 8.7 degrees from the vertical.
_LEAN_RAD = np.radians(8.7)


class HeadPose(Score):
    """Yaw, pitch and roll of the head from the mesh, taken as a rigid body under weak perspective.

    The head's width runs along nine left–right pairs of points that no expression moves, its height from the
    top of the forehead to the base of the nose. Yaw is about the head's own height, then comes pitch, then
    roll in the picture, which therefore is free of the other two; 0 is upright and facing the camera. The
    zero of pitch differs with people's profiles by a few degrees.

    The 95th percentile of each angle's size over frames is reported, so that a turn of a few frames counts.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "yaw_deg_p95": Field("deg", "95th percentile over frames of |yaw|: turned left or right", 0, 180),
        "pitch_deg_p95": Field("deg", "95th percentile over frames of |pitch|: nodding up or down", 0, 90),
        "roll_deg_p95": Field("deg", "95th percentile over frames of |roll|: tilted in the picture", 0, 180),
        "coverage": Field("1", "fraction of frames in which the mesh found the face", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 55.0  # a third of the mesh, which three scores share
    fingerprint = FaceMesh.fingerprint

    def measure(self, clip: ClipMedia) -> Mapping[str, float | Unknown]:
        angles_T3 = yaw_pitch_roll_deg(clip.landmarks_TNC)
        known = ~np.isnan(angles_T3[:, 0])
        if not known.any():
            return {name: Unknown("no_mesh") for name in self.fields} | {"coverage": 0.0}
        yaw, pitch, roll = np.percentile(np.abs(angles_T3[known]), 95, axis=0)
        return {
            "yaw_deg_p95": float(yaw),
            "pitch_deg_p95": float(pitch),
            "roll_deg_p95": float(roll),
            "coverage": float(known.mean()),
        }


def yaw_pitch_roll_deg(landmarks_TNC: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (T, 3) degrees; NaN where there is no mesh.

    Positive is: turned to the picture's left, nodded down, tilted clockwise.
    """
    points_TNC = landmarks_TNC.astype(np.float64)
    right_T3 = _unit((points_TNC[:, _PAIRS[:, 1]] - points_TNC[:, _PAIRS[:, 0]]).sum(axis=1))
    lean_T3 = points_TNC[:, _NOSE_BASE] - points_TNC[:, _FOREHEAD_TOP]
    lean_T3 = _unit(lean_T3 - (lean_T3 * right_T3).sum(axis=1, keepdims=True) * right_T3)
    back_of_lean_T3 = np.cross(right_T3, lean_T3)  # axes as in the picture: x right, y down, z away
    down_T3 = np.cos(_LEAN_RAD) * lean_T3 + np.sin(_LEAN_RAD) * back_of_lean_T3
    back_T3 = np.cross(right_T3, down_T3)
    yaw = np.arctan2(-right_T3[:, 2], back_T3[:, 2])
    pitch = np.arcsin(np.clip(down_T3[:, 2], -1, 1))
    roll = np.arctan2(-down_T3[:, 0], down_T3[:, 1])
    return np.asarray(np.degrees(np.stack([yaw, pitch, roll], axis=1)))


def _unit(vectors_T3: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors_T3 / np.linalg.norm(vectors_T3, axis=1, keepdims=True))
