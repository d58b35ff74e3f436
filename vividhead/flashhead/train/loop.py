"""The training loop, both stages: read this file from top to bottom.

    RUN/nano.toml                        the configuration, as it was when the run was last started
    RUN/stage1/  checkpoints/step-00000200/  log.jsonl  tensorboard/  samples/step-00000450.mp4
                 checkpoint/  Model_Nano/  Codec_Linear/     the result, when all steps are made
    RUN/stage2/  the same; its checkpoint/ is what `vividhead generate --checkpoint` is for

Every random number is a function of (seed, rank, step), so a checkpoint holds networks, optimizers, averages and where
reading stands, and a run that goes on from it makes the same updates as one that was never stopped.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from vividhead.errors import UsageError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.audio_encoders import AudioEncoder
from vividhead.flashhead.model.checkpoint import export_dit, model_folder
from vividhead.flashhead.model.codecs import LinearCodec, VideoCodec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.flops import matmul_flops_per_s
from vividhead.flashhead.train.begin import fresh, from_flashhead, from_wan, look_around
from vividhead.flashhead.train.feeding import Encoder, Feed, Training, check_latents, datasets
from vividhead.flashhead.train.logs import Log
from vividhead.flashhead.train.parts import audio_for, claim, codec_for, fit_codec
from vividhead.flashhead.train.ranks import Place, from_first, joined, whole
from vividhead.flashhead.train.room import room_for
from vividhead.flashhead.train.sampling import sample_video
from vividhead.flashhead.train.saving import Checkpoints
from vividhead.flashhead.train.stopping import STOP_FILE, stop_asked
from vividhead.flashhead.train.updates import Stage, Stage1, Stage2, Surroundings
from vividhead.flashhead.train.validation import Validation
from vividhead.loader import ShardDataset

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
    latents: Path | None = None
    """A cache to read windows from, `feeding.ANY_CACHE` for the dataset's one; None: pictures are decoded."""

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
    """Train until the configured number of steps, or until Ctrl-C, SIGTERM or a file `stop`, which save and return.

    Goes on from the newest checkpoint of the run. Raises a VividHeadError for what cannot be trained, before it begins.
    """
    with joined(order.device) as (place, device):
        return _train(order, told, place, device)


def _train(order: Order, told: Told, place: Place, device: torch.device) -> Trained:
    config, folder = order.config, order.run / f"stage{order.stage}"
    with stop_asked(folder / STOP_FILE, place) as stop, ExitStack() as held:
        if order.shard and place.world == 1:
            raise UsageError(
                "--shard spreads parameters over ranks, and this process is alone: start several with "
                "`torchrun --nproc-per-node N -m vividhead.cli train …`, with --on ray --workers N, or leave it out"
            )
        room_for(config, order.stage, device, parts=place.world if order.shard else 1)
        from_first(lambda: claim(order.run, folder, config, held))
        training, validation = datasets(order)
        from_first(lambda: fit_codec(config, order, training))
        codec = codec_for(config, order)
        check_latents(training, config, codec)
        codec, audio = codec.to(device), audio_for(config, order).to(device)
        around = Surroundings(
            config=config, place=place, device=device, seed=order.seed, codec=codec, shard=order.shard
        )
        stage = _stage(order, around)
        checkpoints = Checkpoints(folder / "checkpoints", config, place, config.loop.keep)
        held.callback(checkpoints.wait)  # also after a fault: what began to be saved is whole
        step = saved = first = _resumed(checkpoints, stage, training)
        encode = Encoder(config, codec, audio, device)
        if step == 0 and order.stage == 1 and order.begin_from is None:
            look_around(stage.dit, training, encode)
        judged = Validation(validation, config, codec, encode, device) if validation else None
        following = Feed(training, encode, order, stage.batch, step)
        peak = matmul_flops_per_s(device, around.compute or torch.float32)
        with Log(
            folder, place, resumed_step=step or None, peak_flops_per_s=peak, wandb_project=order.wandb_project
        ) as log:
            began = time.monotonic()
            while step < stage.steps and not stop.agreed():
                figures = stage.update(following, step)
                flops = stage.forward_passes(step) * stage.batch * following.pass_flops
                log.add(figures, samples=stage.batch * stage.batches, flops=flops)
                step += 1
                line: dict[str, float] = {}
                if judged and (_due(step, config.loop.validate_every) or step == stage.steps):
                    with log.aside(), stage.ema.swapped_in(), around.autocast():
                        line |= judged(stage.dit)
                if _due(step, config.loop.log_every) or line or step == stage.steps:
                    written = log.write(step, line | {"skipped": sum(p.skipped for p in stage.patience.values())})
                    known = {name: value for name, value in written.items() if value is not None}
                    told(step, stage.steps, (step - first) / (time.monotonic() - began), known)
                if _due(step, config.loop.save_every):
                    _save(checkpoints, stage, training, step)
                    saved = step
                if validation and _due(step, config.loop.sample_every):
                    with log.aside():
                        _sample(stage, codec, audio, validation, folder / "samples" / f"step-{step:08d}.mp4")
            if step > saved:
                _save(checkpoints, stage, training, step)
            checkpoints.wait()
        if step >= stage.steps:
            result = _result(stage)
            from_first(lambda: _export(result, codec, folder / CHECKPOINT))
    return Trained(step, stage.steps, folder / CHECKPOINT)


def _stage(order: Order, around: Surroundings) -> Stage:
    if order.stage == 1:
        return Stage1(around, _beginning(order, None))
    before = order.begin_from or order.stage1_result
    return Stage2(around, *(_beginning(order, before) for _ in range(3)))


def _beginning(order: Order, folder: Path | None) -> Dit:
    begin = folder or order.begin_from
    if begin is None:
        return fresh(order.config, order.seed)
    if begin.is_file() and order.stage == 2:
        raise UsageError(f"--from {begin}: stage 2 begins with what stage 1 made: a checkpoint folder, or none to name")
    if begin.is_file():
        return from_wan(begin, order.config, order.seed)[0]
    if order.stage == 2 and not model_folder(begin, order.config).is_dir():
        raise UsageError(
            f"{begin} holds no trained {order.config.name}: finish --stage 1 first, or name a checkpoint with --from"
        )
    return from_flashhead(begin, order.config)


def _due(step: int, every: int) -> bool:
    return step % every == 0


def _resumed(checkpoints: Checkpoints, stage: Stage, training: Training) -> int:
    newest = checkpoints.newest()
    if newest is None:
        return 0
    restored = checkpoints.load(newest, stage.modules, stage.optimizers)
    training.load_state_dict(restored.extra["data"])
    for name, patience in stage.patience.items():
        patience.skipped = restored.extra.get("skipped", {}).get(name, 0)
        patience.in_a_row = restored.extra.get("skipped_in_a_row", {}).get(name, 0)
    if not stage.around.place.is_first:  # the first rank's count came with `data`
        training.n_skipped = (restored.own or {}).get("n_skipped", 0)
    return restored.step


def _save(checkpoints: Checkpoints, stage: Stage, training: Training, step: int) -> None:
    skipped = {name: patience.skipped for name, patience in stage.patience.items()}
    in_a_row = {name: patience.in_a_row for name, patience in stage.patience.items()}
    extra = {"data": dict(training.state_dict()), "skipped": skipped, "skipped_in_a_row": in_a_row}
    checkpoints.save(step, stage.modules, stage.optimizers, extra, own={"n_skipped": training.n_skipped})


def _result(stage: Stage) -> Dit | None:
    """The averaged model, whole, on the first rank; all ranks bring their parts."""
    with stage.ema.swapped_in():
        return whole(stage.dit)


def _sample(stage: Stage, codec: VideoCodec, audio: AudioEncoder, validation: ShardDataset, path: Path) -> None:
    result = _result(stage)
    from_first(lambda: sample_video(_there(result), codec, audio, validation, path, stage.around.device))


def _export(dit: Dit | None, codec: VideoCodec, folder: Path) -> Path:
    if isinstance(codec, LinearCodec):
        codec.save(folder)
    return export_dit(_there(dit), folder)


def _there(dit: Dit | None) -> Dit:
    assert dit is not None, "the first rank has it"
    return dit
