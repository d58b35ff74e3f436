"""Sizes at which the published codecs run in milliseconds, and clips for any codec."""

from typing import Any

import torch

from vividhead.flashhead.model.codecs import VideoCodec

TINY_LTX: dict[str, Any] = {
    "latent_channels": 6,
    "block_out_channels": (8, 16, 24, 24),
    "decoder_block_out_channels": (8, 16, 24, 24),
    "layers_per_block": (1,) * 5,
    "decoder_layers_per_block": (1,) * 5,
}
TINY_WAN: dict[str, Any] = {"base_dim": 8, "z_dim": 4}


def clips(codec: VideoCodec, rows: int, latent_frames: int) -> torch.Tensor:
    """Noise of 2 × 3 latents."""
    shape = (rows, 3, 1 + (latent_frames - 1) * codec.stride_frames, 2 * codec.stride_px, 3 * codec.stride_px)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
