"""How sound becomes features, one interface for all: wav2vec 2.0 as published, log-mel for `nano`.

load_audio_encoder(config, folder)    with the published weights
random_audio_encoder(config, seed)    with random weights of the same shapes, for trials
"""

from pathlib import Path

from vividhead.errors import ConfigError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.audio_encoders.encoder import AudioEncoder
from vividhead.flashhead.model.audio_encoders.log_mel import LogMel
from vividhead.flashhead.model.audio_encoders.wav2vec2 import load_wav2vec2, random_wav2vec2

__all__ = ["AudioEncoder", "load_audio_encoder", "random_audio_encoder"]


def load_audio_encoder(config: FlashHeadConfig, folder: Path) -> AudioEncoder:
    """The encoder with its published weights, from their own folder or the checkpoint `folder`; log-mel has none.

    Raises VividHeadError for a file that is missing, cut short or another, and for a missing extra.
    """
    encoder: AudioEncoder = LogMel() if config.audio.encoder == "log_mel" else load_wav2vec2(folder)
    return _checked(encoder, config)


def random_audio_encoder(config: FlashHeadConfig, seed: int) -> AudioEncoder:
    """The encoder with random weights of the published shapes; log-mel is the same for every seed."""
    encoder: AudioEncoder = LogMel() if config.audio.encoder == "log_mel" else random_wav2vec2(seed)
    return _checked(encoder, config)


def _checked(encoder: AudioEncoder, config: FlashHeadConfig) -> AudioEncoder:
    asked = (config.audio.layers, config.audio.width)
    if asked != (encoder.layers, encoder.width):
        raise ConfigError(config.name, [
            f"audio.layers × audio.width is {asked[0]} × {asked[1]}, "
            f"but {config.audio.encoder} gives {encoder.layers} × {encoder.width}"
        ])  # fmt: skip
    return encoder
