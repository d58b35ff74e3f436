"""The training loop, both stages: read this file from top to bottom.

    RUN/stage1/  checkpoints/step-00000200/  log.jsonl  tensorboard/  samples/step-00000450.mp4
                 checkpoint/  Model_Nano/  Codec_Linear/     the result, when all steps are made
    RUN/stage2/  the same; its checkpoint/ is what `vividhead generate --checkpoint` is for

Every random number is a function of (seed, rank, step), so a checkpoint holds networks, optimizers, averages and where
reading stands, and a run that goes on from it makes the same updates as one that was never stopped.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import torch

from vividhead.errors import UsageError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.held_out import held_out, plan_of
from vividhead.flashhead.model.audio_encoders import AudioEncoder
from vividhead.flashhead.model.checkpoint import export_dit, model_folder
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.train.begin import fresh, from_flashhead, from_wan
from vividhead.flashhead.train.logs import Log
from vividhead.flashhead.train.parts import audio_for, codec_for, room_for
from vividhead.flashhead.train.ranks import from_first, joined
from vividhead.flashhead.train.sampling import sample_video
from vividhead.flashhead.train.saving import Checkpoints
from vividhead.flashhead.train.updates import Stage, Stage1, Stage2, Surroundings
from vividhead.flashhead.train.validation import Validation
from vividhead.flashhead.train.windows import Windows, encoded
from vividhead.ledger import storage_error
from vividhead.loader import Batch, ShardDataset

CHECKPOINT = "checkpoint"
Told = Callable[[int, int, float, dict[str, float]], None]
"""Hears the step, of how many, updates a second, and the newest figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be trained."""

    dataset: str
    config: FlashHeadConfig
    stage: int
    run: Path
    begin_from: Path | None = None
    """A FlashHead checkpoint folder, or a file of Wan2.1-T2V's weights; None: fresh, or stage 1's result."""
    weights: Path | None = None
    """Where codec and audio encoder lie, for Lite and Pro."""
    device: str = "cpu"
    seed: int = 0
    shard: bool = False
    wandb_project: str | None = None

    @property
    def stage1_result(self) -> Path:
        """The checkpoint that stage 1 leaves; nano's codec is in it from the beginning."""
        return self.run / "stage1" / CHECKPOINT


@dataclass(frozen=True, slots=True)
class Trained:
    """How a run ended."""

    step: int
    steps: int
    checkpoint: Path

    @property
    def is_done(self) -> bool:
        """Whether all steps were made; else the run was stopped and goes on when started again."""
        return self.step >= self.steps


def train(order: Order, told: Told = lambda step, steps, rate, figures: None) -> Trained:
    """Train until the configured number of steps, or until Ctrl-C or SIGTERM, which save and return.

    Goes on from the newest checkpoint of the run. Raises a VividHeadError for what cannot be trained, before it begins.
    """
    config, folder = order.config, order.run / f"stage{order.stage}"
    with joined(order.device) as (place, device), _stop_asked() as stop:
        room_for(config, order.stage, device)
        _make(folder)
        training, validation = _datasets(order)
        codec = from_first(lambda: codec_for(config, order, training)).to(device)
        audio = audio_for(config, order).to(device)
        around = Surroundings(
            config=config, place=place, device=device, seed=order.seed, codec=codec, shard=order.shard
        )
        stage = _stage(order, around)
        checkpoints = Checkpoints(folder / "checkpoints", config, place, config.loop.keep)
        step = _resumed(checkpoints, stage, training)
        windows_of = _Encoder(config, codec, audio, device)
        judged = Validation(validation, config, codec, windows_of, device) if validation else None
        batches = training.loader(stage.batch, workers=config.data.workers, pin_memory=device.type == "cuda")
        with Log(folder, place, resumed_step=step or None, wandb_project=order.wandb_project) as log:
            began, first = time.monotonic(), step
            while step < stage.steps and not stop.asked:
                figures = stage.update(windows_of(next(batches)), step)
                log.add(figures, samples=stage.batch)
                step += 1
                line: dict[str, float] = {}
                if judged and (_due(step, config.loop.validate_every) or step == stage.steps):
                    with log.aside(), stage.ema.swapped_in():
                        line |= judged(stage.dit)
                if _due(step, config.loop.log_every) or line or step == stage.steps:
                    written = log.write(step, line)
                    known = {name: value for name, value in written.items() if value is not None}
                    told(step, stage.steps, (step - first) / (time.monotonic() - began), known)
                if _due(step, config.loop.save_every) or step == stage.steps:
                    _save(checkpoints, stage, training, step)
                if validation and place.is_first and _due(step, config.loop.sample_every):
                    with log.aside(), stage.ema.swapped_in():
                        sample_video(stage.dit, codec, audio, validation, folder / "samples" / f"step-{step:08d}.mp4")
            if stop.asked and step > first and not _due(step, config.loop.save_every):
                _save(checkpoints, stage, training, step)
            checkpoints.wait()
        if step >= stage.steps:
            with stage.ema.swapped_in():
                from_first(lambda: _export(stage.dit, codec, folder / CHECKPOINT))
    return Trained(step, stage.steps, folder / CHECKPOINT)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(fault, folder) from fault


def _datasets(order: Order) -> tuple[ShardDataset, ShardDataset | None]:
    """Windows to learn from, without end, and those held out; None where there is but one clip."""
    config = order.config
    if order.stage == 1:  # windows may overlap: the more beginnings, the better
        plan = replace(plan_of(config, 1), stride_frames=config.codec.stride_frames)
    else:
        plan = plan_of(config, config.stage2.chunks)
    names = held_out(order.dataset, plan, config.data.held_out)
    training = ShardDataset(
        order.dataset, plan, side_px=config.stream.side_px, seed=order.seed, landmarks=order.stage == 1,
        where=lambda rows: ~rows.clip_id.isin(names), endless=True, shuffle_bytes=config.data.shuffle_mb * 1_000_000,
        skip_log=order.run / f"stage{order.stage}" / "skipped.jsonl",
    )  # fmt: skip
    if not names:
        return training, None
    return training, ShardDataset(
        order.dataset, plan_of(config, 1), side_px=config.stream.side_px, landmarks=True,
        where=lambda rows: rows.clip_id.isin(names), rank=0, world=1,
    )  # fmt: skip


def _stage(order: Order, around: Surroundings) -> Stage:
    if order.stage == 1:
        return Stage1(around, _beginning(order, None))
    before = order.begin_from or order.stage1_result
    return Stage2(around, *(_beginning(order, before) for _ in range(3)))


def _beginning(order: Order, folder: Path | None) -> Dit:
    begin = folder or order.begin_from
    if begin is None:
        return fresh(order.config, order.seed)
    if begin.is_file():
        return from_wan(begin, order.config, order.seed)[0]
    if order.stage == 2 and not model_folder(begin, order.config).is_dir():
        raise UsageError(
            f"{begin} holds no trained {order.config.name}: finish --stage 1 first, or name a checkpoint with --from"
        )
    return from_flashhead(begin, order.config)


class _Encoder:
    """Batches of pictures and sound to latents and features."""

    def __init__(self, config: FlashHeadConfig, codec: VideoCodec, audio: AudioEncoder, device: torch.device) -> None:
        self._config, self._codec, self._audio, self._device = config, codec, audio, device

    def __call__(self, batch: Batch) -> Windows:
        moved = batch.to(self._device, non_blocking=True)
        windows = encoded(moved, self._config, self._codec, self._audio)
        if self._config.stage1.shuffled_audio:
            windows = replace(windows, context_BKFWLC=windows.context_BKFWLC.roll(1, 0))
        return windows


def _due(step: int, every: int) -> bool:
    return step % every == 0


def _resumed(checkpoints: Checkpoints, stage: Stage, training: ShardDataset) -> int:
    newest = checkpoints.newest()
    if newest is None:
        return 0
    restored = checkpoints.load(newest, stage.modules, stage.optimizers)
    training.load_state_dict(restored.extra["data"])
    return restored.step


def _save(checkpoints: Checkpoints, stage: Stage, training: ShardDataset, step: int, wait: bool = False) -> None:
    extra = {"data": dict(training.state_dict())}
    checkpoints.save(step, stage.modules, stage.optimizers, extra, wait=wait)


def _export(dit: Dit, codec: VideoCodec, folder: Path) -> Path:
    from vividhead.flashhead.model.codecs import LinearCodec

    if isinstance(codec, LinearCodec):
        codec.save(folder)
    return export_dit(dit, folder)


@dataclass(slots=True)
class _Stop:
    asked: bool = False


@contextmanager
def _stop_asked() -> Iterator[_Stop]:
    """Ctrl-C and SIGTERM end the run after the update at hand, saved; a second Ctrl-C at once."""
    stop = _Stop()

    def ask(signum: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
