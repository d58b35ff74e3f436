"""Log-mel features for `nano`: fixed, nothing to download, and local in time.

Four spectra of 25 ms, 10 ms apart, make the feature of a picture. Each ends where its 10 ms end, so nothing has to be
known of the future:

    picture k          |640k                                  640k+639|
    step 0    |640k-240 ═══════════ 640k+159|
    step 3                                |640k+240 ══════════ 640k+639|

Feature k therefore sees samples 640k-240 … 640k+639 and no others: a change of sample s moves feature s // 640, and
the one after it where s % 640 ≥ 400. It is the same wherever in the window the picture lies, but for feature 0, which
takes what came before the window for silence.

Axes: B batch, S samples, T pictures, J spectra (four a picture), N frequencies, M mel bands, L layers (1),
C channels (step by step, 40 bands each).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vividhead.flashhead.model.audio_encoders.encoder import AudioEncoder
from vividhead.records import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

HOP = SAMPLE_RATE_HZ // 100
SPECTRUM = SAMPLE_RATE_HZ // 40
BEFORE = SPECTRUM - HOP
"""Samples before its own that a picture's feature sees."""
STEPS = SAMPLES_PER_FRAME // HOP
BANDS = 40
FFT = 512
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0
EMPHASIS = 0.97

FLOOR = 1e-7
"""Power, per sample and emphasised, that counts as nothing: 70 dB under full scale. 96 % of speech lies above; higher
than noise of converters, so that digital silence and a quiet room look alike."""
MEAN, DEVIATION = -10.1, 3.2
"""Of the log power of speech: measured on 31 clips and recordings at -10 … -33 dB full scale, over all bands and
all steps with a speech probability above ½."""


class LogMel(AudioEncoder):
    """Mel spectra on a log scale, about zero mean and unit variance for speech by constants, not by the window."""

    layers = 1
    width = STEPS * BANDS

    window_S: torch.Tensor
    mel_NM: torch.Tensor

    def __init__(self) -> None:
        """Compute the tables; there is nothing to load and nothing to learn."""
        super().__init__()
        # Hann's window, its zeros half a sample outside: no sample is seen with weight 0.
        window_S = np.sin(np.pi * (np.arange(SPECTRUM) + 0.5) / SPECTRUM) ** 2
        mel_NM = _mel_filters() / np.sum(window_S**2)
        self.register_buffer("window_S", torch.tensor(window_S, dtype=torch.float32), persistent=False)
        self.register_buffer("mel_NM", torch.tensor(mel_NM, dtype=torch.float32), persistent=False)

    def _features(self, windows_BS: torch.Tensor, kept: int) -> torch.Tensor:
        seen = kept * SAMPLES_PER_FRAME + BEFORE
        windows_BS = windows_BS[:, -seen:]
        windows_BS = nn.functional.pad(windows_BS, (seen - windows_BS.shape[1], 0))
        spectra_BJN = torch.fft.rfft(windows_BS.unfold(1, SPECTRUM, HOP) * self.window_S, FFT)
        power_BJN = spectra_BJN.real.square() + spectra_BJN.imag.square()
        log_BJM = torch.log(power_BJN @ self.mel_NM + FLOOR)
        return ((log_BJM - MEAN) / DEVIATION).reshape(-1, kept, 1, self.width)


def _mel_filters() -> NDArray[np.float64]:
    """Triangles (N, M) of weight 1 each, evenly spaced in mel, with the emphasis 1 - 0.97/z on top."""
    hz = np.linspace(0, SAMPLE_RATE_HZ / 2, FFT // 2 + 1)
    low, high = (1127 * np.log1p(f / 700) for f in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * np.expm1(np.linspace(low, high, BANDS + 2) / 1127)
    rising = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    triangles_MN = np.maximum(0, np.minimum(rising, falling))
    triangles_MN /= triangles_MN.sum(axis=1, keepdims=True)
    emphasis_N = 1 + EMPHASIS**2 - 2 * EMPHASIS * np.cos(np.linspace(0, np.pi, len(hz)))
    return np.asarray((triangles_MN * emphasis_N).T)
