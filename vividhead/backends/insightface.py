"""InsightFace's networks of its buffalo_l folder by ONNX Runtime: whose face (ArcFace), and age and gender.

Their own package is not needed: its alignment is a least-squares fit of five points, and what it reads from the file
(how levels are scaled) is known of these files, which are told by size and sha256. The five points are taken of our
face mesh and not of InsightFace's detector, so values differ a little from those of its own pipeline.

Axes: B batch, C channel (RGB), H W picture, P five points, N mesh points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.backends.onnx_file import Session, session
from vividhead.weights import refused_weights

MODEL, ARCFACE, GENDERAGE = "buffalo_l", "w600k_r50.onnx", "genderage.onnx"
ARCFACE_PX, GENDERAGE_PX = 112, 96
WIDTH = 512
_ARCFACE_MIDDLE, _ARCFACE_SPREAD = 127.5, 127.5  # of levels; genderage's file scales by itself
_PLACES_P2 = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
"""Where ArcFace was shown eyes, nose and corners of the mouth, in its 112 px."""
_POINTS_P: Sequence[tuple[int, ...]] = ((33, 133), (362, 263), (1, 4), (61,), (291,))
"""The same in the mesh, as means: both corners of each eye, above and below the tip of the nose."""
_AROUND = 1.5
"""Side of what genderage looks at, in sides of the face."""

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FaceNetwork:
    """One file, opened, and checked by the shapes of what it takes and gives."""

    opened: Session
    takes: str

    def __call__(self, picture_HWC: Picture, middle: float = 0.0, spread: float = 1.0) -> Floats:
        """Its answer to one RGB picture."""
        blob_BCHW = ((picture_HWC.astype(np.float32) - middle) / spread).transpose(2, 0, 1)[None]
        (found_BN,) = self.opened.run(None, {self.takes: np.ascontiguousarray(blob_BCHW)})
        return np.asarray(found_BN[0])


def face_network(path: Path, side_px: int, numbers: int) -> FaceNetwork:
    """Open a file that takes (B, 3, side, side) and gives (B, numbers); raises VividHeadError for any other."""
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf

    try:
        opened = session(str(path))
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as fault:
        told = str(fault).partition("\n")[0]
        raise refused_weights(MODEL, path, f"cannot be read as an ONNX network ({told})") from fault
    takes, gives = opened.get_inputs(), opened.get_outputs()
    shapes = [list(value.shape)[1:] for value in (*takes, *gives)]
    if shapes != [[3, side_px, side_px], [numbers]]:
        raise refused_weights(MODEL, path, f"has a network of other shapes ({shapes})")
    return FaceNetwork(opened, takes[0].name)


def embedding_512(network: FaceNetwork, face_HWC: Picture, mesh_NC: Floats) -> Floats:
    """ArcFace's embedding of unit length of an RGB face crop, by its mesh in the crop's pixels."""
    found = network(aligned(face_HWC, mesh_NC), _ARCFACE_MIDDLE, _ARCFACE_SPREAD)
    return np.asarray(found / max(float(np.linalg.norm(found)), 1e-9), np.float32)


def aligned(face_HWC: Picture, mesh_NC: Floats) -> Picture:
    """The crop moved, turned and scaled so that eyes, nose and mouth come as near as can be to ArcFace's places."""
    points_P2 = np.stack([mesh_NC[list(those), :2].mean(axis=0) for those in _POINTS_P]).astype(np.float64)
    move_23 = similarity(points_P2, _PLACES_P2)
    return np.asarray(cv2.warpAffine(face_HWC, move_23, (ARCFACE_PX, ARCFACE_PX)), np.uint8)


def similarity(from_P2: NDArray[np.float64], to_P2: NDArray[np.float64]) -> NDArray[np.float64]:
    """The turn, scale and move (2, 3) that take points nearest to others, in squares, by complex numbers."""
    here_P, there_P = (points[:, 0] + 1j * points[:, 1] for points in (from_P2, to_P2))
    here_mean, there_mean = here_P.mean(), there_P.mean()
    turn = np.vdot(here_P - here_mean, there_P - there_mean) / np.vdot(here_P - here_mean, here_P - here_mean).real
    move = there_mean - turn * here_mean
    return np.array([[turn.real, -turn.imag, move.real], [turn.imag, turn.real, move.imag]])


def age_and_gender(network: FaceNetwork, face_HWC: Picture, mesh_NC: Floats) -> tuple[float, float]:
    """Age in years, and the probability that the network gives to `male`, of the two genders it knows."""
    low_2, high_2 = mesh_NC[:, :2].min(axis=0), mesh_NC[:, :2].max(axis=0)
    scale = GENDERAGE_PX / (_AROUND * float((high_2 - low_2).max()))
    move_2 = GENDERAGE_PX / 2 - scale * (low_2 + high_2) / 2
    laid = np.array([[scale, 0, move_2[0]], [0, scale, move_2[1]]])
    female, male, age = network(cv2.warpAffine(face_HWC, laid, (GENDERAGE_PX, GENDERAGE_PX)).astype(np.uint8)).tolist()
    return 100 * age, float(1 / (1 + np.exp(np.clip(female - male, -50, 50))))
