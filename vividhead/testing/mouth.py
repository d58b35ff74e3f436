"""What a face does while it speaks: mouth shapes from phonemes, blinks, brows and the sway of the head.

Axes: T video frames, K instants of the 200 Hz timeline on which movements are planned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from vividhead.testing.speech import Speech

PLAN_HZ = 200
LEAD_S = 0.05
"""How far the mouth is ahead of the sound: articulators move first, and a frame shows its first instant.

So chosen that `lip_sync` reads no offset: its zero is the average of real talkers.
"""
ARTICULATOR_SIGMA_S = 0.034
"""Inertia of jaw and lips: what turns a row of shapes into coarticulated movement."""
CLOSURE_SIGMA_S = 0.020
"""Lip closures are quick: smoothed as slowly as the jaw, `b` and `m` would never close."""
LOUDNESS_SIGMA_S = 0.045

MOUTH_SHAPES = ("jaw", "spread", "round", "press", "tuck")
"""jaw open · corners outwards · corners inwards, lips forward · lips pressed · lower lip under the teeth."""

# mnemonic's first letter → (jaw, spread, round, press, tuck), each 0 … 1
_SHAPE_OF = {
    "a": (0.95, 0.1, 0, 0, 0), "A": (1.0, 0, 0, 0, 0), "0": (0.85, 0, 0.25, 0, 0), "V": (0.7, 0, 0, 0, 0),
    "E": (0.65, 0.45, 0, 0, 0), "e": (0.55, 0.55, 0, 0, 0), "I": (0.38, 0.5, 0, 0, 0),
    "i": (0.25, 0.95, 0, 0, 0), "O": (0.7, 0, 0.6, 0, 0), "o": (0.55, 0, 0.7, 0, 0),
    "U": (0.32, 0, 0.75, 0, 0), "u": (0.22, 0, 1.0, 0, 0), "@": (0.4, 0.05, 0, 0, 0),
    "3": (0.38, 0, 0.35, 0, 0), "p": (0, 0, 0, 1, 0), "b": (0, 0, 0, 1, 0), "m": (0, 0, 0, 1, 0),
    "f": (0.06, 0, 0, 0, 1), "v": (0.08, 0, 0, 0, 1), "w": (0.12, 0, 1.0, 0, 0),
    "r": (0.24, 0, 0.5, 0, 0), "j": (0.2, 0.6, 0, 0, 0), "h": (0.38, 0, 0, 0, 0),
    "t": (0.16, 0.2, 0, 0, 0), "d": (0.18, 0.2, 0, 0, 0), "n": (0.2, 0.2, 0, 0, 0),
    "l": (0.28, 0.15, 0, 0, 0), "s": (0.1, 0.45, 0, 0, 0), "z": (0.1, 0.45, 0, 0, 0),
    "S": (0.12, 0, 0.6, 0, 0), "Z": (0.12, 0, 0.6, 0, 0), "T": (0.16, 0.2, 0, 0, 0),
    "D": (0.18, 0.2, 0, 0, 0), "k": (0.25, 0.1, 0, 0, 0), "g": (0.25, 0.1, 0, 0, 0),
    "N": (0.25, 0.1, 0, 0, 0), "C": (0.15, 0.3, 0, 0, 0), "x": (0.25, 0, 0, 0, 0),
    "?": (0.25, 0, 0, 0, 0), "y": (0.2, 0.2, 0.8, 0, 0), "Y": (0.35, 0.1, 0.6, 0, 0),
    "_": (0, 0, 0, 0, 0),
}  # fmt: skip
_VOWELS = "aA0VEeIiOoUu@3yY"


@dataclass(frozen=True, slots=True)
class Performance:
    """How a face moves, one value per video frame; shapes are 0 … 1, angles in degrees."""

    shapes_T: dict[str, NDArray[np.float64]]
    """`MOUTH_SHAPES`, `blink` and `brow`."""
    yaw_deg_T: NDArray[np.float64]
    pitch_deg_T: NDArray[np.float64]
    roll_deg_T: NDArray[np.float64]
    shift_T2: NDArray[np.float64]
    """Right and down, in units of the outer eye corners' distance."""

    def __len__(self) -> int:
        return len(self.yaw_deg_T)


def perform(speech: Speech | None, times_s: Sequence[float], seed: int, *, liveliness: float = 1.0) -> Performance:
    """Plan how a face moves that says `speech` (or stays silent), seen at `times_s` on the speech's clock."""
    rng = np.random.default_rng(seed)
    at_T = np.asarray(times_s, np.float64)
    duration_s = float(at_T[-1]) + 1.0
    plan_K = np.arange(round(duration_s * PLAN_HZ)) / PLAN_HZ
    mouth_K = _mouth(speech, plan_K) if speech else {name: np.zeros(len(plan_K)) for name in MOUTH_SHAPES}
    shapes_T = {name: np.interp(at_T + LEAD_S, plan_K, track_K) for name, track_K in mouth_K.items()}
    loud_K = _loudness(speech, plan_K) if speech else np.zeros(len(plan_K))
    emphasis_T = np.interp(at_T, plan_K, gaussian_filter1d(loud_K, 0.15 * PLAN_HZ))
    shapes_T["blink"] = _blinks(at_T, rng)
    shapes_T["brow"] = np.clip(0.5 * _sway(at_T, rng, (0.1, 0.4)) + 0.6 * emphasis_T, 0, 1)
    return Performance(
        shapes_T,
        yaw_deg_T=liveliness * 5.0 * _sway(at_T, rng, (0.08, 0.35)),
        pitch_deg_T=liveliness * (1.8 * _sway(at_T, rng, (0.1, 0.5)) + 2.0 * (emphasis_T - 0.3)),
        roll_deg_T=liveliness * 1.8 * _sway(at_T, rng, (0.08, 0.4)),
        shift_T2=liveliness
        * np.stack([0.06 * _sway(at_T, rng, (0.06, 0.3)), 0.035 * _sway(at_T, rng, (0.08, 0.5))], 1),
    )


def _mouth(speech: Speech, plan_K: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    target_K5 = np.zeros((len(plan_K), len(MOUTH_SHAPES)))
    for phoneme in speech.phonemes:
        shapes = [_SHAPE_OF[letter] for letter in _letters(phoneme.mnemonic)]
        edges_s = np.linspace(phoneme.start_s, phoneme.end_s, len(shapes) + 1)
        for shape, start_s, end_s in zip(shapes, edges_s[:-1], edges_s[1:], strict=True):
            target_K5[round(start_s * PLAN_HZ) : round(end_s * PLAN_HZ)] = shape
    tracks = dict(zip(MOUTH_SHAPES, target_K5.T, strict=True))
    for name in ("jaw", "spread", "round"):
        tracks[name] = gaussian_filter1d(tracks[name], ARTICULATOR_SIGMA_S * PLAN_HZ)
    for name in ("press", "tuck"):
        tracks[name] = gaussian_filter1d(tracks[name], CLOSURE_SIGMA_S * PLAN_HZ)
    shut_K = np.clip(1.3 * np.maximum(tracks["press"], 0.9 * tracks["tuck"]), 0, 1)
    tracks["jaw"] = tracks["jaw"] * (0.35 + 0.8 * _loudness(speech, plan_K)) * (1 - shut_K)
    tracks["round"] = tracks["round"] * (1 - 0.7 * shut_K)
    return tracks


def _letters(mnemonic: str) -> str:
    """The one or, in diphthongs, two letters that shape the mouth; an unknown sound is a neutral vowel."""
    if mnemonic.startswith("_"):
        return "_"
    known = [letter for letter in mnemonic if letter in _SHAPE_OF]
    vowels = "".join(letter for letter in known if letter in _VOWELS)
    return vowels[:2] or "".join(known[:1]) or "@"


def _loudness(speech: Speech, plan_K: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square root of the short-time level, 0 … about 1."""
    hop = speech.rate_hz // PLAN_HZ
    n_hops = min(len(speech.samples_S) // hop, len(plan_K))
    power_K = np.zeros(len(plan_K))
    power_K[:n_hops] = np.square(speech.samples_S[: n_hops * hop].reshape(n_hops, hop), dtype=np.float64).mean(1)
    level_K = np.sqrt(gaussian_filter1d(power_K, LOUDNESS_SIGMA_S * PLAN_HZ))
    loudest = np.percentile(level_K[:n_hops], 95)
    return np.asarray(np.sqrt(np.minimum(level_K / loudest, 1.2)))


def _blinks(at_T: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Lids shut within 80 ms and open again within 160 ms, every two to five seconds."""
    shut_T = np.zeros(len(at_T))
    blink_s = float(rng.uniform(0.5, 2.0))
    while blink_s < at_T[-1]:
        since_T = at_T - blink_s
        shut_T = np.maximum(shut_T, np.where(since_T < 0, 1 + since_T / 0.08, 1 - since_T / 0.16).clip(0, 1))
        blink_s += float(rng.uniform(2.0, 4.5))
    return np.asarray(shut_T)


def _sway(at_T: NDArray[np.float64], rng: np.random.Generator, band_hz: tuple[float, float]) -> NDArray[np.float64]:
    """A slow, never repeating movement between about -1 and 1."""
    waves = [(float(rng.uniform(*band_hz)), float(rng.uniform(0, 2 * np.pi)), amp) for amp in (0.6, 0.35, 0.2)]
    return np.asarray(sum(amp * np.sin(2 * np.pi * hz * at_T + phase) for hz, phase, amp in waves))
