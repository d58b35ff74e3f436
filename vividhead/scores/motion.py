"""Does the face live, and does the head race about?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vividhead.faces import FaceMesh
from vividhead.records import GRID_FPS
from vividhead.score import FACE_CROP_PX, ClipMedia, Field, Score, Unmeasurable

_SURFACE = slice(0, 468)  # without the irises, whose points follow the gaze
# Points that no expression moves: forehead, bridge of the nose, eye corners, temples.
_SKULL = [10, 338, 297, 109, 67, 151, 9, 8, 168, 6, 197, 33, 133, 362, 263, 127, 356, 54, 284]
_LIPS = [61, 291, 0, 17, 37, 267, 84, 314, 39, 269, 181, 405, 13, 14, 78, 308, 82, 312, 87, 317]
_CHIN = [152, 148, 377]
_LIDS = [159, 145, 386, 374, 160, 158, 385, 387, 153, 144, 380, 373]
_EYE_CORNERS = 33, 263  # outer
_SPEED_REACH = 2  # frames to either side, against the mesh's jitter
_FAST, _SLOW = 3, GRID_FPS  # frames averaged: speech lies between the two
_MIN_FRAMES = GRID_FPS


class Motion(Score):
    """Speed of the head in the source picture, and how much the face itself moves.

    A still photo that a camera moves over, zooms or turns changes by one affine map a frame. So the mesh of
    each frame is laid on the mean mesh by the affine map that fits best, and what moves then is expression:
    the spread of mouth and eyelid points around their one-second mean, after averaging three frames against
    the mesh's jitter, in units of the distance of the outer eye corners (about 9 cm).

    `expression_std` of talking faces reads 0.011 … 0.018, of a silent face that blinks 0.006 … 0.007, of
    still photos so moved, with camera noise of 0 … 8 levels, 0.001 … 0.003 (0.005 in strong perspective).
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "head_speed_p95": Field("face heights/s", "95th percentile of the head's speed in the source", 0),
        "expression_std": Field("eye distances", "movement of mouth or eyelids, whichever is more", 0),
        "mouth_std": Field("eye distances", "movement of the mouth and chin", 0),
    }
    cost_ms_per_s: ClassVar[float] = 57.0  # a third of the mesh, which three scores share
    fingerprint = FaceMesh.fingerprint

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        mesh_TNC = clip.landmarks_TNC[:, _SURFACE, :2].astype(np.float64)
        seen_T = ~np.isnan(mesh_TNC[:, 0, 0])
        if seen_T.sum() < _MIN_FRAMES:
            raise Unmeasurable("no_mesh", f"{seen_T.sum()} frames have a mesh, {_MIN_FRAMES} are needed")
        still_TNC = _without_affine(mesh_TNC[seen_T])
        still_TNC /= np.linalg.norm(np.diff(still_TNC[:, _EYE_CORNERS].mean(axis=0), axis=0))
        mouth, lids = _movement(still_TNC[:, _LIPS + _CHIN]), _movement(still_TNC[:, _LIDS])
        return {
            "head_speed_p95": _head_speed_p95(clip, mesh_TNC),
            "expression_std": max(mouth, lids),
            "mouth_std": mouth,
        }


def _head_speed_p95(clip: ClipMedia, mesh_TNC: NDArray[np.float64]) -> float:
    squares_T4 = clip.crop_xyxy_px_T4.astype(np.float64)
    source_px_per_crop_px = (squares_T4[:, 2:3] - squares_T4[:, :1]) / FACE_CROP_PX
    head_T2 = squares_T4[:, :2] + mesh_TNC[:, _SKULL].mean(axis=1) * source_px_per_crop_px
    reach = 2 * _SPEED_REACH
    px_per_s = np.linalg.norm(head_T2[reach:] - head_T2[:-reach], axis=1) * GRID_FPS / reach
    face_height_px = np.median(clip.box_xyxy_px_T4[:, 3] - clip.box_xyxy_px_T4[:, 1])
    known = px_per_s[~np.isnan(px_per_s)]
    if not known.size:
        raise Unmeasurable("no_mesh", "the mesh never found the face through five frames")
    return float(np.percentile(known, 95) / face_height_px)


def _without_affine(mesh_TNC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lay each frame's (N, 2) points on their mean over time by the affine map of least squares."""
    centred_TNC = mesh_TNC - mesh_TNC.mean(axis=1, keepdims=True)
    mean_NC = centred_TNC[len(centred_TNC) // 2]
    for _ in range(2):  # the mean of the maps' results is the next aim; it settles at once
        transposed_TCN = centred_TNC.transpose(0, 2, 1)
        map_TCC = np.linalg.solve(transposed_TCN @ centred_TNC, transposed_TCN @ mean_NC)
        laid_TNC = centred_TNC @ map_TCC
        mean_NC = laid_TNC.mean(axis=0)
    return np.asarray(laid_TNC)


def _movement(points_TNC: NDArray[np.float64]) -> float:
    """Root mean square distance per axis from the one-second mean, of the three-frame mean."""
    from scipy.ndimage import uniform_filter1d  # half a second to load, for who only asks for the fields

    fast, slow = (uniform_filter1d(points_TNC, frames, axis=0) for frames in (_FAST, _SLOW))
    return float(np.sqrt(np.mean((fast - slow) ** 2)))
