"""How fast windows come, against plain decodes of the same clips in the same run."""

import time
from pathlib import Path
from typing import Any

from vividhead.loader.dataset import ShardDataset
from vividhead.loader.plan import WindowPlan
from vividhead.loader.windows import WindowDataset
from vividhead.media.window import decode_all
from vividhead.records import GRID_FPS

FLOOR_CLIPS = 8
"""Clips decoded whole for the floor."""


def bench_loader(
    path: str | Path,
    plan: WindowPlan,
    *,
    side_px: int,
    batch_size: int,
    workers: int,
    seconds: float,
    cached: WindowDataset[Any, Any] | None = None,
) -> dict[str, Any]:
    """Read batches for about so many seconds after the first one, and return the figures as JSON values.

    Reads from `cached` where one is given; the floor is decoding the clips at `path` all the same.
    """
    films = ShardDataset(path, plan, side_px=side_px, endless=True)
    floor_fps = _floor_frames_per_s(films)
    dataset: WindowDataset[Any, Any] = cached or films
    batches = dataset.loader(batch_size, workers=workers)
    next(batches)
    began, used_s, n_windows = time.monotonic(), time.process_time(), 0
    while (took_s := time.monotonic() - began) < seconds:
        n_windows += len(next(batches))
    batches.close()
    frames_per_s = n_windows * plan.window_frames / took_s
    return {
        "clips": dataset.n_clips, "windows": dataset.n_windows, "window_frames": plan.window_frames,
        "side_px": side_px, "cached": cached is not None, "batch_size": batch_size, "workers": workers,
        "windows_per_s": round(n_windows / took_s, 2),
        "frames_per_s": round(frames_per_s, 1),
        "times_real_time": round(frames_per_s / GRID_FPS, 1),
        "plain_decode_frames_per_s": round(floor_fps, 1),
        "cpu_ms_per_window": None if workers else round((time.process_time() - used_s) / n_windows * 1000, 1),
    }  # fmt: skip


def _floor_frames_per_s(dataset: ShardDataset) -> float:
    """Frames that one core decodes in a second, and nothing else."""
    reader = dataset.reader()
    clips = [reader.cache.members(clip)["mp4"] for clip in range(min(FLOOR_CLIPS, dataset.n_clips))]
    began = time.process_time()
    n_frames = sum(decode_all(mp4) for mp4 in clips)
    return n_frames / (time.process_time() - began)


def table(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    f = figures
    cost = "" if f["cpu_ms_per_window"] is None else f", {f['cpu_ms_per_window']:g} ms of CPU each"
    how = "cached as latents" if f["cached"] else "decoded"
    return "\n".join(
        [
            f"{f['clips']} clips, {f['windows']} windows of {f['window_frames']} frames at {f['side_px']} px {how}, "
            f"{f['workers']} workers, batches of {f['batch_size']}",
            f"windows       {f['windows_per_s']:8.2f} /s{cost}",
            f"frames        {f['frames_per_s']:8.1f} /s ({f['times_real_time']:g} times real time)",
            f"plain decode  {f['plain_decode_frames_per_s']:8.1f} frames/s on one core",
        ]
    )
