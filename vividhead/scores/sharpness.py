"""Is the face in focus, whatever its size in the source?"""

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.score import FACE_CROP_PX, FACE_CROP_SCALE, FACE_DISC_HW, ClipMedia, Field, Score, Unmeasurable

_STEP = 12  # grid frames between samples: about two a second
_FINE_PX, _COARSE_PX = 1.0, 2.5  # Gaussian sigmas of the two looks at an edge, in crop pixels
_EDGES = 5.0  # percent of the face's pixels taken for edges: lids, lashes, nostrils, lips, jaw
_FAINTEST_STEP = 4.0  # luma levels; below, what looks like an edge may be rounding
_FACE_PX = FACE_CROP_PX / FACE_CROP_SCALE
_SHARPEST = _FACE_PX / 0.25  # an edge narrower than a quarter pixel cannot be told from a pixel


class Sharpness(Score):
    """Face height ÷ blur of the face's strongest edges: how many blurs fit the face from brow to chin.

    Each edge is looked at through two Gaussians. Across a step blurred by sigma s, the gradient seen through
    a Gaussian g peaks in proportion to 1 / sqrt(s² + g²), so the ratio of the two gradients gives s, free of
    the edge's contrast (the re-blur method of Zhuo and Sim, Pattern Recognition 44, 2011). All is in units of
    the face's height: the same face reads alike at any source resolution that can hold its detail (within
    8 % when a face of 170 … 460 px is halved), and less where it was too small to hold it. Noise, as seen in
    the flat half of the face, is subtracted: 10 levels of it move the reading by about 1 %. Clear faces read
    80 … 140; a defocus of 1 % of the face's height makes that about 60 … 90, of 2 % about 40 … 55.

    The 10th percentile of two samples a second is reported, so that a short blur counts.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "blurs_per_face_p10": Field(
            "1", "10th percentile over samples of face height ÷ edge blur; higher is sharper", 0, _SHARPEST
        ),
    }
    cost_ms_per_s: ClassVar[float] = 5.0

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        read = (_blurs_per_face(face_HWC) for _, face_HWC in clip.faces(_STEP))
        known = [value for value in read if value is not None]
        if not known:
            raise Unmeasurable("no_edges", "no edge in the face stands out from rounding and noise")
        return {"blurs_per_face_p10": float(np.percentile(known, 10))}


def _blurs_per_face(face_HWC: NDArray[np.uint8]) -> float | None:
    """Read one RGB face crop; None where no edge stands out."""
    luma_HW = cv2.cvtColor(face_HWC, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse = (_gradient_energy(luma_HW, sigma)[FACE_DISC_HW] for sigma in (_FINE_PX, _COARSE_PX))
    edges = coarse >= np.percentile(coarse, 100 - _EDGES)
    flat = coarse <= np.median(coarse)
    # Noise is nearly all gone from the coarse look, shading is alike in both: the difference is noise.
    noise = max(float((fine[flat] - coarse[flat]).mean()), 0.0)
    fine_energy, coarse_energy = float(fine[edges].mean()) - noise, float(coarse[edges].mean())
    step = np.sqrt(coarse_energy * 2 * np.pi) * _COARSE_PX  # at least; the edge's own blur only adds to it
    if step < _FAINTEST_STEP or fine_energy <= noise:
        return None
    ratio = fine_energy / coarse_energy
    if ratio <= 1.0:
        return 0.0  # the fine look finds no more than the coarse one: blur without measure
    blur = (_COARSE_PX**2 - ratio * _FINE_PX**2) / (ratio - 1.0)
    return min(_FACE_PX / float(np.sqrt(max(blur, 1e-6))), _SHARPEST)


def _gradient_energy(luma_HW: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Squared gradient of the picture seen through a Gaussian, in levels² per pixel²."""
    seen_HW = cv2.GaussianBlur(luma_HW, (0, 0), sigma)
    down_HW, right_HW = np.gradient(seen_HW)
    return np.asarray(down_HW**2 + right_HW**2, np.float32)
