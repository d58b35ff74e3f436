"""One run of the job at size, as a process of its own, so that its memory and time are its own and it can be killed.

    python -m vividhead.scale.driver FOOTAGE DATASET ON WORKERS DIE_AFTER

prints its figures as JSON; with DIE_AFTER above 0 it then kills itself after so many finished units.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividhead.progress import Progress
from vividhead.scale.simulated import ENTRY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vividhead.chain import Chain
    from vividhead.units import Failure, Unit


def _peak_mb() -> float:
    """The most memory that this process held; `ru_maxrss` would begin with what its parent held at the start."""
    told = Path("/proc/self/status")
    if not told.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    (line,) = (line for line in told.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1000


class Clocked(Progress):
    """Notes when the parts of a run began, and what the driver had spent by then."""

    def __init__(self, die_after: int) -> None:
        self.die_after, self.units, self.commits = die_after, 0, 0
        self.began = time.time(), time.process_time()
        self.last = self.began
        self.marks: dict[str, dict[str, float]] = {}

    def mark(self, what: str, wall_s: float, cpu_s: float) -> None:
        """A moment: wall and CPU seconds since the start; units, commits and the peak of memory so far."""
        self.marks[what] = {
            "wall_s": wall_s - self.began[0], "cpu_s": cpu_s - self.began[1], "units": self.units,
            "commits": self.commits, "peak_mb": _peak_mb(),
        }  # fmt: skip

    def footage(self, chain: "Chain", units: "Sequence[Unit]") -> None:
        self.mark("settled", time.time(), time.process_time())

    def done(self, unit: "Unit", failure: "Failure | None", following: "list[Unit]") -> None:
        self.units += 1
        self.commits += max(1, len(unit.clip_ids))
        self.last = time.time(), time.process_time()
        if self.units == self.die_after:
            self.mark("worked", *self.last)
            self.say()
            os.kill(os.getpid(), signal.SIGKILL)

    def __exit__(self, *ended: object) -> None:
        self.mark("worked", *self.last)

    def say(self) -> None:
        """All marks on the standard output."""
        sys.stdout.write(json.dumps(self.marks))
        sys.stdout.flush()


def main(footage: str, dataset: str, on: str, workers: str, die_after: str) -> dict[str, Any]:
    """Curate, and say what it took."""
    from vividhead.main_job import curate

    clock = Clocked(int(die_after))
    curate(footage, dataset, on=on, workers=int(workers), progress=clock, entry=ENTRY)
    clock.mark("published", time.time(), time.process_time())
    (last_table,) = Path(dataset).rglob("decisions.parquet")
    clock.mark("tables", last_table.stat().st_mtime, clock.began[1])
    clock.say()
    return clock.marks


if __name__ == "__main__":
    main(*sys.argv[1:])
