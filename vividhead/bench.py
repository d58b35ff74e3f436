"""What curation costs: CPU seconds of each stage against one plain decode of the same file, in the same run.

A plain decode is `ffmpeg -threads 1 -i FILE -f null -`, one core, pictures and sound. Stages run in this process,
one thread, models loaded before the clock starts; their ledger commits are part of them.
"""

import contextlib
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vividhead.audit.account import account
from vividhead.chain import Chain
from vividhead.errors import MediaError, VividHeadError
from vividhead.faces import hushed
from vividhead.ingest import find
from vividhead.ledger import Ledger
from vividhead.main_job import curate
from vividhead.media.transcode import looped, plain_decode_cpu_s
from vividhead.pipeline import load_pipeline
from vividhead.policy import load_policy
from vividhead.stages import run_unit
from vividhead.units import Job, Unit
from vividhead.view import open_dataset

STAGES = ("ingest", "scan", "measure", "pack")
PIXELS_720P = 1280 * 720
"""The goals are for footage of this size and more: on smaller pictures the decode, the unit, is next to nothing."""
UNIT_RUNS = 3
"""Plain decodes of each file; their median is the unit, as short runs scatter."""
LONG_UNIT_S = 60.0
"""CPU seconds from which one plain decode is unit enough."""
GOALS = {"rejected at scan": 0.5, "rejected after decode": 2.0, "kept": 10.0}
"""The most plain decodes that a second of footage may cost, by what becomes of it."""


@dataclass(slots=True)
class File:
    """One file: what a plain decode of it costs, each stage, and what becomes of it."""

    name: str
    duration_s: float
    plain_s: float
    """CPU seconds of one plain decode."""
    stages_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    pixels: int = 0
    fate: str = "rejected at ingest"
    kept_s: float = 0.0

    def ratio(self, stage: str | None = None) -> float:
        """Cost in plain decodes, of one stage or of all."""
        spent = self.stages_s[stage] if stage else sum(self.stages_s.values())
        return spent / self.plain_s


def bench_curate(footage: str, filters: str, minutes: float | None = None) -> dict[str, Any]:
    """Run every stage on every file behind `footage` and return the figures as JSON values.

    `minutes` loops each file to that length first. Files that ffmpeg cannot decode are left out.
    """
    pipeline = load_pipeline()
    policy = load_policy(filters, pipeline.measure.scores)
    files: list[File] = []
    with tempfile.TemporaryDirectory(prefix="vividhead-bench-") as scratch, hushed():
        job = Job(dataset=f"{scratch}/dataset", pipeline=pipeline, policy=policy)
        ledger = Ledger(Path(job.dataset))
        warm_up([Path(entry.uri) for entry in find(footage)], job, Path(scratch))
        for path in _looped(footage, Path(scratch), minutes):
            try:
                plain_s = plain_decode_s(path)
            except MediaError:
                continue
            files.append(costs_of(path, plain_s, job, ledger))
    if not files:
        raise VividHeadError(f"{footage}: nothing there that ffmpeg can decode")
    return _figures(files)


def plain_decode_s(path: Path) -> float:
    """CPU seconds of a plain decode, the median of a few where one is short. Raises MediaError."""
    first = plain_decode_cpu_s(path)
    if first >= LONG_UNIT_S:
        return first
    return statistics.median([first, *(plain_decode_cpu_s(path) for _ in range(UNIT_RUNS - 1))])


def _looped(footage: str, scratch: Path, minutes: float | None) -> Iterator[Path]:
    for entry in find(footage):
        path = Path(entry.uri)
        if minutes is None:
            yield path
            continue
        longer = scratch / path.name
        with contextlib.suppress(MediaError):  # no media file: nothing to measure
            looped(path, longer, minutes * 60)
            yield longer


def warm_up(paths: list[Path], job: Job, scratch: Path) -> None:
    """Load every model, on the first file that gets that far, before any clock starts."""
    warm = Job(dataset=str(scratch / "warm"), pipeline=job.pipeline, policy=job.policy)
    for path in paths:
        file = costs_of(path, 1.0, warm, Ledger(Path(warm.dataset)))
        if file.fate == "kept":
            return


def costs_of(path: Path, plain_s: float, job: Job, ledger: Ledger) -> File:
    """Run every stage on one file, in this process, and time each."""
    chain = Chain(job, ledger, find(str(path)))
    file = File(path.name, 0.0, plain_s)
    todo: list[Unit] = chain.ingest_units()
    settled = False
    while todo or not settled:
        if not todo:
            todo, settled = chain.settle_sources(()), True
            continue
        unit = todo.pop(0)
        began = time.process_time()
        run_unit(unit, job, lambda: None)
        stage = "measure" if unit.stage == "more" else unit.stage
        file.stages_s[stage] += time.process_time() - began
        todo = chain.after(unit, None) + todo
    source = chain.sources[0]
    file.duration_s, file.pixels = source.duration_s, (source.width_px or 0) * (source.height_px or 0)
    states = chain.segments.values()
    clips = [(s, c) for s in states for c in s.clips]
    file.kept_s = sum(c.duration_s for s, c in clips if chain.decision(s, c.clip_id).kept)
    if file.kept_s:
        file.fate = "kept"
    elif any(s.scan is not None and s.scan.spans for s in states):
        file.fate = "rejected after decode"
    elif chain.sources[0].outcome == "ready":
        file.fate = "rejected at scan"
    return file


def _figures(files: list[File]) -> dict[str, Any]:
    spent = sum(sum(f.stages_s.values()) for f in files)
    return {
        "files": [
            {
                "name": f.name, "duration_s": round(f.duration_s, 3), "fate": f.fate, "kept_s": round(f.kept_s, 3),
                "plain_decode_cpu_s_per_s": round(f.plain_s / f.duration_s, 5) if f.duration_s else None,
                "in_plain_decodes": {s: round(f.ratio(s), 2) for s in STAGES} | {"all": round(f.ratio(), 2)},
            }
            for f in files
        ],
        "in_plain_decodes": _means(files),
        "in_plain_decodes_720p": _means([f for f in files if f.pixels >= PIXELS_720P]),
        "kept_s_per_cpu_s": round(sum(f.kept_s for f in files) / spent, 2),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
    }  # fmt: skip


def _means(files: list[File]) -> dict[str, float]:
    """Fate → mean cost in plain decodes."""
    groups = {fate: [f.ratio() for f in files if f.fate == fate] for fate in ("rejected at ingest", *GOALS)}
    return {fate: round(sum(ratios) / len(ratios), 2) for fate, ratios in groups.items() if ratios}


def table(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    head = f"{'file':<28}{'s':>7}  {'fate':<22}" + "".join(f"{s:>9}" for s in (*STAGES, "all"))
    lines = ["cost in plain decodes of the same file (one core)", head]
    for f in figures["files"]:
        costs = "".join(f"{f['in_plain_decodes'][s]:>9.2f}" for s in (*STAGES, "all"))
        lines.append(f"{f['name'][:27]:<28}{f['duration_s']:>7.1f}  {f['fate']:<22}{costs}")
    lines.append("")
    lines.append(f"{'mean cost in plain decodes':<28}{'all':>9}{'720p up':>9}{'goal':>9}")
    large = figures["in_plain_decodes_720p"]
    for fate, ratio in figures["in_plain_decodes"].items():
        of_large = f"{large[fate]:.2f}" if fate in large else "–"
        lines.append(f"{fate:<28}{ratio:>9.2f}{of_large:>9}{GOALS.get(fate, ''):>9}")
    lines.append("")
    lines.append(f"kept seconds per CPU second {figures['kept_s_per_cpu_s']:.2f}")
    lines.append(f"peak memory {figures['peak_memory_mb']} MB (one process with all models and stages)")
    return "\n".join(lines)


def bench_runners(footage: str, workers: int, minutes: float | None = None) -> dict[str, float]:
    """Wall seconds of the whole job on the local runner and on Ray, whose start is timed apart.

    `minutes` loops each file to that length first; what cannot be looped is left out.
    """
    from vividhead.run_ray import cluster

    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="vividhead-bench-") as scratch:
        looped_to = Path(scratch) / "footage"
        looped_to.mkdir()
        if minutes is not None:
            for _ in _looped(footage, looped_to, minutes):
                pass
        where = footage if minutes is None else str(looped_to)
        began = time.monotonic()
        with cluster(None, workers):
            took["ray_start_s"] = time.monotonic() - began
        for on in ("local", "ray"):
            began = time.monotonic()
            dataset = curate(where, f"{scratch}/{on}", on=on, workers=workers)
            took[f"{on}_s"] = time.monotonic() - began
        took["footage_s"] = account(open_dataset(dataset)).footage_s
    took["ray_overhead"] = (took["ray_s"] - took["ray_start_s"]) / took["local_s"] - 1
    return {name: round(value, 3) for name, value in took.items()}
