"""The whole job at size: begun, killed with kill -9 when half is done, and brought to its end by a second run.

Both runs go through the real driver, runner, ledger, tables and packer; what a stage finds is made up (`simulated`).
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vividhead.at_work import STAGES
from vividhead.errors import VividHeadError
from vividhead.ledger import Ledger
from vividhead.scale.simulated import CLIPS_OF_A_SOURCE, SOURCE_S

GOALS = {"peak_mb": 2048, "commits_per_s": 500, "resume_s": 60, "tables_s": 180}
IN_A_FOLDER = 1000


def bench_scale(
    hours: float, on: str, workers: int, folder: Path | None, note: Callable[[str], None]
) -> dict[str, Any]:
    """Run the simulated job over `hours` of footage in a scratch folder below `folder` and return the figures."""
    count = max(2, round(hours * 3600 / SOURCE_S))
    with tempfile.TemporaryDirectory(prefix="vividhead-scale-", dir=folder) as scratch:
        footage, dataset = Path(scratch) / "footage", Path(scratch) / "dataset"
        _lay_out(footage, count)
        note(f"{count} sources, until half of their segments are measured; then kill -9")
        first = _run(footage, dataset, on, workers, die_after=count * 5 // 2)
        note("again, to the end")
        second = _run(footage, dataset, on, workers, die_after=0)
        kept = _rows(dataset / "manifest.parquet")
        commits = {stage: len(Ledger(dataset).keys(stage)) for stage in STAGES}
    return {
        "hours": hours, "sources": count, "candidates": count * CLIPS_OF_A_SOURCE, "kept": kept, "on": on,
        "workers": workers, "commits": commits, **_figures(first, second),
    }  # fmt: skip


def _lay_out(footage: Path, count: int) -> None:
    for number in range(count):
        path = footage / f"{number // IN_A_FOLDER:04d}" / f"{number:07d}.mp4"
        if number % IN_A_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.touch()


def _run(footage: Path, dataset: Path, on: str, workers: int, die_after: int) -> dict[str, dict[str, float]]:
    arguments = [str(footage), str(dataset), on, str(workers), str(die_after)]
    command = [sys.executable, "-m", "vividhead.scale.driver", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != (-signal.SIGKILL if die_after else 0):
        raise VividHeadError(f"the simulated run ended with {ended.returncode}: {ended.stderr[-2000:]}")
    marks: dict[str, dict[str, float]] = json.loads(ended.stdout)
    return marks


def _rows(table: Path) -> int:
    import pyarrow.parquet

    count: int = pyarrow.parquet.read_metadata(table).num_rows
    return count


def _figures(first: dict[str, dict[str, float]], second: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Wall seconds, with the driver's own CPU seconds beside them: the latter do not know of other work."""
    settled, worked, tables, end = (second[name] for name in ("settled", "worked", "tables", "published"))
    commits = worked["commits"] - settled["commits"]
    busy_s, cpu_s = worked["wall_s"] - settled["wall_s"], worked["cpu_s"] - settled["cpu_s"]
    return {
        "peak_mb": round(max(first["worked"]["peak_mb"], end["peak_mb"])),
        "commits_per_s": round(commits / busy_s, 1),
        "commits_per_driver_cpu_s": round(commits / cpu_s, 1),
        "resume_s": round(settled["wall_s"], 2), "resume_cpu_s": round(settled["cpu_s"], 2),
        "tables_s": round(tables["wall_s"] - worked["wall_s"], 2),
        "shards_s": round(end["wall_s"] - tables["wall_s"], 2),
        "publish_cpu_s": round(end["cpu_s"] - worked["cpu_s"], 2),
    }  # fmt: skip


def table(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    about = "{hours:g} h: {sources} sources, {candidates} candidates, {kept} kept; {on}, {workers} workers"
    lines = [about.format(**figures), f"commits: {figures['commits']}", f"{'':<28}{'':>12}{'goal':>9}"]
    for name, value in figures.items():
        if isinstance(value, float) or name == "peak_mb":
            lines.append(f"{name:<28}{value:>12g}{GOALS.get(name, ''):>9}")
    return "\n".join(lines)
