"""How well lips and sound go together, and at which lag: features, the fixed linear map, the lag search.

Numpy only. `scores/lip_sync.py` applies a map, `fit_lip_sync.py` makes one; docs/lip-sync.md has the figures.

    mesh ─▶ head pose removed ─▶ 13 lip measures + 8 shape numbers ─▶ high-passed, with gradients ─┐
                                                                                          6 + 6 channels each
    sound ─▶ log mel, energy, flux, voicing ─▶ ±5 frames of context ───────────────────────────────┘
                                              correlation of each pair of channels at lags -15 … 15 ─▶ curve

Sign: a lag is positive when the picture is **later** than the sound. Sound delayed by 3 frames: the lips move
first, the lag is -3 (-120 ms); sound that comes 3 frames early: +3.

Axes: T frames on the 25 fps grid, N mesh points, C their x, y, z, P still or lip points, F features,
D channels, L lags, S audio samples at 16 kHz, J spectra of 10 ms, B their bins, M mel bands, K shape numbers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import VividHeadError
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

Floats = NDArray[np.float64]

MAX_LAG_FRAMES = 15
LAGS_L = np.arange(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1)

# Points of MediaPipe's mesh that speech hardly moves: seven on the midline, then mirrored pairs of eyes,
# brows, forehead and nose bridge.
STILL_MIDLINE = (10, 151, 9, 8, 168, 6, 197)
STILL_RIGHT = (33, 133, 130, 243, 70, 63, 105, 66, 107, 109, 67, 103, 54, 108, 193, 122)
STILL_LEFT = (263, 362, 359, 463, 300, 293, 334, 296, 336, 338, 297, 332, 284, 337, 417, 351)
STILL_P = (*STILL_MIDLINE, *STILL_RIGHT, *STILL_LEFT)
RIGHT_EYE, LEFT_EYE = STILL_P.index(33), STILL_P.index(263)
LIPS_P = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
    199, 175, 152,
)  # fmt: skip
SHAPE_NUMBERS = 8
MEASURES = 13
RIDGE_TARGETS = [0, 1, 2, *(MEASURES + SHAPE_NUMBERS + i for i in range(3))]
"""Lip features that the ridge half predicts from sound: opening, width, mid opening, and their gradients."""

LONGEST_GAP_FRAMES = 5
"""Longer runs of frames without a mesh are left out of the correlations."""
MOVING_MEAN_FRAMES = 51
VOICE_CONTEXT_FRAMES = 5
LIP_CONTEXT_FRAMES = 1
MEL_BANDS = 32
FLOOR_NATS = 13.8
"""Sound this far (60 dB) below the clip's loud parts counts as nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LipAudioMap:
    """The fitted coefficients. Everything the score knows of faces and voices is here."""

    still_PC: Floats
    """Average place of the still points, face to the front; unit: distance of the outer eye corners."""
    shape_basis_KP: Floats
    """Principal movements of lips and chin, (8, 43 × 3)."""
    lip_scale_F: Floats
    """Standard deviation of each lip feature over the training clips."""
    lip_cca_FD: Floats
    voice_cca_FD: Floats
    voice_ridge_FD: Floats
    weight_cca_D: Floats
    weight_ridge_D: Floats
    """Shares of the channels in the curve; those of both halves together sum to 1."""
    confidence: Floats
    """Of `confidence_of`: intercept, gain per second and unit of peak, loss per second, longest frames."""
    provenance: Mapping[str, Any]
    """Which clips, under which licences, with which held-out figures."""

    def save(self, path: Path) -> None:
        """Write the coefficients as float32 with the provenance as JSON text beside them."""
        arrays = {k: getattr(self, k).astype(np.float32) for k in self.array_names()}
        told = np.array(json.dumps(self.provenance, ensure_ascii=False))
        np.savez_compressed(path, **arrays, provenance=told)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        try:
            with np.load(path) as stored:
                arrays = {k: stored[k].astype(np.float64) for k in cls.array_names()}
                return cls(**arrays, provenance=json.loads(str(stored["provenance"])))
        except (KeyError, ValueError) as fault:
            raise VividHeadError(
                f"{path}: not a lip-sync map ({fault}); make one with python -m vividhead.fit_lip_sync"
            ) from fault

    @classmethod
    def array_names(cls) -> list[str]:
        """All fields but the provenance."""
        return [f.name for f in fields(cls) if f.name != "provenance"]


def bridged(landmarks_TNC: NDArray[np.floating[Any]]) -> tuple[Floats, NDArray[np.bool_]]:
    """The still, lip and chin points (T, 82, 3), gaps filled in straight lines; and which frames may be used.

    A frame may be used if it had a mesh or lies in a gap of at most 0.2 s between two that had.
    """
    seen_T = np.isfinite(landmarks_TNC[:, 0, 0])
    points_TPC = np.array(landmarks_TNC[:, (*STILL_P, *LIPS_P)], np.float64)
    known = np.flatnonzero(seen_T)
    if len(known) in (0, len(seen_T)):
        return points_TPC, seen_T
    place_T = np.interp(np.arange(len(seen_T)), known, np.arange(len(known)))
    before, after = known[np.floor(place_T).astype(int)], known[np.ceil(place_T).astype(int)]
    share_T = (place_T % 1)[:, None, None]
    points_TPC = (1 - share_T) * points_TPC[before] + share_T * points_TPC[after]
    return points_TPC, seen_T | ((after > before) & (after - before <= LONGEST_GAP_FRAMES + 1))


def similarity(from_TPC: Floats, to_PC: Floats) -> tuple[Floats, Floats, Floats]:
    """Scale (T, 1, 1), rotation (T, C, C) and centre (T, 1, C) that lay each frame's points best on `to_PC`.

    Use as `scale * (points - centre) @ rotation`; `to_PC` must be centred. Umeyama's closed form.
    """
    centre = from_TPC.mean(axis=1, keepdims=True)
    centred_TPC = from_TPC - centre
    u, s, vt = np.linalg.svd(np.swapaxes(centred_TPC, 1, 2) @ to_PC)
    flip = np.ones_like(s)
    flip[:, -1] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    scale = (s * flip).sum(axis=1) / (centred_TPC**2).sum(axis=(1, 2))
    return scale[:, None, None], (u * flip[:, None, :]) @ vt, centre


def frontal(points_TPC: Floats, still_PC: Floats) -> Floats:
    """Lip and chin points (T, 43, 3) of `bridged` points, with the head's pose, place and size removed.

    Frames are laid on the person's own mean shape, because on a stranger's they would wobble with the pose.
    """
    still_TPC = points_TPC[:, : len(STILL_P)]
    scale, rotation, centre = similarity(still_TPC, still_PC)
    own_PC = (scale * (still_TPC - centre) @ rotation).mean(axis=0)
    own_PC /= np.linalg.norm(own_PC[LEFT_EYE] - own_PC[RIGHT_EYE])
    scale, rotation, centre = similarity(still_TPC, own_PC - own_PC.mean(axis=0))
    return np.asarray(scale * (points_TPC[:, len(STILL_P) :] - centre) @ rotation)


def lip_measures(lips_TPC: Floats) -> Floats:
    """Thirteen measures (T, 13) of the mouth, in distances of the outer eye corners."""

    def at(*points: int) -> Floats:
        return np.asarray(np.mean([lips_TPC[:, LIPS_P.index(p)] for p in points], axis=0))

    def gap(upper: tuple[int, ...], lower: tuple[int, ...]) -> Floats:
        return at(*lower)[:, 1] - at(*upper)[:, 1]

    corners = at(61, 291)
    return np.stack([
        gap((81, 311), (178, 402)), at(308)[:, 0] - at(78)[:, 0], gap((13,), (14,)),
        gap((0,), (17,)), gap((37, 267), (84, 314)), at(291)[:, 0] - at(61)[:, 0],
        at(0)[:, 2] - corners[:, 2], at(17)[:, 2] - corners[:, 2],
        at(152)[:, 1], at(0, 13)[:, 1], at(14, 17)[:, 1], corners[:, 1], corners[:, 2],
    ], axis=1)  # fmt: skip


def high_passed(values_TF: Floats) -> Floats:
    """Take off the mean of two seconds around each frame, then smooth over three frames."""
    sums = np.cumsum(np.vstack([np.zeros((1, values_TF.shape[1])), values_TF]), axis=0)
    half, frames = MOVING_MEAN_FRAMES // 2, np.arange(len(values_TF))
    start, end = np.maximum(frames - half, 0), np.minimum(frames + half + 1, len(values_TF))
    means_TF = (sums[end] - sums[start]) / (end - start)[:, None]
    padded = np.pad(values_TF - means_TF, ((1, 1), (0, 0)), mode="edge")
    return np.asarray(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:])


def raw_lip_features(lips_TPC: Floats, shape_basis_KP: Floats) -> Floats:
    """Measures and shape numbers with their gradients, (T, 42), before they are put on one scale."""
    moving_TF = high_passed(np.hstack([lip_measures(lips_TPC), lips_TPC.reshape(len(lips_TPC), -1)]))
    kept_TF = np.hstack([moving_TF[:, :MEASURES], moving_TF[:, MEASURES:] @ shape_basis_KP.T])
    return np.hstack([kept_TF, np.gradient(kept_TF, axis=0)])


def with_context(features_TF: Floats, frames: int) -> Floats:
    """Each frame with `frames` neighbours on both sides, (T, F × (2 frames + 1)); zeros beyond the ends."""
    padded = np.pad(features_TF, ((frames, frames), (0, 0)))
    return np.hstack([padded[i : i + len(features_TF)] for i in range(2 * frames + 1)])


@cache
def _mel_filters(bins: int) -> Floats:
    hz = np.linspace(0, SAMPLE_RATE_HZ / 2, bins)
    low, high = (1127 * np.log(1 + f / 700) for f in (60.0, 7600.0))
    edges = 700 * (np.exp(np.linspace(low, high, MEL_BANDS + 2) / 1127) - 1)
    rising = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)).T)


def voice_spectra(audio_S: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    """Mel power (J, 32) and voicing 0 … 1 (J,) every 10 ms; four spectra of 25 ms lie within each frame."""
    window, hop, size = 400, 160, 640  # size: room for correlations up to 12.5 ms without wrapping round
    count = len(audio_S) // hop
    padded = np.pad(np.asarray(audio_S, np.float64), (window // 2 - hop // 2, window))
    pieces_JS = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:count]
    power_JB = np.abs(np.fft.rfft(pieces_JS * np.hamming(window), size)) ** 2
    omega_B = np.linspace(0, np.pi, power_JB.shape[1])
    emphasis_B = 1 + 0.97**2 - 2 * 0.97 * np.cos(omega_B)  # the filter 1 - 0.97/z, on the power
    pitch_hz = (80, 400)
    lags = slice(SAMPLE_RATE_HZ // pitch_hz[1], SAMPLE_RATE_HZ // pitch_hz[0] + 1)
    correlation_J = np.fft.irfft(power_JB)
    voicing_J = correlation_J[:, lags].max(axis=1) / np.maximum(correlation_J[:, 0], 1e-9)
    return (power_JB * emphasis_B) @ _mel_filters(power_JB.shape[1]), np.clip(voicing_J, 0, 1)


def voice_features(audio_S: NDArray[np.floating[Any]]) -> Floats:
    """Sound per frame with its context, (T, 19 × 11): 16 mel levels, energy, flux, voicing; loudness gone."""
    power_JM, voicing_J = voice_spectra(audio_S)
    mel_JM, energy_J = (_floored(np.log(p + 1e-10)) for p in (power_JM, power_JM.mean(axis=1)))
    flux_J = np.maximum(0, np.diff(mel_JM, axis=0, prepend=mel_JM[:1])).mean(axis=1)
    per_frame = SAMPLES_PER_FRAME // 160
    voice_JF = np.column_stack([mel_JM.reshape(len(mel_JM), -1, 2).mean(axis=2), energy_J, flux_J, voicing_J])
    voice_TF = voice_JF.reshape(-1, per_frame, voice_JF.shape[1]).mean(axis=1)
    voice_TF -= voice_TF.mean(axis=0)
    bands = MEL_BANDS // 2
    voice_TF[:, :bands] /= voice_TF[:, :bands].std() + 1e-9
    voice_TF[:, bands:] /= voice_TF[:, bands:].std(axis=0) + 1e-9
    return with_context(voice_TF, VOICE_CONTEXT_FRAMES)


def _floored(log_power: Floats) -> Floats:
    return np.maximum(log_power, np.percentile(log_power, 95) - FLOOR_NATS)


def lag_correlations(lips_TD: Floats, voice_TD: Floats, used_T: NDArray[np.bool_]) -> Floats:
    """Evidence (L, D) of each pair of channels at each lag: Fisher's z of their correlation over the overlap,
    smaller for a short overlap. Frames not in `used_T` do not count."""
    count = len(used_T)
    evidence_LD = np.zeros((len(LAGS_L), lips_TD.shape[1]))
    for i, lag in enumerate(LAGS_L):
        late, early = max(lag, 0), max(-lag, 0)
        used = used_T[late : count - early]
        if used.sum() < 2:
            continue
        lips = lips_TD[late : count - early][used]
        voice = voice_TD[early : count - late][used]
        lips, voice = lips - lips.mean(axis=0), voice - voice.mean(axis=0)
        power = np.sqrt((lips**2).sum(axis=0) * (voice**2).sum(axis=0))
        r_D = np.clip((lips * voice).sum(axis=0) / np.maximum(power, 1e-12), -0.999, 0.999)
        evidence_LD[i] = np.arctanh(r_D) * np.sqrt(used.sum() / count)
    return evidence_LD


def half_channels(
    lips_TF: Floats, voice_TF: Floats, lip_cca_FD: Floats, voice_cca_FD: Floats, voice_ridge_FD: Floats
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """(lips, voice) channels of the canonical half, then of the ridge half, each (T, 6)."""
    canonical = with_context(lips_TF, LIP_CONTEXT_FRAMES) @ lip_cca_FD, voice_TF @ voice_cca_FD
    return canonical, (lips_TF[:, RIDGE_TARGETS], voice_TF @ voice_ridge_FD)


def lag_curve(map_: LipAudioMap, lips_TPC: Floats, voice_TF: Floats, used_T: NDArray[np.bool_]) -> Floats:
    """How well lips (from `frontal`) and voice (from `voice_features`) agree at each lag, (L,)."""
    lips_TF = raw_lip_features(lips_TPC, map_.shape_basis_KP) / map_.lip_scale_F
    directions = map_.lip_cca_FD, map_.voice_cca_FD, map_.voice_ridge_FD
    canonical, ridge = half_channels(lips_TF, voice_TF, *directions)
    canonical_L = lag_correlations(*canonical, used_T) @ map_.weight_cca_D
    ridge_L = lag_correlations(*ridge, used_T) @ map_.weight_ridge_D
    return np.asarray(canonical_L + ridge_L)


@dataclass(frozen=True, slots=True)
class LagReading:
    """What a curve says. The lag is where it is highest, refined between frames by a parabola."""

    lag_frames: float
    peak: float
    confidence: float
    """Probability that sound and lips match and the lag is right, if that was as likely as not beforehand."""


def confidence_of(map_: LipAudioMap, peak: float, used_frames: int) -> float:
    """`LagReading.confidence` of a curve with this peak over so many frames.

    A chance peak shrinks as 1 / sqrt(length) and a true one does not; two normal distributions of that kind
    have log odds of the form intercept + seconds × (gain × peak - loss). Length beyond that of most clips it
    was fitted on adds nothing.
    """
    intercept, gain_per_s, loss_per_s, longest_frames = map_.confidence
    seconds = min(used_frames, longest_frames) / GRID_FPS
    return float(1 / (1 + np.exp(-intercept - seconds * (gain_per_s * peak - loss_per_s))))


def read_curve(map_: LipAudioMap, curve_L: Floats, used_frames: int) -> LagReading:
    """Highest point of a lag curve over `used_frames` frames, and how far to trust it."""
    i = int(curve_L.argmax())
    lag, peak = float(LAGS_L[i]), float(curve_L[i])
    if 0 < i < len(curve_L) - 1:
        before, after = float(curve_L[i - 1]), float(curve_L[i + 1])
        bend = before - 2 * peak + after
        lag += 0.5 * (before - after) / bend if bend < 0 else 0.0
    return LagReading(lag, peak, confidence_of(map_, peak, used_frames))


def read_lag(
    map_: LipAudioMap, landmarks_TNC: NDArray[np.floating[Any]], audio_S: NDArray[np.floating[Any]]
) -> LagReading:
    """Read a clip: mesh points of T frames (NaN where there is none, but not everywhere), 640 T samples."""
    points_TPC, used_T = bridged(landmarks_TNC)
    lips_TPC = frontal(points_TPC, map_.still_PC)
    curve_L = lag_curve(map_, lips_TPC, voice_features(audio_S), used_T)
    return read_curve(map_, curve_L, int(used_T.sum()))
