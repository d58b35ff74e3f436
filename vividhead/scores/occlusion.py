"""Is something before the mouth?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.faces import FaceMesh
from vividhead.score import ClipMedia, Field, Score, Unmeasurable

_STEP = 6  # grid frames between samples: about four a second
_LIPS_P = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""The mesh's points around the lips, in order."""
_SKIN_P = (50, 280, 151, 9, 195, 5)  # cheeks, brow, bridge of the nose: skin that neither beard nor hand often covers
_BETWEEN = (1.1, 1.15), (1.35, 1.8)  # width and height, in lips, of the inner and outer edge of what is around them
_SKIN_RADIUS = 0.05  # in widths of the face
_LEAST_PX = 20  # of each place in the crop
_REDDER = 3.0  # steps of a* of 8-bit L*a*b*: one unit of contrast
_DARKER = 0.2  # of the surroundings' lightness: one unit of contrast
_LEAST_LIGHTNESS = 30.0  # of 255; darker skin is taken for this light
_DARKEST_PERCENT = 5  # of the lips' pixels: the line between them, or the opening
_DARK_PERCENT = 25  # of those around them, which are dark in part where a thing has a pattern
_NO_LIPS = 1.0  # units of contrast under which there are no lips to be seen
_FOREIGN = 25.0  # steps of a* and b* between the mouth's surroundings and the face's skin that no skin or beard makes


class Occlusion(Score):
    """How long the mouth is hidden: no lips to be seen where the mesh has them, or something of another colour there.

    The mesh draws lips over a hand or a microphone as well. Seen lips are redder than what is around them, or a dark
    line or opening runs through them: their contrast is the hypotenuse of the two, in units of 3 steps of a* and a
    fifth of the lightness. Real clips with faces of 100 px and more read 1.3 to 8 in every sample, bearded and
    dark-skinned people among them; drawn hands over their mouths read 0 to 1, up to 1.8 where the mesh is led astray.
    What is around the lips differs from brow and cheeks by up to 18 steps of colour, bearded or not.

    Four samples a second, of those in which the mesh finds the face. A mouth out of focus may read as hidden.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "mouth_hidden_fraction": Field("1", "fraction of the samples in which no lips are seen", 0, 1),
        "lip_contrast_median": Field("1", "median over samples of how far lips stand out; under 1 is none", 0),
    }
    cost_ms_per_s: ClassVar[float] = 58.0
    fingerprint = FaceMesh.fingerprint

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        mesh_TNC = clip.landmarks_TNC
        seen = [
            look
            for frame, face_HWC in clip.faces(_STEP)
            if not np.isnan(mesh_TNC[frame, 0, 0]) and (look := _look(face_HWC, mesh_TNC[frame, :, :2])) is not None
        ]
        if not seen:
            raise Unmeasurable("no_face", "no face in any sample, or too small a mouth")
        contrast_T, foreign_T = np.array(seen).T
        hidden_T = (contrast_T < _NO_LIPS) | (foreign_T > _FOREIGN)
        return {
            "mouth_hidden_fraction": float(hidden_T.mean()),
            "lip_contrast_median": float(np.median(contrast_T)),
        }


def _look(face_HWC: NDArray[np.uint8], mesh_N2: NDArray[np.float32]) -> tuple[float, float] | None:
    """Contrast of the lips, and how far the colour around them is from the skin's; None where they are too small."""
    lab_HWC = np.asarray(cv2.cvtColor(face_HWC, cv2.COLOR_RGB2LAB))
    lips_P2 = mesh_N2[list(_LIPS_P)]
    size = face_HWC.shape[:2]
    lips_HW = _filled(size, lips_P2, (1.0, 1.0))
    around_HW = _filled(size, lips_P2, _BETWEEN[1]) & ~_filled(size, lips_P2, _BETWEEN[0])
    skin_HW = _dots(size, mesh_N2)
    if min(lips_HW.sum(), around_HW.sum(), skin_HW.sum()) < _LEAST_PX:
        return None
    lips_K3, around_K3 = lab_HWC[lips_HW].astype(np.float32), lab_HWC[around_HW].astype(np.float32)
    around_3 = np.median(around_K3, axis=0)
    redder = max(float(np.median(lips_K3[:, 1]) - around_3[1]), 0.0)
    light = max(float(around_3[0]), _LEAST_LIGHTNESS)
    dark = float(np.percentile(around_K3[:, 0], _DARK_PERCENT))
    darker = max(dark - float(np.percentile(lips_K3[:, 0], _DARKEST_PERCENT)), 0.0) / light
    foreign = np.hypot(*(around_3[1:] - np.median(lab_HWC[skin_HW], axis=0)[1:]))
    return float(np.hypot(redder / _REDDER, darker / _DARKER)), float(foreign)


def _filled(size: Sequence[int], around_P2: NDArray[np.float32], scale: tuple[float, float]) -> NDArray[np.bool_]:
    """The area within these points, scaled about their middle."""
    middle_2 = around_P2.mean(0)
    corners_P2 = np.round(middle_2 + (around_P2 - middle_2) * np.array(scale)).astype(np.int32)
    return np.asarray(cv2.fillPoly(np.zeros(size, np.uint8), [corners_P2], (1,))) > 0


def _dots(size: Sequence[int], mesh_N2: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Patches of skin on cheeks, brow and nose."""
    wide = float(np.hypot(*(mesh_N2[234] - mesh_N2[454])))
    dots_HW = np.zeros(size, np.uint8)
    for point_2 in np.round(mesh_N2[list(_SKIN_P)]).astype(int).tolist():
        cv2.circle(dots_HW, point_2, max(2, round(wide * _SKIN_RADIUS)), (1,), -1)
    return dots_HW > 0
