"""What the auditors' verbs cost on a large dataset: seconds and peak memory of each, in a process of its own."""

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow.parquet import ParquetFile, read_metadata, read_table

from vividhead.score import score_class

Told = Callable[[str], None]
Figures = dict[str, Any]


def bench_audit(n_clips: int, dataset: Path | None, told: Told) -> Figures:
    """Run every verb that works on tables alone. Without a `dataset`, one of `n_clips` clips is made, and timed."""
    with tempfile.TemporaryDirectory(prefix="vividhead-bench-") as scratch:
        runs: Figures = {}
        if dataset is None:
            dataset = Path(scratch) / "dataset"
            told(f"making {n_clips} clips")
            maker = "from vividhead.testing.large_dataset import make_large_dataset as make; import sys; "
            maker += "from pathlib import Path; make(Path(sys.argv[1]), int(sys.argv[2]))"
            runs["make"] = _timed([sys.executable, "-c", maker, str(dataset), str(n_clips)])
        for name, arguments in _verbs(dataset, Path(scratch)).items():
            told(name)
            runs[name] = _timed([sys.executable, "-m", "vividhead.cli", *arguments])
        return {
            "clips": _rows(dataset / "clips.parquet"), "kept_clips": _rows(dataset / "manifest.parquet"),
            "fields": _fields(dataset), "machine": platform.machine(), "cores": os.cpu_count(), "runs": runs,
        }  # fmt: skip


def _verbs(dataset: Path, scratch: Path) -> dict[str, Sequence[str]]:
    with ParquetFile(dataset / "clips.parquet") as clips:  # one row group: what this process holds counts for a verb's
        some = clips.read_row_group(clips.num_row_groups // 2, ["clip_id", "source_id", "start_s_in_source"])
    row = some.slice(len(some) // 2, 1).to_pylist()[0]
    hours = float(np.sum(read_table(dataset / "manifest.parquet", columns=["duration_s"])["duration_s"])) / 3600
    where = str(dataset)
    return {
        "rejudge": ["rejudge", where, "--filters", "strict", "--json"],
        "verify": ["verify", where, "--json"],
        "explain CLIP": ["explain", where, row["clip_id"], "--json"],
        "explain SOURCE@TIME": ["explain", where, f"{row['source_id']}@{row['start_s_in_source']:.2f}", "--json"],
        "tune": ["tune", where, "--target-hours", f"{hours * 0.9:.4f}", "--json"],
        "diff": ["diff", where, where, "--json"],
        "report": ["report", where, "--out", str(scratch / "report.html")],
    }


def _rows(table: Path) -> int:
    return int(read_metadata(table).num_rows)


def _fields(dataset: Path) -> int:
    names = (path.name for path in (dataset / "measurements").glob("*"))
    return sum(len(score_class(name).fields) for name in names)


def _timed(command: Sequence[str]) -> dict[str, float]:
    """Wall and CPU seconds and the peak memory of one process."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "wall_s": round(time.monotonic() - began, 2), "cpu_s": round(cpu_s, 2),
        "peak_memory_mb": round(used.ru_maxrss / 1000), "exit_code": process.returncode,
    }  # fmt: skip


def table(figures: Figures) -> str:
    """The figures as a table in Markdown, as docs/benchmarks.md has it."""
    lines = [
        f"{figures['clips']} clips of which {figures['kept_clips']} kept, {figures['fields']} fields, "
        f"{figures['cores']} cores",
        "",
        f"| {'verb':<20} | {'wall s':>8} | {'CPU s':>8} | {'peak MB':>8} |",
        f"| {'-' * 20} | {'-' * 7}: | {'-' * 7}: | {'-' * 7}: |",
    ]
    for name, run in figures["runs"].items():
        failed = f" exit code {run['exit_code']}" if run["exit_code"] else ""
        lines.append(
            f"| {name:<20} | {run['wall_s']:>8.1f} | {run['cpu_s']:>8.1f} | {run['peak_memory_mb']:>8} |{failed}"
        )
    return "\n".join(lines)
