"""What every video codec gives: a clip of pictures to a smaller clip of latents, and back."""

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor, nn


class VideoCodec(nn.Module, ABC):
    """One picture makes the first latent frame, every `stride_frames` further ones another.

    Encoding is causal: a latent frame depends on its own pictures and earlier ones alone, so the latents of a clip's
    beginning are the beginning of its latents. Rows of a batch do not touch one another. Shapes follow from the
    input's alone and nothing is decided by data, so it can be captured in a CUDA graph and compiled.
    Axes: B batch, C channels, T frames, H rows, W columns.
    """

    kind: str
    """As in the configuration's codec.kind."""
    channels: int
    """Of the latents."""
    stride_frames: int
    stride_px: int

    @abstractmethod
    def encode(self, video_BCTHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Latents with about zero mean and unit deviation in each channel, of RGB pictures in -1 … 1.

        T is 1 and a multiple of `stride_frames`. The same clip gives the same latents, unless a `generator` asks for
        a random draw as the published Lite does it; codecs that are published without draws do without.
        """

    def encode_still(self, picture_B3HW: Tensor, frames: int) -> Tensor:
        """As `encode` of so many times the same picture."""
        return self.encode(picture_B3HW[:, :, None].expand(-1, -1, frames, -1, -1))

    @abstractmethod
    def decode(self, latents_BCTHW: Tensor) -> Tensor:
        """Pictures of what `encode` gives; values may lie a little outside -1 … 1."""

    def in_channels_last(self) -> Self:
        """Lay the convolutions' weights, and so all that passes them, as tensor cores read it; values stay."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Conv2d):
                form = torch.channels_last_3d if isinstance(module, nn.Conv3d) else torch.channels_last
                module.weight.data = module.weight.data.contiguous(memory_format=form)
        return self

    def fits(self, video_BCTHW: Tensor) -> bool:
        """Whether pictures of this shape can be encoded."""
        _, colours, frames, rows, columns = video_BCTHW.shape
        left_over = (frames - 1) % self.stride_frames, rows % self.stride_px, columns % self.stride_px
        return colours == 3 and not any(left_over)
