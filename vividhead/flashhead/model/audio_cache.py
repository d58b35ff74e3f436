"""The Temporal Audio Context Cache: the last seconds of sound, and which of its features each picture sees.

    pushed    0 ────────────────────────────────────────────── n_samples      16 kHz, since the beginning
    window                        |0 ═════════════════ cache_s ═|             zeros where nothing was pushed yet
    features                      |0 1 2 … 166|167 …… 199|                    one per picture, 25 a second
    chunk                                     |0 …… 32 |                      pictures that the model makes at once
    context of picture i                   167+i-2 … 167+i+2                  held at the newest feature, 199

Training cuts its windows with the same class (`window_ending_at`), so a model never hears at work what it did not
hear while it learned. Spec: SoulX-FlashHead, arXiv 2602.07449, an 8 s cache and windows of five.

Axes: S samples, B batch, T features in the window, L feature layers, C channels, F pictures, W places in a context.
"""

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from vividhead.records import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

CACHE_S = 8.0
CHUNK_FRAMES = 33
REACH_FRAMES = 2
"""Features on either side of a picture's own that belong to its context."""

Samples = NDArray[np.float32]


class TemporalAudioContextCache:
    """A ring of the last `cache_s` seconds of 16 kHz mono sound in -1 … 1; its memory never grows.

    `copy` remembers a state: a stream that drops sound it had already taken goes on from the copy.
    """

    def __init__(self, cache_s: float = CACHE_S) -> None:
        """Begin in silence."""
        self._ring_S: Samples = np.zeros(window_samples(cache_s), np.float32)
        self._seen = 0

    @property
    def n_samples(self) -> int:
        """Samples pushed since the beginning."""
        return self._seen

    def push(self, samples_S: NDArray[np.floating[Any]]) -> None:
        """Append any number of samples."""
        assert samples_S.ndim == 1 and samples_S.dtype.kind == "f", "sound is one axis of floats in -1 … 1"
        size = len(self._ring_S)
        self._seen += len(samples_S)
        kept_S = samples_S[-size:]
        start = (self._seen - len(kept_S)) % size
        first = min(len(kept_S), size - start)
        self._ring_S[start : start + first] = kept_S[:first]
        self._ring_S[: len(kept_S) - first] = kept_S[first:]

    def window_S(self, out_S: Samples | None = None) -> Samples:
        """The whole window, oldest sample first; written to `out_S` (such as pinned memory) where one is given."""
        out_S = np.empty_like(self._ring_S) if out_S is None else out_S
        oldest = self._seen % len(self._ring_S)
        return np.concatenate((self._ring_S[oldest:], self._ring_S[:oldest]), out=out_S)

    def copy(self) -> Self:
        """An independent cache in the same state."""
        twin = type(self).__new__(type(self))
        twin._ring_S = self._ring_S.copy()
        twin._seen = self._seen
        return twin


def window_samples(cache_s: float) -> int:
    """Samples in a cache of `cache_s` seconds, which hold a whole number of pictures."""
    samples = round(cache_s * SAMPLE_RATE_HZ)
    assert samples > 0 and samples % SAMPLES_PER_FRAME == 0, f"{cache_s} s are no whole number of pictures"
    return samples


def window_ending_at(audio_S: NDArray[np.floating[Any]], end_sample: int, cache_s: float = CACHE_S) -> Samples:
    """The window of a stream that has heard `audio_S[:end_sample]` and nothing else; for training on whole clips."""
    assert 0 <= end_sample <= len(audio_S), f"the window ends at sample {end_sample} of {len(audio_S)}"
    cache = TemporalAudioContextCache(cache_s)
    cache.push(audio_S[:end_sample])
    return cache.window_S()


def frames_read(frames: int = CHUNK_FRAMES, reach: int = REACH_FRAMES) -> int:
    """How many of the newest features `context_BFWLC` reads; encoders may leave the older ones out."""
    return frames + reach


def context_BFWLC(features_BTLC: torch.Tensor, frames: int = CHUNK_FRAMES, reach: int = REACH_FRAMES) -> torch.Tensor:
    """Each of the newest `frames` features with its `reach` neighbours on either side: (B, F, 2 reach + 1, L, C).

    Neighbours beyond the ends are the first or last feature again. Only the newest `frames_read` features matter.
    """
    count = features_BTLC.shape[1]
    assert count >= frames, f"{count} features for {frames} pictures"
    device = features_BTLC.device
    picture_F = torch.arange(count - frames, count, device=device)
    offset_W = torch.arange(-reach, reach + 1, device=device)
    return features_BTLC[:, (picture_F[:, None] + offset_W).clamp(0, count - 1)]
