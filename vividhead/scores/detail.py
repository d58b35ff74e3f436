"""Do the face's pixels hold the detail that they promise, in every direction?

Faces have much the same spectrum, whosever they are: from 4 to 40 cycles per face height its density falls by 10 dB
an octave (real clips of 25 people: within 3 dB), and on to the pixels' limit where the picture is as fine as its
pixels. Where it falls away from that law, there is no detail: scaled up, out of focus, smeared, coded away.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vividhead.score import ClipMedia, Field, Score, Unmeasurable

_SECTORS = 6  # directions, of 30 degrees each
_LOWEST = 4.0  # cycles per face height; coarser is the face's place and light
_PER_OCTAVE = 3
_LAW_BANDS = 4  # from 4 to 10 cycles: there every face that can be told from a smudge has its features
_DB_PER_OCTAVE = 10.0
_MISSING_DB = 9.0  # under the law: real faces stay above it nearly to their pixels' limit, pictures scaled up do not
_LEAST_PX = 32  # of the face's height; below, there are too few bands to tell
_NOTHING = 1e-6  # levels²: far under what rounding leaves, so that no logarithm is of nothing


class Detail(Score):
    """Up to which fineness the spectrum of the source's luma is that of a face, in all directions and in the poorest.

    `true_face_px` is the height of a face that would hold all the detail found: far less than the face's own height
    where the picture was scaled up, smeared, out of focus or coded away; `true_resolution_fraction` is their ratio.
    Grain added after scaling up hides it. `motion_blur_anisotropy` is the detail in all directions ÷ that in the
    poorest one: a smear takes the detail along its way and leaves that across, defocus and scaling take both.

    Medians of two samples a second. Faces of 160 px and more in 13 real clips read 131 px and more, mostly their own
    height; scaled down to 80 px and up again 84 to 103.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "true_face_px": Field("px", "height of the face that would hold the detail found", 0),
        "true_resolution_fraction": Field("1", "that ÷ the face's height in the source", 0, 1),
        "motion_blur_anisotropy": Field("1", "detail in all directions ÷ in the poorest; 1 is no smear", 1),
    }
    cost_ms_per_s: ClassVar[float] = 10.0

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        heights_T = (clip.box_xyxy_px_T4[:, 3] - clip.box_xyxy_px_T4[:, 1]).tolist()
        found = []
        for frame, luma_HW in clip.unscaled_lumas():
            detail = detail_px(luma_HW, heights_T[frame])
            if detail is not None:
                found.append((detail[0], detail[0] / heights_T[frame], max(detail[0] / detail[1], 1.0)))
        if not found:
            raise Unmeasurable("too_small", "a face of so few pixels has too few fine features to tell")
        true_px, fraction, smear = np.median(np.array(found), axis=0).tolist()
        return {
            "true_face_px": true_px,
            "true_resolution_fraction": min(fraction, 1.0),
            "motion_blur_anisotropy": smear,
        }


def detail_px(luma_HW: NDArray[np.uint8], face_px: float) -> tuple[float, float] | None:
    """Pixels of detail over the face's height, in all and in the direction that has least; None for faces under 32 px.

    `luma_HW` is the face or its middle, `face_px` the height of the whole in the same pixels. At most `face_px`.
    """
    bands = int(np.log2(face_px / 2 / _LOWEST) * _PER_OCTAVE + 0.5) if face_px >= _LEAST_PX else 0
    if bands <= _LAW_BANDS:
        return None
    energy_SB, count_SB = _by_direction_and_band(luma_HW, face_px, bands)
    count_B = count_SB.sum(0)
    all_B = 10 * np.log10(energy_SB.sum(0) / np.maximum(count_B, 1) + _NOTHING)
    known_SB = 10 * np.log10(energy_SB / np.maximum(count_SB, 1) + _NOTHING)
    each_SB = np.where(count_SB > 0, known_SB, all_B)
    return _reach(all_B, face_px), min(_reach(one_B, face_px) for one_B in each_SB)


def _by_direction_and_band(
    luma_HW: NDArray[np.uint8], face_px: float, bands: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum of the spectrum's energy, and number of its coefficients, by direction and third of an octave."""
    height, width = luma_HW.shape
    window_HW = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    mean = float((luma_HW * window_HW).sum() / window_HW.sum())
    energy_HW = np.abs(np.fft.rfft2((luma_HW - mean) * window_HW)) ** 2 / float((window_HW**2).sum())
    down_H1, right_1W = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    cycles_HW = np.hypot(down_H1, right_1W)
    band_HW = np.floor(np.log2(np.maximum(cycles_HW * face_px, 1e-9) / _LOWEST) * _PER_OCTAVE).astype(int)
    turn_HW = np.arctan2(down_H1, right_1W) / np.pi * _SECTORS
    sector_HW = np.floor(turn_HW + 0.5).astype(int) % _SECTORS
    inside_HW = (band_HW >= 0) & (band_HW < bands) & (cycles_HW <= 0.5)
    places = (sector_HW * bands + band_HW)[inside_HW]
    size = _SECTORS * bands
    energy_SB = np.bincount(places, energy_HW[inside_HW], size).reshape(_SECTORS, bands)
    count_SB = np.bincount(places, minlength=size).reshape(_SECTORS, bands)
    return energy_SB.astype(np.float64), count_SB.astype(np.int64)


def _reach(density_db_B: NDArray[np.float64], face_px: float) -> float:
    """Pixels that would just hold what is there: twice the cycles at which the density leaves the law."""
    octaves_B = (np.arange(len(density_db_B)) + 0.5) / _PER_OCTAVE
    over_B = density_db_B + _DB_PER_OCTAVE * octaves_B
    spare_B = over_B - over_B[:_LAW_BANDS].mean() + _MISSING_DB
    missing = np.flatnonzero(spare_B[2:] < 0)
    if not len(missing):
        return face_px
    last = int(missing[0]) + 1
    part = max(spare_B[last] / (spare_B[last] - spare_B[last + 1]), 0.0)
    return float(min(face_px, 2 * _LOWEST * 2 ** (octaves_B[last] + part / _PER_OCTAVE)))
