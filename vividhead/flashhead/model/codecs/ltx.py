"""LTX-Video 0.9.0's video codec, Lite's: 8 pictures of 32 × 32 px to 128 numbers. Needs the extra `flashhead`.

The network is diffusers' AutoencoderKLLTXVideo in the layout of the published file (notes, section 1.8): a causal
encoder, a decoder in which every latent touches every picture, no timestep, no noise.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vividhead.flashhead.model.codecs.codec import VideoCodec
from vividhead.flashhead.model.codecs.published import (
    WITHIN_A_MODEL,
    Tensors,
    codec_file,
    converted,
    diffusers_module,
    empty,
    filled,
    read_tensors,
    with_random_tensors,
)
from vividhead.weights import refused_weights

MODEL = "ltx-vae"
LAYOUT: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 128,
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("LTXVideoDownBlock3D",) * 4,
    "decoder_block_out_channels": (128, 256, 512, 512),
    "layers_per_block": (4, 3, 3, 3, 4),
    "decoder_layers_per_block": (4, 3, 3, 3, 4),
    "spatio_temporal_scaling": (True, True, True, False),
    "decoder_spatio_temporal_scaling": (True, True, True, False),
    "decoder_inject_noise": (False,) * 5,
    "downsample_type": ("conv",) * 4,
    "upsample_residual": (False,) * 4,
    "upsample_factor": (1,) * 4,
    "timestep_conditioning": False,
    "patch_size": 4,
    "patch_size_t": 1,
    "resnet_norm_eps": 1e-6,
    "scaling_factor": 1.0,
    "encoder_causal": True,
    "decoder_causal": False,
}
"""Arguments of diffusers' class, spelled out: a new version's other defaults must not change the network."""
_LOG_VARIANCE_LIMITS = (-30.0, 20.0)
_AUTHORS_STATISTICS = "per_channel_statistics."
_AUTHORS_LAST = "encoder.conv_out.conv.weight"  # what the converter tells versions by


class LtxCodec(VideoCodec):
    """Latents are the posterior's means, or draws from it, less their mean over all and by their deviation."""

    kind = "ltx"
    latents_mean: Tensor
    latents_std: Tensor

    def __init__(self, network: nn.Module) -> None:
        """Take over the parts of diffusers' network."""
        super().__init__()
        self.encoder = network.get_submodule("encoder")
        self.decoder = network.get_submodule("decoder")
        _pad_in_layout(network)
        for name in ("latents_mean", "latents_std"):
            self.register_buffer(name, network.get_buffer(name).reshape(-1, 1, 1, 1))
        config: Any = network.config
        self.channels = int(config.latent_channels)
        halvings = sum(config.spatio_temporal_scaling)
        self.stride_frames, self.stride_px = 2**halvings, config.patch_size * 2**halvings
        self.requires_grad_(False)
        self.eval()

    def encode(self, video_BCTHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Means of the latents; with a `generator` a draw, the whole batch from it, as the published Lite encodes."""
        assert self.fits(video_BCTHW), f"{tuple(video_BCTHW.shape)} does not fit the codec's strides"
        posterior = self.encoder(video_BCTHW)
        latents = posterior[:, : self.channels]
        if generator is not None:
            log_variance_B1THW = posterior[:, self.channels : self.channels + 1].clamp(*_LOG_VARIANCE_LIMITS)
            noise = torch.randn(latents.shape, generator=generator, dtype=latents.dtype, device=latents.device)
            latents = latents + torch.exp(0.5 * log_variance_B1THW) * noise
        latents_BCTHW: Tensor = (latents - self.latents_mean) / self.latents_std
        return latents_BCTHW

    def decode(self, latents_BCTHW: Tensor) -> Tensor:
        """Pictures as the decoder gives them, not clamped."""
        video_BCTHW: Tensor = self.decoder(latents_BCTHW * self.latents_std + self.latents_mean)
        return video_BCTHW


class _PaddedInTime(nn.Module):
    """diffusers' convolution, its first and last picture put on again as parts of a `cat`, which keeps the layout.

    diffusers uses `repeat`, which does not: every convolution of a channels-last codec would copy its input twice.
    """

    def __init__(self, published: Any) -> None:
        super().__init__()
        self.conv: nn.Module = published.conv
        beyond = int(published.kernel_size[0]) - 1
        self.before, self.after = (beyond, 0) if published.is_causal else (beyond // 2, beyond // 2)

    def forward(self, video_BCTHW: Tensor) -> Tensor:
        first, last = video_BCTHW[:, :, :1], video_BCTHW[:, :, -1:]
        convolved: Tensor = self.conv(torch.cat([first] * self.before + [video_BCTHW] + [last] * self.after, 2))
        return convolved


def _pad_in_layout(network: nn.Module) -> None:
    """Exchange the network's convolutions for `_PaddedInTime`."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child).__name__ == "LTXVideoCausalConv3d":
                setattr(parent, name, _PaddedInTime(child))


def load_ltx(folder: Path, **sizes: object) -> LtxCodec:
    """Read the codec from its own folder or file, or from where it lies in or beside the checkpoint `folder`.

    `sizes` change the network from the published layout, with diffusers' names.
    """
    network = empty_ltx(**sizes)  # what is not installed is said before what is not downloaded
    path = codec_file(MODEL, folder)
    filled(MODEL, path, network, _as_diffusers(path, read_tensors(MODEL, path)))
    return LtxCodec(network)


def random_ltx(seed: int, **sizes: object) -> LtxCodec:
    """The same network with random weights: the published shapes, for trials and measurements of speed."""
    return LtxCodec(with_random_tensors(empty_ltx(**sizes), seed))


def empty_ltx(**sizes: object) -> nn.Module:
    """diffusers' network without tensors."""
    diffusers = diffusers_module("diffusers")
    return empty(lambda: diffusers.AutoencoderKLLTXVideo(**(LAYOUT | sizes)))


def _as_diffusers(path: Path, tensors: Tensors) -> Tensors:
    """The tensors by diffusers' names: the published folder has them, the authors' file of the whole model has not."""
    if not any(_AUTHORS_STATISTICS in key for key in tensors):
        return tensors
    named = {key if key.startswith(WITHIN_A_MODEL) else WITHIN_A_MODEL + key: t for key, t in tensors.items()}
    if WITHIN_A_MODEL + _AUTHORS_LAST not in named:
        raise refused_weights(MODEL, path, f"lacks {_AUTHORS_LAST}")
    return converted("convert_ltx_vae_checkpoint_to_diffusers", named)
