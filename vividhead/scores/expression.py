"""What do mouth and eyes do?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vividhead.faces import FaceMesh
from vividhead.records import GRID_FPS
from vividhead.score import ClipMedia, Field, Score, Unmeasurable

_EYE_CORNERS = (33, 263)
_INNER_LIPS = ((82, 87), (13, 14), (312, 317))  # upper, lower
_MOUTH_CORNERS = (61, 291)
_LIDS = (((160, 144), (158, 153)), ((385, 380), (387, 373)))  # upper, lower; of each eye
_EYES = ((33, 133), (362, 263))  # corners of each eye
_APART, _ACTIVE = 4, 0.03  # frames, and eye distances that lips move within them; the mesh's jitter is less
_SHUT = 0.6  # of the clip's usual opening
_LONGEST_BLINK_FRAMES = GRID_FPS // 2
_MIN_FRAMES = GRID_FPS


class Expression(Score):
    """Opening of the mouth, its width, and blinks, from the mesh.

    Openings are in units of the distance of the outer eye corners, free of the head's size in the picture and of its
    roll; turning the head shortens that distance, so profiles read high. An eye counts as shut under 0.6 of
    the opening that it usually has in the clip, so narrow eyes do not; a blink is at most half a second.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "mouth_open_p90": Field("eye distances", "90th percentile of the inner lips' distance", 0, 5),
        "mouth_active_fraction": Field("1", "fraction of frames in which the lips' distance changes", 0, 1),
        "mouth_width_range": Field("eye distances", "5th to 95th percentile of the mouth's width", 0, 5),
        "blinks_per_min": Field("1/min", "blinks of both eyes", 0, 60 * GRID_FPS),
        "eyes_shut_fraction": Field("1", "fraction of frames with both eyes shut", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 58.0  # a share of the mesh, which four scores have in common
    fingerprint = FaceMesh.fingerprint

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        mesh_TNC = clip.landmarks_TNC[:, :, :2].astype(np.float64)
        mesh_TNC = mesh_TNC[~np.isnan(mesh_TNC[:, 0, 0])]
        if len(mesh_TNC) < _MIN_FRAMES:
            raise Unmeasurable("no_mesh", f"{len(mesh_TNC)} frames have a mesh, {_MIN_FRAMES} are needed")
        size_T = _distance(mesh_TNC, *_EYE_CORNERS)
        open_T = np.mean([_distance(mesh_TNC, *pair) for pair in _INNER_LIPS], 0) / size_T
        width_T = _distance(mesh_TNC, *_MOUTH_CORNERS) / size_T
        shut_T = _shut(mesh_TNC)
        return {
            "mouth_open_p90": float(np.percentile(open_T, 90)),
            "mouth_active_fraction": float((np.abs(open_T[_APART:] - open_T[:-_APART]) > _ACTIVE).mean()),
            "mouth_width_range": float(np.subtract(*np.percentile(width_T, (95, 5)))),
            "blinks_per_min": _blinks(shut_T) * 60 * GRID_FPS / len(shut_T),
            "eyes_shut_fraction": float(shut_T.mean()),
        }


def _distance(mesh_TNC: NDArray[np.float64], a: int, b: int) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(mesh_TNC[:, a] - mesh_TNC[:, b], axis=1))


def _shut(mesh_TNC: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Frames in which both eyes are well under their usual opening."""
    both_T = np.ones(len(mesh_TNC), bool)
    for lids, corners in zip(_LIDS, _EYES, strict=True):
        open_T = np.mean([_distance(mesh_TNC, *pair) for pair in lids], 0) / _distance(mesh_TNC, *corners)
        both_T &= open_T < _SHUT * np.median(open_T)
    return both_T


def _blinks(shut_T: NDArray[np.bool_]) -> int:
    turns = np.flatnonzero(np.diff(np.r_[False, shut_T, False].astype(np.int8)))
    lengths = turns[1::2] - turns[::2]
    return int((lengths <= _LONGEST_BLINK_FRAMES).sum())
