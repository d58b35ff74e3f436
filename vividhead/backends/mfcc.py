"""Mel-frequency cepstral coefficients as SyncNet was trained on: those of python_speech_features' defaults.

Axes: S samples, N steps of 10 ms, F 257 frequencies, M 26 mel bands, K 13 coefficients.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from vividhead.records import SAMPLE_RATE_HZ

WINDOW_S, STEP_S = SAMPLE_RATE_HZ * 25 // 1000, SAMPLE_RATE_HZ // 100
FFT, BANDS, COEFFICIENTS = 512, 26, 13
EMPHASIS, LIFTER = 0.97, 22
LEAST = float(np.finfo(np.float64).eps)
"""Stands for zero where a logarithm is taken."""

Floats = NDArray[np.float64]


def mfcc(pcm_S: NDArray[np.int16]) -> Floats:
    """(N, 13) of 16-bit sound at 16 kHz; the first is the log of the step's energy. The end is padded with zeros."""
    sound_S = pcm_S.astype(np.float64)
    sound_S[1:] -= EMPHASIS * sound_S[:-1].copy()
    n_steps = 1 + max(0, -(-(len(sound_S) - WINDOW_S) // STEP_S))
    sound_S = np.pad(sound_S, (0, max(0, (n_steps - 1) * STEP_S + WINDOW_S - len(sound_S))))
    steps_NS = np.lib.stride_tricks.sliding_window_view(sound_S, WINDOW_S)[::STEP_S][:n_steps]
    power_NF = np.abs(np.fft.rfft(steps_NS, FFT)) ** 2 / FFT
    bands_NM = np.maximum(power_NF @ _filters_MF().T, LEAST)
    found_NK: Floats = dct(np.log(bands_NM), type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    found_NK *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    found_NK[:, 0] = np.log(np.maximum(power_NF.sum(1), LEAST))
    return found_NK


def _filters_MF() -> Floats:
    """Triangles evenly spread in mel from 0 Hz to half the rate, their corners on whole FFT bins."""
    mels = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700), BANDS + 2)
    corners = np.floor((FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / SAMPLE_RATE_HZ)
    low_M, top_M, high_M = (corners[k : k + BANDS, None] for k in range(3))
    bins_F = np.arange(FFT // 2 + 1)
    rising_MF = (bins_F - low_M) / (top_M - low_M)
    falling_MF = (high_M - bins_F) / (high_M - top_M)
    is_rising_MF = (bins_F >= low_M) & (bins_F < top_M)
    is_falling_MF = (bins_F >= top_M) & (bins_F < high_M)
    return np.asarray(np.where(is_rising_MF, rising_MF, np.where(is_falling_MF, falling_MF, 0.0)))
