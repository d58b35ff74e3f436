"""What training costs: samples a second, the share of the device's peak, memory, and what the codec takes of it.

Windows are random, and so are weights unless some are given: no time depends on a value. Nothing is read or decoded
(`vividhead bench loader` measures that); a feed gives what follows, pictures that the codec encodes for each update,
or latents that are ready, as from a cache. Model FLOPs utilisation counts forward passes and twice as much for each
backward pass, from shapes; hardware utilisation counts what is recomputed too. The codec's arithmetic is in neither.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.audio_encoders import AudioEncoder, load_audio_encoder, random_audio_encoder
from vividhead.flashhead.model.codecs import VideoCodec, load_codec, random_codec
from vividhead.flashhead.model.flops import forward_pass, matmul_flops_per_s, vendors_flops_per_s, waited
from vividhead.flashhead.model.machine import forget_peak, memory_of, peak_memory, told_where
from vividhead.flashhead.train.begin import fresh
from vividhead.flashhead.train.feeding import Encoder
from vividhead.flashhead.train.ranks import Place
from vividhead.flashhead.train.room import room_for
from vividhead.flashhead.train.updates import Next, Stage, Stage1, Stage2, Surroundings
from vividhead.flashhead.train.windows import Windows, heard
from vividhead.loader import Batch

WARM_STEPS = 2
FEEDS = 3
"""How often what comes before an update is timed by itself."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is measured."""

    config: FlashHeadConfig
    stage: int = 1
    steps: int = 10
    latents: bool = False
    """Latents are ready; else pictures are encoded for each update."""
    weights: Path | None = None
    """Of codec and audio encoder; None: random ones."""
    device: str = "cpu"

    @property
    def chunks(self) -> int:
        """In a window."""
        return 1 if self.stage == 1 else self.config.stage2.chunks

    @property
    def batch(self) -> int:
        """Windows at a time."""
        return self.config.stage1.batch if self.stage == 1 else self.config.stage2.batch


def bench_train(trial: Trial, say: Say = lambda line: None) -> dict[str, Any]:
    """Make a few steps and return the figures as JSON values."""
    config, device = trial.config, torch.device(trial.device)
    room_for(config, trial.stage, device)
    codec, audio = _parts(trial)
    codec, audio = codec.to(device), audio.to(device)
    around = Surroundings(config=config, place=Place(), device=device, seed=0, codec=codec)
    say("making the networks")
    stage: Stage = Stage1(around, fresh(config, 0)) if trial.stage == 1 else Stage2(
        around, *(fresh(config, 0) for _ in range(3))
    )  # fmt: skip
    feed = ready_feed(trial, codec, audio) if trial.latents else pictures_feed(trial, codec, audio)
    say(f"{WARM_STEPS} steps to warm up")
    forget_peak(trial.device)
    for step in range(WARM_STEPS):
        stage.update(feed, step)
    say(f"{trial.steps} steps")
    times_ms = [_timed_ms(device, lambda step=step: stage.update(feed, step)) for step in _timed_steps(trial)]  # type: ignore[misc]
    memory = peak_memory(trial.device)
    say("what comes before an update")
    feed_ms = statistics.median(_timed_ms(device, feed) for _ in range(FEEDS))
    say("the device's peak")
    return _head(trial, around) | _figures(trial, stage, times_ms, feed_ms) | memory


def pictures_feed(trial: Trial, codec: VideoCodec, audio: AudioEncoder) -> Next:
    """Random pictures and sound, which codec and audio encoder turn into windows each time."""
    config, count, random = trial.config, trial.batch, torch.Generator().manual_seed(0)
    side, device = config.stream.side_px, torch.device(trial.device)
    frames = config.stream.frames_per_chunk + (trial.chunks - 1) * config.new_frames
    numbers = torch.zeros(count, dtype=torch.int64)
    mesh = torch.rand((count, frames, 478, 3), generator=random) * side if trial.stage == 1 else None
    batch = Batch(
        video_BTHWC=torch.randint(256, (count, frames, side, side, 3), dtype=torch.uint8, generator=random),
        reference_BHWC=torch.randint(256, (count, side, side, 3), dtype=torch.uint8, generator=random),
        audio_BKS=_sound(trial, random), landmarks_BTPX=mesh, clip_id=("random",) * count, start_frame_B=numbers,
        reference_frame_B=numbers, epoch_B=numbers, position_B=numbers, stand_in_B=numbers.bool(), about=({},) * count,
    )  # fmt: skip
    if device.type == "cuda":
        batch = batch.pin_memory()
    encode = Encoder(config, codec, audio, device)
    return lambda: encode(batch)


def ready_feed(trial: Trial, codec: VideoCodec, audio: AudioEncoder) -> Next:
    """Random latents, and sound that the audio encoder hears each time, as sound is never cached."""
    config, count, random = trial.config, trial.batch, torch.Generator().manual_seed(0)
    device = torch.device(trial.device)
    shape = config.dit.latent_channels, *config.grid_THW
    latents = torch.randn((count, trial.chunks, *shape), generator=random).to(device)
    face = torch.ones((count, trial.chunks, *config.grid_THW), device=device)
    sound, side = _sound(trial, random), config.stream.side_px
    portrait = torch.rand((count, 3, side, side), generator=random).to(device) if trial.stage == 2 else None
    windows = Windows(
        latents_BKCTHW=latents, reference_BCTHW=latents[:, 0], portrait_B3HW=portrait, face_BKTHW=face,
        mouth_BKTHW=face, context_BKFWLC=torch.empty(0),
    )  # fmt: skip
    frames = config.stream.frames_per_chunk
    return lambda: replace(windows, context_BKFWLC=heard(sound.to(device, non_blocking=True), frames, audio))


def _sound(trial: Trial, random: torch.Generator) -> torch.Tensor:
    return torch.randn((trial.batch, trial.chunks, trial.config.cache_samples), generator=random) / 10


def _parts(trial: Trial) -> tuple[VideoCodec, AudioEncoder]:
    config = trial.config
    if trial.weights is None:
        codec, audio = random_codec(config, 0), random_audio_encoder(config, 0)
    else:
        codec, audio = load_codec(config, trial.weights), load_audio_encoder(config, trial.weights)
    for module in (codec, audio):
        module.requires_grad_(False).eval()
    return codec, audio


def _timed_steps(trial: Trial) -> range:
    return range(WARM_STEPS, WARM_STEPS + trial.steps)


def _timed_ms(device: torch.device, action: Callable[[], object]) -> float:
    waited(device)
    began_s = time.perf_counter()
    action()
    waited(device)
    return (time.perf_counter() - began_s) * 1000


def _head(trial: Trial, around: Surroundings) -> dict[str, Any]:
    config = trial.config
    return told_where(trial.device) | {
        "model": config.name, "stage": trial.stage, "batch": trial.batch, "latents": trial.latents,
        "random_weights": trial.weights is None, "side_px": config.stream.side_px,
        "compute": str(around.compute or torch.float32).removeprefix("torch."),
        "compile_blocks": config.loop.compile_blocks, "recompute_blocks": config.loop.recompute_blocks,
    }  # fmt: skip


def _figures(trial: Trial, stage: Stage, times_ms: list[float], feed_ms: float) -> dict[str, Any]:
    config, device, total_s = trial.config, stage.around.device, sum(times_ms) / 1000
    once = forward_pass(config)
    model_flops = sum(stage.forward_passes(step) for step in _timed_steps(trial)) * trial.batch * once.flops
    learning = (stage.batches + (trial.stage == 2)) * trial.steps * trial.batch
    again_flops = learning * once.blocks_flops if config.loop.recompute_blocks else 0
    peak = matmul_flops_per_s(device, stage.around.compute or torch.float32)
    figures = {
        "steps": trial.steps,
        "step_ms": {"median": round(statistics.median(times_ms), 1), "worst": round(max(times_ms), 1)},
        "samples_per_s": round(trial.batch * stage.batches * trial.steps / total_s, 3),
        "before_updates": round(feed_ms * stage.batches * trial.steps / 1000 / total_s, 4),
        "forward_tflop_per_sample": round(once.flops / 1e12, 7),
        "model_tflop_per_s": round(model_flops / total_s / 1e12, 5),
        "matmul_tflop_per_s": round(peak / 1e12, 5),
        "mfu": round(model_flops / total_s / peak, 4),
        "hfu": round((model_flops + again_flops) / total_s / peak, 4),
    }
    vendors = vendors_flops_per_s(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    if vendors is not None:
        figures |= {
            "vendors_tflop_per_s": round(vendors / 1e12, 1),
            "mfu_of_vendors": round(model_flops / total_s / vendors, 4),
        }
    return figures


def table(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    source = "latents ready" if figures["latents"] else "pictures encoded for each update"
    extras = "".join(f", {name}" for name in ("compile_blocks", "recompute_blocks") if figures[name])
    of_vendors = f"; {figures['mfu_of_vendors']:.1%} of the data sheet's" if "mfu_of_vendors" in figures else ""
    lines = [
        f"{figures['model']} stage {figures['stage']} at {figures['side_px']} px, batch {figures['batch']}, "
        f"{figures['compute']}, {source}{extras}",
        f"{figures['device']}, torch {figures['torch']}, vividhead {figures['vividhead']}, {figures['measured']}",
        "",
        f"{figures['samples_per_s']:>10.2f} samples/s{memory_of(figures)}",
        f"{figures['step_ms']['median']:>10.1f} ms a step   (worst {figures['step_ms']['worst']:.1f}, "
        f"of {figures['steps']})",
        f"{figures['before_updates']:>10.1%} of the time before updates: codec, audio encoder, copies",
        f"{figures['mfu']:>10.1%} MFU: {figures['model_tflop_per_s']:g} of {figures['matmul_tflop_per_s']:g} TFLOP/s "
        f"that matrix products reach here{of_vendors}",
        f"{figures['hfu']:>10.1%} HFU, with what is recomputed",
    ]
    return "\n".join(lines)
