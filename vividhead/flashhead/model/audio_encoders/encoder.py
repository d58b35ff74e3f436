"""What every audio encoder gives: one feature per picture of 40 ms."""

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import nn

from vividhead.records import SAMPLES_PER_FRAME


class AudioEncoder(nn.Module, ABC):
    """A frozen module in float32: move it to a device, do not cast it.

    Shapes follow from the input's alone and nothing is decided by data, so it can be captured in a CUDA graph and
    compiled. Axes: B windows, S samples, T pictures, L feature layers, C channels.
    """

    layers: int
    width: int

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: dropout would change what the generator hears."""
        return super().train(False)

    def features(self, windows_BS: torch.Tensor, last_frames: int | None = None) -> torch.Tensor:
        """Features (B, T, layers, width), float32, one per 640 samples, of windows of 16 kHz sound in -1 … 1.

        With `last_frames` those of the newest pictures only, the same numbers; `audio_cache.frames_read` says how many
        the generator needs.
        """
        frames = windows_BS.shape[1] // SAMPLES_PER_FRAME
        kept = frames if last_frames is None else last_frames
        assert 0 < kept <= frames, f"{kept} pictures of the {frames} in the window"
        with torch.autocast(windows_BS.device.type, enabled=False):
            return self._features(windows_BS.float(), kept)

    @abstractmethod
    def _features(self, windows_BS: torch.Tensor, kept: int) -> torch.Tensor:
        """Features of the newest `kept` pictures."""
