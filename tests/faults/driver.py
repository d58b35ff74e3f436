"""`vividhead` with units of work that go wrong: `python -m faults.driver curate …`, the plan in the environment.

Run as a process of its own, so that it can be killed and its exit code and words be seen.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from faults.dying import die_before
from faults.entries import ENTRY, PLAN

DIE_WRITING = "VIVIDHEAD_DIE_WRITING"
"""Environment variable: the process is killed before it writes a file whose name holds this text."""
TESTS = Path(__file__).parent.parent


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """That of this process and `more`, in which tests' modules are found."""
    path = os.pathsep.join([str(TESTS), *(p for p in sys.path if p)])
    return {**os.environ, "PYTHONPATH": path, **more}


def start(arguments: Sequence[str | Path], more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the command line with `arguments` and `more` environment; its standard output and error are piped."""
    return subprocess.Popen(
        [sys.executable, "-m", "faults.driver", *map(str, arguments)], env=environment(more or {}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for it; returns its exit code and standard error."""
    _, words = process.communicate()
    return process.returncode, words


def main() -> int:
    """The command line, `curate` with the faulty entry where a plan is given."""
    from vividhead import cli, main_job

    if PLAN in os.environ:
        main_job.curate = partial(main_job.curate, entry=ENTRY)  # type: ignore[assignment]
    if DIE_WRITING in os.environ:
        sys.addaudithook(die_before(lambda path: os.environ[DIE_WRITING] in Path(path).name))
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
