"""What a run needs before its first update: a codec, an audio encoder, room on the device."""

from pathlib import Path
from typing import Protocol

import torch

from vividhead.errors import VividHeadError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.audio_encoders import AudioEncoder, load_audio_encoder, random_audio_encoder
from vividhead.flashhead.model.codecs import VideoCodec, fit_linear, linear, load_codec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.train.windows import as_video
from vividhead.loader import ShardDataset

FITTED_ON = 200
"""Windows that the linear codec is fitted on."""
BYTES_A_PARAMETER = {1: 20, 2: 44}
"""Float32 values, gradients, two moments and an average; in stage 2 of two networks, and the teacher's values."""


class Places(Protocol):
    """Where a run finds things."""

    @property
    def run(self) -> Path:
        """Its folder."""

    @property
    def stage1_result(self) -> Path:
        """Where stage 1's checkpoint is."""

    @property
    def begin_from(self) -> Path | None:
        """The checkpoint it begins with, if one was named."""

    @property
    def weights(self) -> Path | None:
        """Folder of third-party weights."""


def codec_for(config: FlashHeadConfig, places: Places, training: ShardDataset) -> VideoCodec:
    """The published codec; or nano's, fitted once for a run on what it learns from."""
    if config.codec.kind != "linear":
        return load_codec(config, places.weights or places.run)
    named = places.begin_from
    if named is not None and (named / linear.FOLDER / linear.FILE).is_file():
        return load_codec(config, named)  # a model and its latents belong together
    folder = places.stage1_result
    if not (folder / linear.FOLDER / linear.FILE).is_file():
        reader = training.reader()
        count = min(FITTED_ON, training.n_windows)
        samples = (training.sample_at(position, reader) for position in range(count))
        videos = (as_video(sample.video_THWC[None], torch.float32)[0] for sample in samples)
        fit_linear(videos, config.codec.stride_frames, config.codec.stride_px, config.dit.latent_channels).save(folder)
    return load_codec(config, folder)


def audio_for(config: FlashHeadConfig, places: Places) -> AudioEncoder:
    """The published encoder; or log-mel, which has no weights."""
    if config.audio.encoder == "log_mel":
        return random_audio_encoder(config, 0)
    return load_audio_encoder(config, places.weights or places.run)


def room_for(config: FlashHeadConfig, stage: int, device: torch.device) -> None:
    """Refuse what cannot fit into a GPU's memory, before anything is read."""
    if device.type != "cuda":
        return
    with torch.device("meta"):
        parameters = sum(p.numel() for p in Dit(config).parameters())
    _, total = torch.cuda.mem_get_info(device)
    needed = parameters * BYTES_A_PARAMETER[stage]
    if needed > total:
        raise VividHeadError(
            f"stage {stage} of {config.name} needs {needed / 1e9:.0f} GB for its parameters alone, and the GPU has "
            f"{total / 1e9:.0f} GB: train on more GPUs with torchrun and --shard, or take a smaller --config"
        )
