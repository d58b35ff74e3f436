"""What a run needs before its first update: its folder, a codec, an audio encoder."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from vividhead.errors import UsageError
from vividhead.flashhead.config import FlashHeadConfig, as_toml
from vividhead.flashhead.latents.codec import fit
from vividhead.flashhead.latents.loader import LatentDataset
from vividhead.flashhead.model.audio_encoders import AudioEncoder, load_audio_encoder, random_audio_encoder
from vividhead.flashhead.model.codecs import VideoCodec, linear, load_codec
from vividhead.flashhead.train.feeding import Training
from vividhead.ledger import storage_error, write_atomically

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


def claim(run: Path, folder: Path, config: FlashHeadConfig, held: ExitStack) -> None:
    """Make the run's folder and the stage's, and keep the configuration there; a run is of one name.

    No other process can train the stage in it until `held` is closed: both would write the same checkpoints.

    Raises UsageError where it is another's: what a model of one shape leaves is nothing to another.
    """
    own = run / f"{config.name}{_TOML}"
    for other in sorted(run.glob(f"*{_TOML}")):
        if other != own:
            raise UsageError(
                f"{run} is a run of {other.stem} ({other.name} lies in it): train {config.name} in another folder, "
                "with --out"
            )
    held.enter_context(sole_trainer(folder))
    write_atomically(own, as_toml(config).encode())


@contextmanager
def sole_trainer(folder: Path) -> Iterator[None]:
    """Hold the lock of a stage's folder, which is made, or raise UsageError; the system frees it if we are killed.

    A record lock, for those are not inherited: processes that decode outlive a killed trainer by seconds, in which the
    run could not go on.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as fault:
        raise storage_error(fault, folder) from fault
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            raise UsageError(
                f"another process trains in {folder}: wait for it, or train in another folder, with --out"
            ) from fault
        yield


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
