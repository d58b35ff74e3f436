"""Is the face in focus, whatever its size in the source?"""

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.score import FACE_CROP_PX, FACE_CROP_SCALE, FACE_DISC_HW, ClipMedia, Field, Score, Unmeasurable

_STEP = 12  # grid frames between samples: about two a second
_FINE_PX, _COARSE_PX = 1.0, 2.5  # Gaussian sigmas of the two looks at an edge, in crop pixels
_EDGES = 5.0  # percent of the face's pixels in which edges are sought: lids, lashes, nostrils, lips, jaw
_FAINTEST_STEP = 4.0  # luma levels; below, what looks like an edge may be rounding
_LEAST_OVER_NOISE = 8.0  # in energy; noise alone stays under it unless a face of under 60 px was enlarged
_FACE_PX = FACE_CROP_PX / FACE_CROP_SCALE
_PIXEL_BLUR = 0.21  # variance in pixel²: of a pixel's area, 1/12, and of what scaled it; fitted on 40 faces halved
_SHARPEST = _FACE_PX / 0.25  # an edge narrower than a quarter pixel cannot be told from a pixel


class Sharpness(Score):
    """Face height ÷ blur of the face's strongest edges: how many blurs fit the face from brow to chin.

    Each edge is looked at through two Gaussians. Across a step blurred by sigma s, the gradient seen
    through a Gaussian g peaks in proportion to 1 / sqrt(s² + g²), so the ratio of the two peaks gives s, free of the
    edge's contrast (the re-blur method of Zhuo and Sim, Pattern Recognition 44, 2011). All is in units of the face's
    height, and what the source's pixels themselves blur is taken to be that of a face of 142 px: the same face reads
    alike at any size. Noise, as seen in the flat half of the face, is subtracted. Clips in focus read 95 … 160; a
    defocus as wide as 1 % of the face's height makes that about 80, 2 % about 45 … 50, 4 % about 25.

    The 10th percentile of two samples a second is reported, so that a short blur counts.
    """

    version = 2
    fields: ClassVar[Mapping[str, Field]] = {
        "blurs_per_face_p10": Field(
            "1", "10th percentile over samples of face height ÷ edge blur; higher is sharper", 0, _SHARPEST
        ),
    }
    cost_ms_per_s: ClassVar[float] = 6.0

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        squares_T4 = clip.crop_xyxy_px_T4
        pixels_T = FACE_CROP_PX / (squares_T4[:, 2] - squares_T4[:, 0])
        read = (_blurs_per_face(face_HWC, float(pixels_T[frame])) for frame, face_HWC in clip.faces(_STEP))
        known = [value for value in read if value is not None]
        if not known:
            raise Unmeasurable("no_edges", "no edge in the face stands out from rounding and noise")
        return {"blurs_per_face_p10": float(np.percentile(known, 10))}


def _blurs_per_face(face_HWC: NDArray[np.uint8], pixel_px: float) -> float | None:
    """Read one RGB face crop; None where no edge stands out. `pixel_px`: side of a source pixel in the crop."""
    luma_HW = cv2.cvtColor(face_HWC, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine_HW, _ = _gradient(luma_HW, _FINE_PX)
    coarse_HW, sideways_HW = _gradient(luma_HW, _COARSE_PX)
    strong, middling = np.percentile(coarse_HW[FACE_DISC_HW], (100 - _EDGES, 50))
    edges_HW = FACE_DISC_HW & (coarse_HW >= strong) & _ridge(coarse_HW, sideways_HW)
    flat_HW = FACE_DISC_HW & (coarse_HW <= middling)
    if not edges_HW.any():
        return None
    fine, coarse = float(fine_HW[edges_HW].mean()), float(coarse_HW[edges_HW].mean())
    # Noise is nearly all gone from the coarse look, shading is alike in both: the difference is noise.
    noise = max(float((fine_HW[flat_HW] - coarse_HW[flat_HW]).mean()), 0.0)
    step = np.sqrt(coarse * 2 * np.pi) * _COARSE_PX  # at least; the edge's own blur only adds to it
    if step < _FAINTEST_STEP or fine < _LEAST_OVER_NOISE * noise:
        return None
    ratio = (fine - noise) / coarse
    if ratio <= 1.0:
        return 0.0  # the fine look finds no more than the coarse one: blur without measure
    blur = (_COARSE_PX**2 - ratio * _FINE_PX**2) / (ratio - 1.0)
    blur += _PIXEL_BLUR * (1.0 - pixel_px**2)
    return min(_FACE_PX / float(np.sqrt(max(blur, 1e-6))), _SHARPEST)


def _gradient(luma_HW: NDArray[np.float32], sigma: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Energy of the gradient seen through a Gaussian, in levels² per pixel², and where it points sideways."""
    down_HW, right_HW = np.gradient(cv2.GaussianBlur(luma_HW, (0, 0), sigma))
    return down_HW**2 + right_HW**2, np.abs(right_HW) >= np.abs(down_HW)


def _ridge(energy_HW: NDArray[np.float32], sideways_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels not under their two neighbours along the gradient: the middle of each edge."""
    left, right, up, down = (np.roll(energy_HW, by, axis) for axis in (1, 0) for by in (1, -1))
    return np.where(sideways_HW, energy_HW >= np.maximum(left, right), energy_HW >= np.maximum(up, down))
