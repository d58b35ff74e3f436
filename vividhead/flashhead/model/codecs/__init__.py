"""How pictures become latents and back, one interface for all: LTX-Video and Wan 2.1 as published, `linear` for nano.

load_codec(config, folder)    with the published or fitted weights
random_codec(config, seed)    with random weights of the same shapes, for trials; linear: plain frequencies
fit_linear(videos, …)         nano's codec, fitted to clips
reconstruction(codec, videos) how well a codec gives clips back
"""

from pathlib import Path

from vividhead.errors import ConfigError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.codecs.codec import VideoCodec
from vividhead.flashhead.model.codecs.fit_linear import Reconstruction, fit_linear, reconstruction
from vividhead.flashhead.model.codecs.linear import LinearCodec, frequency_codec, load_linear
from vividhead.flashhead.model.codecs.ltx import load_ltx, random_ltx
from vividhead.flashhead.model.codecs.wan import load_wan, random_wan

__all__ = [
    "LinearCodec",
    "Reconstruction",
    "VideoCodec",
    "fit_linear",
    "load_codec",
    "random_codec",
    "reconstruction",
]


def load_codec(config: FlashHeadConfig, folder: Path) -> VideoCodec:
    """The codec with its weights, from its own folder or the checkpoint `folder`.

    Raises VividHeadError for a file that is missing, cut short or another, and for a missing extra.
    """
    if config.codec.kind == "linear":
        codec: VideoCodec = load_linear(folder)
    else:
        codec = load_ltx(folder) if config.codec.kind == "ltx" else load_wan(folder)
    return _checked(codec, config)


def random_codec(config: FlashHeadConfig, seed: int) -> VideoCodec:
    """The codec with random weights of the published shapes; linear is the same for every seed."""
    if config.codec.kind == "linear":
        codec: VideoCodec = frequency_codec(
            config.codec.stride_frames, config.codec.stride_px, config.dit.latent_channels
        )
    else:
        codec = random_ltx(seed) if config.codec.kind == "ltx" else random_wan(seed)
    return _checked(codec, config)


def _checked(codec: VideoCodec, config: FlashHeadConfig) -> VideoCodec:
    asked = (config.codec.stride_frames, config.codec.stride_px, config.dit.latent_channels)
    given = (codec.stride_frames, codec.stride_px, codec.channels)
    if asked != given:
        raise ConfigError(config.name, [
            f"codec.stride_frames, codec.stride_px and dit.latent_channels are {asked}, "
            f"but this {config.codec.kind} codec's are {given}"
        ])  # fmt: skip
    return codec
