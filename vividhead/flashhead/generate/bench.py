"""What generation costs: pictures a second, latency, phases and streams, against the floor of the same device.

The floor is the chunk's multiplications, counted by torch, at the rate at which the device multiplies large matrices in
the same run and precision. Random weights of the real shapes take exactly as long as trained ones.
"""

import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vividhead.flashhead.generate.chunk import PHASES, ChunkGenerator
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.generate.stream import Stream
from vividhead.flashhead.model.flashhead import FlashHead
from vividhead.flashhead.model.flops import counted_flops, matmul_flops_per_s
from vividhead.flashhead.model.machine import forget_peak, memory_of, peak_memory, told_where
from vividhead.records import GRID_FPS

STREAM_COUNTS = (1, 2, 4, 8, 12, 16, 20, 24, 32)
WARM_CHUNKS = 2
"""Before chunks are timed: an engine that works ahead has then begun as many as it ever has."""
Say = Callable[[str], None]


def bench_generate(model: FlashHead, chunks: int = 20, say: Say = lambda line: None) -> dict[str, Any]:
    """Measure one model on its device and return the figures as JSON values; `chunks` are timed in each part."""
    config, device = model.config, model.device.type
    figures: dict[str, Any] = {
        "model": config.name,
        "random_weights": model.random_weights,
        **told_where(device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "side_px": config.stream.side_px,
        "steps": config.sampler.steps,
        "new_frames_per_chunk": config.new_frames,
    }
    figures["cold_start_ms"] = _first_chunk_ms(Engine(model))
    say("one stream")
    forget_peak(device)
    figures |= _one_stream(model, chunks) | peak_memory(device)
    say("phases")
    figures["phases_ms"] = _phases_ms(model, chunks)
    say("the floor")
    figures |= _floor(model, figures["chunk_ms"]["median"])
    figures["streams"] = _many_streams(model, chunks, say)
    figures["streams_sustained"] = max((s["streams"] for s in figures["streams"] if not s["underruns"]), default=0)
    return figures


def _speech(n_samples: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


def _opened(engine: Engine, chunks: int, seed: int = 0) -> Stream:
    """A stream with sound for so many chunks."""
    config = engine.model.config
    portrait = np.random.default_rng(seed).integers(0, 256, (config.stream.side_px,) * 2 + (3,), np.uint8)
    stream = engine.open(portrait, seed, as_it_is=True)
    stream.push_pcm(_speech(chunks * config.new_samples, seed))
    return stream


def _timed_ms(action: Callable[[], object]) -> float:
    _wait()
    began = time.perf_counter()
    action()
    _wait()
    return (time.perf_counter() - began) * 1000


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _first_chunk_ms(engine: Engine) -> float:
    """From opening a stream, its sound being there, to its first pictures in memory."""
    opened: list[Stream] = []
    took = _timed_ms(lambda: opened.append(_opened(engine, 1)) or opened[0].next_chunk())  # type: ignore[func-returns-value]
    opened[0].close()
    return round(took, 1)


def _one_stream(model: FlashHead, chunks: int) -> dict[str, Any]:
    engine = Engine(model)
    _first_chunk_ms(engine)
    figures: dict[str, Any] = {"first_chunk_ms": _first_chunk_ms(engine)}
    stream = _opened(engine, WARM_CHUNKS + chunks + 1)  # the last is begun ahead and not asked for
    times = _in_a_row_ms(stream.next_chunk, chunks)
    stream.close()
    figures["chunk_ms"] = _spread(times)
    figures["fps"] = round(model.config.new_frames * len(times) / sum(times) * 1000, 1)
    return figures


def _in_a_row_ms(next_chunk: Callable[[], object], chunks: int) -> list[float]:
    """How long a caller who asks again at once waits each time; nothing else makes the device wait."""
    for _ in range(WARM_CHUNKS):
        next_chunk()
    times = []
    for _ in range(chunks):
        began = time.perf_counter()
        next_chunk()
        times.append((time.perf_counter() - began) * 1000)
    return times


def _spread(times_ms: list[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    return {
        "median": round(statistics.median(ordered), 2),
        "p99": round(ordered[math.ceil(0.99 * len(ordered)) - 1], 2),
        "worst": round(ordered[-1], 2),
    }


def _phases_ms(model: FlashHead, chunks: int) -> dict[str, float]:
    """Median milliseconds of each phase, one stream, run step by step and not as one graph."""
    engine = Engine(model, graphs=False, ahead=False)
    generator = ChunkGenerator(model)
    times: dict[str, list[float]] = {phase: [] for phase in (*PHASES, "copy")}
    began = 0.0

    def mark(phase: str) -> None:
        nonlocal began
        _wait()
        now = time.perf_counter()
        times[phase].append((now - began) * 1000)
        began = now

    def generate(batch: Any) -> Any:
        nonlocal began
        _wait()
        began = time.perf_counter()
        return generator(batch, mark)

    engine.generate = generate
    stream = _opened(engine, chunks)
    for _ in range(chunks):
        stream.next_chunk()
        mark("copy")
    stream.close()
    return {phase: round(statistics.median(took), 2) for phase, took in times.items()}


def _floor(model: FlashHead, chunk_ms: float) -> dict[str, Any]:
    per_s = matmul_flops_per_s(model.device, model.dtype)
    flops = counted_flops(_opened(Engine(model, graphs=False), 1).next_chunk)
    floor_ms = flops / per_s * 1000
    return {
        "chunk_tflop": round(flops / 1e12, 4),
        "matmul_tflop_per_s": round(per_s / 1e12, 3),
        "floor_chunk_ms": round(floor_ms, 2),
        "floor_fps": round(model.config.new_frames / floor_ms * 1000, 1),
        "of_floor": round(floor_ms / chunk_ms, 3),
    }


def _many_streams(model: FlashHead, chunks: int, say: Say) -> list[dict[str, Any]]:
    """Waves of n streams, until one takes longer than it plays; nothing is made ahead, as live sound comes late."""
    deadline_ms = model.config.new_frames / GRID_FPS * 1000
    found: list[dict[str, Any]] = []
    for count in STREAM_COUNTS:
        say(f"{count} streams")
        forget_peak(model.device.type)
        engine = Engine(model, capacity=count, ahead=False)
        streams = [_opened(engine, WARM_CHUNKS + chunks, seed) for seed in range(count)]
        times = _in_a_row_ms(partial(engine.next_chunks, streams), chunks)
        wave = {"streams": count, "wave_ms": _spread(times), "underruns": _underruns(times, deadline_ms)}
        found.append(wave | peak_memory(model.device.type))
        for stream in streams:
            stream.close()  # so that the engine's graphs go with it
        if statistics.median(times) > deadline_ms:
            break
    return found


def _underruns(times_ms: list[float], deadline_ms: float) -> int:
    """Chunks that arrive after the listener, who began with the first, has run out of pictures.

    The sound of chunk k has been spoken k chunks after that of the first; its pictures are due another chunk later.
    """
    late, free_ms = 0, 0.0
    for chunk, took in enumerate(times_ms):
        free_ms = max(free_ms, chunk * deadline_ms) + took
        late += free_ms > (chunk + 1) * deadline_ms
    return late


def table(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    weights = "random weights of the real shapes" if figures["random_weights"] else "trained weights"
    lines = [
        f"{figures['model']} at {figures['side_px']} px, {figures['steps']} steps, {figures['dtype']}, {weights}",
        f"{figures['device']}, torch {figures['torch']}, vividhead {figures['vividhead']}, {figures['measured']}",
        "",
        f"one stream             {figures['fps']:>9.1f} FPS{memory_of(figures)}",
        f"chunk of {figures['new_frames_per_chunk']:<2} pictures   {figures['chunk_ms']['median']:>9.1f} ms"
        f"   (p99 {figures['chunk_ms']['p99']:.1f})",
        f"first chunk            {figures['first_chunk_ms']:>9.1f} ms   (cold {figures['cold_start_ms']:.0f})",
        f"floor                  {figures['floor_chunk_ms']:>9.1f} ms   ({figures['chunk_tflop']} TFLOP at "
        f"{figures['matmul_tflop_per_s']} TFLOP/s; {figures['of_floor']:.0%} of it reached)",
        "",
        *(f"{phase:<22} {took:>9.2f} ms" for phase, took in figures["phases_ms"].items()),
        "",
        *(
            f"{wave['streams']:>2} at once: a chunk for each takes {wave['wave_ms']['median']:.0f} ms, worst "
            f"{wave['wave_ms']['worst']:.0f}; {wave['underruns']} underruns{memory_of(wave)}"
            for wave in figures["streams"]
        ),
        f"streams sustained at 25 FPS: {figures['streams_sustained']}",
    ]
    return "\n".join(lines)
