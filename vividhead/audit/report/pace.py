"""How fast a run went, read from the times at which its ledger was written. Nothing in a dataset's tables is timed."""

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PAUSE_S = 600.0
"""A longer time without a commit is no work: the run was stopped, or waited."""
FASTEST = 2000.0
"""Footage seconds a second that no run reaches: the times are then a copy's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds from the first commit to the last, without pauses."""

    work_s: float | None
    """None where it cannot be known; `why` says why."""
    why: str = ""
    units: tuple[tuple[str, int], ...] = ()
    """Stage → units done."""


def pace_of(folder: Path | None, footage_s: float) -> Pace:
    """Read the file times under ledger/; a dataset in an object store, or one without a ledger, has none."""
    if folder is None or not (folder / "ledger").is_dir():
        return Pace(work_s=None, why="no ledger is at hand")
    times: list[float] = []
    units: list[tuple[str, int]] = []
    for stage in sorted(p for p in (folder / "ledger").iterdir() if p.is_dir()):
        with os.scandir(stage) as entries:
            found = [e.stat().st_mtime for e in entries if e.name.endswith(".json") and not e.name.startswith(".")]
        units.append((stage.name, len(found)))
        times += found
    times.sort()
    work_s = sum(b - a for a, b in pairwise(times) if b - a <= PAUSE_S)
    if work_s * FASTEST < footage_s or work_s == 0:
        return Pace(work_s=None, why="the ledger's file times are those of a copy", units=tuple(units))
    return Pace(work_s=work_s, units=tuple(units))
