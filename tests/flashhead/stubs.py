"""Small stand-ins with known truth for what a FlashHead is made of."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from vividhead.flashhead.config import FlashHeadConfig, load_config
from vividhead.flashhead.model.audio_encoders import random_audio_encoder
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.flashhead import FlashHead
from vividhead.flashhead.model.fresh import initialise


class BlockMeans(VideoCodec):
    """The codec of the parity fixtures: means of blocks, mixed into channels by one matrix."""

    kind = "block_means"

    def __init__(self, stride_frames: int, stride_px: int, mix_C3: Tensor) -> None:
        super().__init__()
        self.stride_frames, self.stride_px, self.channels = stride_frames, stride_px, mix_C3.shape[0]
        self.register_buffer("mix_C3", mix_C3)

    def encode(self, video_BCTHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        first, later = video_BCTHW[:, :, :1], video_BCTHW[:, :, 1:]
        groups = later.unflatten(2, (-1, self.stride_frames)).mean(3)
        video = torch.cat((first, groups), 2)
        small = F.avg_pool3d(video, (1, self.stride_px, self.stride_px))
        return torch.einsum("ck,bkthw->bcthw", self.mix_C3, small)

    def decode(self, latents_BCTHW: Tensor) -> Tensor:
        small = torch.einsum("kc,bcthw->bkthw", torch.linalg.pinv(self.mix_C3), latents_BCTHW)
        times = torch.cat((small[:, :, :1], small[:, :, 1:].repeat_interleave(self.stride_frames, 2)), 2)
        size = (times.shape[2], times.shape[3] * self.stride_px, times.shape[4] * self.stride_px)
        return F.interpolate(times, size, mode="nearest").tanh()


def tiny_config(side_px: int = 16) -> FlashHeadConfig:
    """Nano's shape, as small as it gets."""
    config = load_config("nano")
    return replace(
        config,
        name="tiny",
        dit=replace(config.dit, dim=24, ffn_dim=32, heads=2, layers=1, latent_channels=4),
        codec=replace(config.codec, stride_px=8),
        stream=replace(config.stream, side_px=side_px),
    )


def tiny_flashhead(seed: int = 0, side_px: int = 16) -> FlashHead:
    """Random weights, real log-mel audio, block means for a codec."""
    config = tiny_config(side_px)
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(config.dit.latent_channels, 3, generator=generator)
    dit = initialise(Dit(config), seed).for_generation()
    torch.nn.init.normal_(dit.head.head.weight, std=0.2, generator=generator)  # so that sound shows in the pictures
    return FlashHead(
        config=config,
        dit=dit,
        codec=BlockMeans(config.codec.stride_frames, config.codec.stride_px, mix),
        audio=random_audio_encoder(config, seed),
    )
