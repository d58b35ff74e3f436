"""What a child process runs in place of `vividhead.stages:run_unit` when a unit of work is to go wrong.

The plan is a JSON file named by the environment variable `VIVIDHEAD_FAULTS`: a list of faults, each
`{"stage", "file", "what", "times"}`: what happens to the first `times` attempts at units of that stage (any, if
null) on the file of that name. A fault that lets the attempt live goes on with the real work.
"""

import ctypes
import errno
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from vividhead.units import Job, Unit

ENTRY = "faults.entries:run_unit"
PLAN = "VIVIDHEAD_FAULTS"
Beat = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Planned:
    """One kind of fault and the units it befalls."""

    stage: str | None
    file: Path | None
    """None: every file."""
    what: str
    """A name in `FAULTS`."""
    times: int = 1_000_000


def write_plan(path: Path, faults: Sequence[Planned]) -> dict[str, str]:
    """Write a plan; returns the environment that makes `run_unit` follow it, counting from zero."""
    rows = [{**asdict(fault), "file": fault.file and str(fault.file)} for fault in faults]
    path.write_text(json.dumps(rows), encoding="utf-8")
    for mark in path.parent.glob(f"{path.name}.*"):
        mark.unlink()
    return {PLAN: str(path)}


def run_unit(unit: Unit, job: Job, beat: Beat) -> None:
    """Let happen what is planned for this attempt, and then, if still alive, do the unit's real work."""
    path = Path(os.environ[PLAN])
    for number, row in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        concerned = row["stage"] in (unit.stage, None) and row["file"] in (unit.listed.uri, None)
        if concerned and _is_due(path, number, row["times"]):
            FAULTS[row["what"]](unit, beat)
    from vividhead.stages import run_unit as real  # loads what no fault needs

    real(unit, job, beat)


def _is_due(path: Path, number: int, times: int) -> bool:
    """Count one more occurrence, over all processes, unless there were `times` already."""
    for count in range(times):
        try:
            path.with_name(f"{path.name}.{number}.{count}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def _crash(unit: Unit, beat: Beat) -> None:
    os.abort()


def _segfault(unit: Unit, beat: Beat) -> None:
    ctypes.string_at(0)


def _killed(unit: Unit, beat: Beat) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stopped(unit: Unit, beat: Beat) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _worker_killed(unit: Unit, beat: Beat) -> None:
    """Kill the process that watches over this one: with Ray, the worker."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def _hang(unit: Unit, beat: Beat) -> NoReturn:
    while True:
        time.sleep(1)


def _endless(unit: Unit, beat: Beat) -> NoReturn:
    """Shows progress, and never comes to an end."""
    while True:
        beat()
        time.sleep(0.1)


def _bomb(unit: Unit, beat: Beat) -> NoReturn:
    filled: list[bytes] = []
    while True:
        filled.append(b"x" * 50_000_000)
        beat()
        time.sleep(0.02)


def _error(unit: Unit, beat: Beat) -> NoReturn:
    raise ValueError("a mistake of ours")


def _vanish(unit: Unit, beat: Beat) -> None:
    Path(unit.listed.uri).unlink()


def _grow(unit: Unit, beat: Beat) -> None:
    with Path(unit.listed.uri).open("ab") as file:
        file.write(b"\0" * 1000)


def _rewrite(unit: Unit, beat: Beat) -> None:
    """Other bytes in the same place, as where a download fills a file made in its full size."""
    with Path(unit.listed.uri).open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"\0" * 1000)


def _disk_full(unit: Unit, beat: Beat) -> None:
    """From here on, what this process writes does not reach the disk."""

    def fsync(handle: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    os.fsync = fsync  # type: ignore[assignment]


FAULTS: dict[str, Callable[[Unit, Beat], None]] = {
    "crash": _crash,
    "segfault": _segfault,
    "killed": _killed,
    "stopped": _stopped,
    "worker_killed": _worker_killed,
    "hang": _hang,
    "endless": _endless,
    "bomb": _bomb,
    "error": _error,
    "vanish": _vanish,
    "grow": _grow,
    "rewrite": _rewrite,
    "disk_full": _disk_full,
}
