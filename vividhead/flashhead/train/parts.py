"""What a run needs before its first update: a codec, an audio encoder, room on the device."""

from pathlib import Path
from typing import Protocol

import torch

from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.config import FlashHeadConfig, as_toml
from vividhead.flashhead.latents.codec import fit
from vividhead.flashhead.latents.loader import LatentDataset
from vividhead.flashhead.model.audio_encoders import AudioEncoder, load_audio_encoder, random_audio_encoder
from vividhead.flashhead.model.codecs import VideoCodec, linear, load_codec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.train.feeding import Training
from vividhead.ledger import storage_error, write_atomically

BYTES_A_PARAMETER = {1: 20, 2: 44}
"""Float32 values, gradients, two moments and an average; in stage 2 of two networks, and the teacher's values."""
_TOML = ".toml"


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


def claim(run: Path, folder: Path, config: FlashHeadConfig) -> None:
    """Make the run's folder and the stage's, and keep the configuration there; a run is of one name.

    Raises UsageError where it is another's: what a model of one shape leaves is nothing to another.
    """
    own = run / f"{config.name}{_TOML}"
    for other in sorted(run.glob(f"*{_TOML}")):
        if other != own:
            raise UsageError(
                f"{run} is a run of {other.stem} ({other.name} lies in it): train {config.name} in another folder, "
                "with --out"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(fault, folder) from fault
    write_atomically(own, as_toml(config).encode())


def fit_codec(config: FlashHeadConfig, places: Places, training: Training) -> None:
    """Fit nano's codec on what is learned from, once for a run, or take a cache's; the published ones are there."""
    folder = _codec_folder(config, places)
    if config.codec.kind != "linear" or _is_fitted(folder):
        return
    codec = linear.load_linear(training.cache) if isinstance(training, LatentDataset) else fit(training, config)
    codec.save(folder)


def codec_for(config: FlashHeadConfig, places: Places) -> VideoCodec:
    """The published codec, or the fitted one."""
    return load_codec(config, _codec_folder(config, places))


def _codec_folder(config: FlashHeadConfig, places: Places) -> Path:
    if config.codec.kind != "linear":
        return places.weights or places.run
    named = places.begin_from
    if named is not None and _is_fitted(named):
        return named  # a model and its latents belong together
    return places.stage1_result


def _is_fitted(folder: Path) -> bool:
    return (folder / linear.FOLDER / linear.FILE).is_file()


def audio_for(config: FlashHeadConfig, places: Places) -> AudioEncoder:
    """The published encoder; or log-mel, which has no weights."""
    if config.audio.encoder == "log_mel":
        return random_audio_encoder(config, 0)
    return load_audio_encoder(config, places.weights or places.run)


def room_for(config: FlashHeadConfig, stage: int, device: torch.device, parts: int = 1) -> None:
    """Refuse what cannot fit into a GPU's memory, before anything is read. `parts`: ranks that share parameters."""
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
