"""Wan 2.1's video codec, Pro's: 4 pictures of 8 × 8 px to 16 numbers. Needs the extra `flashhead`.

The network is diffusers' AutoencoderKLWan: causal both ways, one latent frame at a time, pictures clamped to -1 … 1.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vividhead.flashhead.model.codecs.codec import VideoCodec
from vividhead.flashhead.model.codecs.published import (
    Tensors,
    codec_file,
    converted,
    diffusers_module,
    empty,
    filled,
    read_tensors,
    with_random_tensors,
)

MODEL = "wan-vae"
LAYOUT: dict[str, Any] = {
    "base_dim": 96,
    "z_dim": 16,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_scales": [],
    "temperal_downsample": [False, True, True],
    "dropout": 0.0,
}
"""Arguments of diffusers' class, spelled out: a new version's other defaults must not change the network."""
MEANS = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
DEVIATIONS = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
"""Of the latents' channels, as published with Wan 2.1; the file does not hold them."""
_AUTHORS_MARK = "decoder.middle.0.residual.0.gamma"


class WanCodec(VideoCodec):
    """Latents are the posterior's means, less their mean over all and by their deviation."""

    kind = "wan"
    network: Any
    latents_mean: Tensor
    latents_std: Tensor

    def __init__(self, network: nn.Module) -> None:
        """Take over diffusers' network."""
        super().__init__()
        self.network = network
        config: Any = network.config
        self.channels = int(config.z_dim)
        self.stride_frames = 2 ** sum(config.temperal_downsample)
        self.stride_px = 2 ** len(config.temperal_downsample)
        for name, values in (("latents_mean", MEANS), ("latents_std", DEVIATIONS)):
            self.register_buffer(name, torch.tensor(values[: self.channels]).reshape(-1, 1, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def encode(self, video_BCTHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Means of the latents: Pro is published without draws."""
        assert self.fits(video_BCTHW), f"{tuple(video_BCTHW.shape)} does not fit the codec's strides"
        (posterior,) = self.network.encode(video_BCTHW, return_dict=False)
        latents_BCTHW: Tensor = (posterior.mean - self.latents_mean) / self.latents_std
        return latents_BCTHW

    def decode(self, latents_BCTHW: Tensor) -> Tensor:
        """Pictures in -1 … 1."""
        latents_BCTHW = latents_BCTHW * self.latents_std + self.latents_mean
        video_BCTHW: Tensor = self.network.decode(latents_BCTHW, return_dict=False)[0]
        return video_BCTHW


def load_wan(folder: Path, **sizes: object) -> WanCodec:
    """Read the codec from its own folder or file, or from where it lies in or beside the checkpoint `folder`.

    `sizes` change the network from the published layout, with diffusers' names.
    """
    network = empty_wan(**sizes)  # what is not installed is said before what is not downloaded
    path = codec_file(MODEL, folder)
    filled(MODEL, path, network, _as_diffusers(read_tensors(MODEL, path)))
    return WanCodec(network)


def random_wan(seed: int, **sizes: object) -> WanCodec:
    """The same network with random weights: the published shapes, for trials and measurements of speed."""
    return WanCodec(with_random_tensors(empty_wan(**sizes), seed))


def empty_wan(**sizes: object) -> nn.Module:
    """diffusers' network without tensors."""
    diffusers = diffusers_module("diffusers")
    return empty(lambda: diffusers.AutoencoderKLWan(**(LAYOUT | sizes)))


def _as_diffusers(tensors: Tensors) -> Tensors:
    """The tensors by diffusers' names: diffusers' folder has them, the published Wan2.1_VAE.pth has not."""
    return converted("convert_wan_vae_to_diffusers", tensors) if _AUTHORS_MARK in tensors else tensors
