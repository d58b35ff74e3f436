"""What the loop is fed with: windows to learn from and those held out, and how they become latents and features."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.held_out import held_out, plan_of
from vividhead.flashhead.model.audio_encoders import AudioEncoder
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.flashhead.train.windows import Windows, encoded
from vividhead.loader import Batch, ShardDataset


class Asked(Protocol):
    """What of an order for training says what is read."""

    @property
    def dataset(self) -> str:
        """Folder or address."""

    @property
    def config(self) -> FlashHeadConfig:
        """With the section `data`."""

    @property
    def stage(self) -> int:
        """1 or 2."""

    @property
    def run(self) -> Path:
        """Where windows that cannot be read are noted."""

    @property
    def seed(self) -> int:
        """Of the order of windows."""


def datasets(asked: Asked) -> tuple[ShardDataset, ShardDataset | None]:
    """Windows to learn from, without end, and those held out; None where there is but one clip."""
    config = asked.config
    if asked.stage == 1:  # windows may overlap: the more beginnings, the better
        plan = replace(plan_of(config, 1), stride_frames=config.codec.stride_frames)
    else:
        plan = plan_of(config, config.stage2.chunks)
    names = held_out(asked.dataset, config, config.data.held_out)
    training = ShardDataset(
        asked.dataset, plan, side_px=config.stream.side_px, seed=asked.seed, landmarks=asked.stage == 1,
        where=lambda rows: ~rows.clip_id.isin(names), endless=True, shuffle_bytes=config.data.shuffle_mb * 1_000_000,
        skip_log=asked.run / f"stage{asked.stage}" / "skipped.jsonl",
    )  # fmt: skip
    if not names:
        return training, None
    return training, ShardDataset(
        asked.dataset, plan_of(config, 1), side_px=config.stream.side_px, landmarks=True,
        where=lambda rows: rows.clip_id.isin(names), rank=0, world=1,
    )  # fmt: skip


class Encoder:
    """Batches of pictures and sound to latents and features."""

    def __init__(self, config: FlashHeadConfig, codec: VideoCodec, audio: AudioEncoder, device: torch.device) -> None:
        """Codec and audio encoder are on the device."""
        self._config, self._codec, self._audio, self._device = config, codec, audio, device

    def __call__(self, batch: Batch) -> Windows:
        """On the device."""
        moved = batch.to(self._device, non_blocking=True)
        windows = encoded(moved, self._config, self._codec, self._audio)
        if self._config.stage1.shuffled_audio:
            windows = replace(windows, context_BKFWLC=windows.context_BKFWLC.roll(1, 0))
        return windows
