"""What the loop is fed with: windows to learn from and those held out, and how they become latents and features."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Protocol

import torch

from vividhead.errors import UsageError
from vividhead.flashhead.buckets import Bucket
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.held_out import held_out, plan_of
from vividhead.flashhead.latents.feed import cached_windows
from vividhead.flashhead.latents.identity import check_codec, check_plan, command, found_cache
from vividhead.flashhead.latents.loader import LatentDataset
from vividhead.flashhead.latents.sample import LatentBatch
from vividhead.flashhead.model.audio_encoders import AudioEncoder
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.flashhead.model.flops import forward_pass
from vividhead.flashhead.train.crop import cropped
from vividhead.flashhead.train.ranks import shared_generator
from vividhead.flashhead.train.variety import varied
from vividhead.flashhead.train.windows import Windows, encoded
from vividhead.loader import Batch, ShardDataset
from vividhead.loader.windows import B, S, WindowDataset

Training = ShardDataset | LatentDataset


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

    @property
    def latents(self) -> Path | None:
        """The cache that windows are read from; None: pictures are decoded. `ANY_CACHE`: the dataset's one."""


ANY_CACHE = Path()


def datasets(asked: Asked) -> tuple[Training, ShardDataset | None]:
    """Windows to learn from, without end, and those held out; None where there is but one clip."""
    config = asked.config
    if asked.stage == 1:  # windows may overlap: the more beginnings, the better
        plan = replace(plan_of(config, 1), stride_frames=config.codec.stride_frames)
    else:
        plan = plan_of(config, config.stage2.chunks)
    kept_back = held_out(asked.dataset, config, config.data.held_out)
    training: Training
    if asked.latents is None:
        training = ShardDataset(
            asked.dataset, plan, side_px=config.stream.side_px, seed=asked.seed, landmarks=asked.stage == 1,
            where=lambda rows: ~rows.clip_id.isin(kept_back.unlearned), endless=True, skip_log=_skip_log(asked),
            shuffle_bytes=config.data.shuffle_mb * 1_000_000,
        )  # fmt: skip
    else:
        training = LatentDataset(
            asked.dataset, plan, cache=_cache(asked, asked.latents), remedy=command(asked.dataset, config),
            seed=asked.seed, landmarks=asked.stage == 1, portraits=asked.stage == 2,
            where=lambda rows: ~rows.clip_id.isin(kept_back.unlearned), endless=True, skip_log=_skip_log(asked),
            shuffle_bytes=config.data.shuffle_mb * 1_000_000,
        )  # fmt: skip
        check_plan(training.identity, config, training.cache, command(asked.dataset, config))
    if not kept_back.judged_by:
        return training, None
    return training, ShardDataset(
        asked.dataset, plan_of(config, 1), side_px=config.stream.side_px, landmarks=True,
        where=lambda rows: rows.clip_id.isin(kept_back.judged_by), rank=0, world=1,
    )  # fmt: skip


def _skip_log(asked: Asked) -> Path:
    return asked.run / f"stage{asked.stage}" / "skipped.jsonl"


def _cache(asked: Asked, named: Path) -> Path:
    data = asked.config.data
    if data.mirrored or data.recoloured:
        raise UsageError(
            f"data.mirrored {data.mirrored:g} and data.recoloured {data.recoloured:g} change pictures, and cached "
            "latents have none: set both to 0 in a configuration of your own, or train without --latents"
        )
    own = replace(asked.config, stage1=replace(asked.config.stage1, buckets=())).buckets
    if asked.stage == 1 and asked.config.buckets != own:
        raise UsageError(
            f"stage1.buckets {', '.join(asked.config.stage1.buckets)}: cached latents have one shape; leave buckets "
            "out, or train without --latents"
        )
    return found_cache(Path(asked.dataset), asked.config) if named == ANY_CACHE else named


def check_latents(training: Training, config: FlashHeadConfig, codec: VideoCodec) -> None:
    """DatasetError where cached latents are not those of the codec that a run has."""
    if isinstance(training, LatentDataset):
        check_codec(training.identity, codec, training.cache, command(training.where, config))


class Feed:
    """Gives batch after batch as updates see them: pictures cut to a bucket, varied, encoded; or latents as cached."""

    def __init__(self, training: Training, encode: "Encoder", asked: Asked, batch: int, step: int) -> None:
        """`step` is the first update's: of stage 1 each takes one batch, in a bucket that all ranks draw alike."""
        config = asked.config
        if config.stage1.shuffled_audio and batch < 2:
            raise UsageError(
                f"stage1.shuffled_audio: a window hears another of its batch, and stage{asked.stage}.batch is {batch}: "
                "2 or more"
            )
        self._encode, self._asked = encode, asked
        self._buckets = config.buckets if asked.stage == 1 else ()
        self._passes = {bucket: forward_pass(config, bucket).flops for bucket in self._buckets}
        self._steps = count(step)
        workers, pin_memory = config.data.workers, encode.device.type == "cuda"
        self._cached: Iterator[LatentBatch] | None = None
        self._films: Iterator[Batch] | None = None
        if isinstance(training, LatentDataset):
            self._cached = training.loader(batch, workers=workers, pin_memory=pin_memory)
        else:
            self._films = training.loader(batch, workers=workers, pin_memory=pin_memory)
        self.pass_flops = forward_pass(config).flops
        """Of the transformer's forward pass on a window of the last batch."""

    def __call__(self) -> Windows:
        """The next batch."""
        windows = self._next()
        if self._asked.config.stage1.shuffled_audio:
            windows = replace(windows, context_BKFWLC=windows.context_BKFWLC.roll(1, 0))
        return windows

    def _next(self) -> Windows:
        if self._cached is not None:
            return self._encode(next(self._cached))
        assert self._films is not None
        batch = next(self._films)
        if self._buckets:
            bucket = drawn_bucket(self._buckets, self._asked.seed, next(self._steps))
            batch, self.pass_flops = cropped(batch, bucket), self._passes[bucket]
        return self._encode(varied(batch, self._asked.config.data, self._asked.seed))


def drawn_bucket(buckets: Sequence[Bucket], seed: int, step: int) -> Bucket:
    """One of them, each as likely, the same on every rank."""
    return buckets[int(torch.randint(len(buckets), (), generator=shared_generator(seed, step)))]


def first_windows(training: Training, encode: "Encoder", most: int) -> Windows:
    """The first windows of the order, as they are; reading does not move on."""
    if isinstance(training, LatentDataset):
        return encode(_first(training, most))
    return encode(_first(training, most))


def _first(training: WindowDataset[S, B], most: int) -> B:
    reader = training.reader()
    return training.batch_of([training.sample_at(at, reader) for at in range(min(most, training.n_windows))])


class Encoder:
    """Batches of pictures and sound, or of cached latents and sound, to latents and features."""

    def __init__(self, config: FlashHeadConfig, codec: VideoCodec, audio: AudioEncoder, device: torch.device) -> None:
        """Codec and audio encoder are on the device."""
        self._config, self._codec, self._audio, self.device = config, codec, audio, device

    def __call__(self, batch: Batch | LatentBatch) -> Windows:
        """On the device."""
        moved = batch.to(self.device, non_blocking=True)
        if isinstance(moved, LatentBatch):
            return cached_windows(moved, self._config, self._audio, next(self._codec.buffers()).dtype)
        return encoded(moved, self._config, self._codec, self._audio)
