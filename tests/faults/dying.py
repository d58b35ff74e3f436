"""Processes that are killed just before they write: one by the name of a file, and one at every write in turn.

    python -m faults.dying FOOTAGE FILTERS TEMPLATE SCRATCH EVERY

answers `try_every_moment`: it forks, so it runs in a process of its own without threads.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.trees import tree

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
Hook = Callable[[str, tuple[Any, ...]], None]


def die_before(doomed: Callable[[str], bool]) -> Hook:
    """An audit hook: SIGKILL before the first change to a file whose path is `doomed`."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        changes = event in _CHANGES or (event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR))
        if changes and doomed(str(arguments[0])):
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def try_every_moment(footage: Path, filters: str, template: Path, scratch: Path, *, every: int) -> dict[str, Any]:
    """Kill a run at each `every`-th of its changes to the dataset, run it again, compare with an undisturbed run.

    Every run begins with a copy of the dataset `template`, in whose ledger all units of work are done, so that what
    is killed is the publishing. Returns how many `moments` there are, and those after which the result is `differing`.
    """
    from faults.driver import environment

    command = [sys.executable, "-m", "faults.dying", *map(str, (footage, filters, template, scratch, every))]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment({}))
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


class _Countdown:
    """Counts changes to files under `folder`; true for the one numbered `last`."""

    def __init__(self, folder: Path, last: int | None) -> None:
        self.folder, self.last, self.seen = str(folder), last, 0

    def __call__(self, path: str) -> bool:
        if not path.startswith(self.folder):
            return False
        self.seen += 1
        return self.seen - 1 == self.last


def _run(footage: str, filters: str, dataset: Path, last: int | None) -> int | None:
    """Curate in a process of its own; returns the number of changes, or None when it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        count = _Countdown(dataset, last)
        sys.addaudithook(die_before(count))
        from vividhead.main_job import curate

        curate(footage, dataset, filters=filters, on="local", workers=1)
        os.write(writing, str(count.seen).encode())
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    if os.WIFSIGNALED(status):
        return None
    assert said, "the run failed by itself"
    return int(said)


def _main(footage: str, filters: str, template: str, scratch: str, every: str) -> dict[str, Any]:
    _load_what_a_run_needs()
    undisturbed = Path(shutil.copytree(template, Path(scratch) / "undisturbed"))
    moments = _run(footage, filters, undisturbed, None)
    assert moments is not None
    expected, differing = tree(undisturbed), []
    for moment in range(0, moments, int(every)):
        dataset = Path(shutil.copytree(template, Path(scratch) / f"killed-{moment}"))
        assert _run(footage, filters, dataset, moment) is None, "not killed"
        assert _run(footage, filters, dataset, None) is not None, "killed without being told to"
        if tree(dataset) != expected:
            differing.append(moment)
        shutil.rmtree(dataset)
    return {"moments": moments, "differing": differing}


def _load_what_a_run_needs() -> None:
    """Once, not in every fork."""
    import pandas
    import pyarrow.parquet

    import vividhead.main_job
    from vividhead.score import score_class, score_names

    assert pandas and pyarrow.parquet and vividhead.main_job
    for name in score_names():
        score_class(name)


if __name__ == "__main__":
    print(json.dumps(_main(*sys.argv[1:])))
