"""Sounds with known truth: spoken sentences with the time of every phoneme, chords, silence."""

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import UsageError
from vividhead.records import SAMPLE_RATE_HZ

LOUDNESS_RMS = 0.08
"""Root mean square of the spoken parts: about -22 dB of full scale, an ordinary recording's level."""
VOICES = ("en-us+f3", "en-us+f2", "en-us+Annie", "en-us", "en-us+linda", "en-us+f5")
SYNTHESIS_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Phoneme:
    """One sound of speech: espeak-ng's mnemonic (`'aI`, `m`, `_` for a pause) and its time in seconds."""

    mnemonic: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Speech:
    """Mono speech and what is said when, both on one clock that starts with the first sample."""

    samples_S: NDArray[np.float32]
    """-1 … 1."""
    rate_hz: int
    phonemes: tuple[Phoneme, ...]
    text: str

    @property
    def duration_s(self) -> float:
        return len(self.samples_S) / self.rate_hz


def speak(text: str, *, voice: str = VOICES[0], words_per_minute: int = 150, rate_hz: int = SAMPLE_RATE_HZ) -> Speech:
    """Say `text` by espeak-ng, as mono float32 at `rate_hz`. The same words give the same samples."""
    native_hz, raw, pcm = _said(text, voice, words_per_minute)
    samples_S = resampled(np.frombuffer(pcm, np.int16).astype(np.float32) / 32768, native_hz, rate_hz)
    loud = np.abs(samples_S) > 0.02
    if not loud.any():
        raise UsageError(f"nothing of {text[:40]!r} can be spoken: write words")
    samples_S *= LOUDNESS_RMS / float(np.sqrt(np.mean(samples_S[loud] ** 2)))
    ends = [start for start, _ in raw[1:]] + [len(pcm) // 2]
    phonemes = tuple(
        Phoneme(mnemonic, start / native_hz, end / native_hz)
        for (start, mnemonic), end in zip(raw, ends, strict=True)
        if end > start
    )
    return Speech(np.clip(samples_S, -1, 1), rate_hz, phonemes, text)


@lru_cache(maxsize=64)
def _said(text: str, voice: str, words_per_minute: int) -> tuple[int, tuple[tuple[int, str], ...], bytes]:
    request = {"text": text, "voice": voice, "words_per_minute": words_per_minute}
    child = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("espeak.py"))],
        input=json.dumps(request).encode(), capture_output=True, timeout=SYNTHESIS_LIMIT_S, check=False,
    )  # fmt: skip
    if child.returncode != 0:
        last = child.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise UsageError(f"no speech for {text[:40]!r}: {' '.join(last)}; it needs `pip install 'vividhead[demo]'`")
    head, _, pcm = child.stdout.partition(b"\n")
    answer = json.loads(head)
    return answer["rate_hz"], tuple((start, mnemonic) for start, mnemonic in answer["phonemes"]), pcm


def resampled(samples_S: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """The same sound at another rate, by a polyphase filter without delay."""
    if from_hz == to_hz:
        return samples_S.copy()
    from scipy.signal import resample_poly

    ratio = Fraction(to_hz, from_hz)
    return resample_poly(samples_S, ratio.numerator, ratio.denominator).astype(np.float32)


def fitted(samples_S: NDArray[np.float32], n_samples: int, *, shift: int = 0) -> NDArray[np.float32]:
    """Cut or pad with silence to `n_samples`, the sound first moved `shift` samples later (< 0: earlier)."""
    out_S = np.zeros(n_samples, np.float32)
    start = max(shift, 0)
    part_S = samples_S[max(-shift, 0) :][: max(n_samples - start, 0)]
    out_S[start : start + len(part_S)] = part_S
    return out_S


def chords(duration_s: float, seed: int, *, rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """Music without a voice: plucked major and minor triads, one per 0.6 s, mono float32."""
    rng = np.random.default_rng(seed)
    n_samples = round(duration_s * rate_hz)
    beat_s = 0.6
    out_S = np.zeros(n_samples + rate_hz)
    for beat in range(math.ceil(duration_s / beat_s)):
        root_hz = 110.0 * 2 ** (int(rng.choice([0, 5, 7, 9, 12])) / 12)
        third = int(rng.choice([3, 4]))
        time_S = np.arange(rate_hz) / rate_hz
        decay_S = np.exp(-3.0 * time_S) * np.minimum(1.0, time_S / 0.005)
        start = round(beat * beat_s * rate_hz)
        for step in (0, third, 7, 12):
            tone_hz = root_hz * 2 ** (step / 12)
            for harmonic in range(1, 7):
                phase = rng.uniform(0, 2 * math.pi)
                wave_S = np.sin(2 * math.pi * harmonic * tone_hz * time_S + phase) / harmonic**1.5
                out_S[start : start + rate_hz] += (wave_S * decay_S)[: len(out_S) - start]
    out_S = out_S[:n_samples]
    return (out_S * (LOUDNESS_RMS / float(np.sqrt(np.mean(out_S**2))))).astype(np.float32)


def room_tone(n_samples: int, seed: int, *, level: float = 2e-4) -> NDArray[np.float32]:
    """The hiss of a quiet room, at -74 dB of full scale: recordings are never digital silence."""
    return (np.random.default_rng(seed).standard_normal(n_samples) * level).astype(np.float32)
