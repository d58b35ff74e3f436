"""`vividhead` with units of work that go wrong: `python -m faults.driver curate …`, the plan in the environment.

Run as a process of its own, so that it can be killed and its exit code and words be seen.
"""

import ctypes
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
POWERLESS = "VIVIDHEAD_POWERLESS"
"""Environment variable: file permissions hold for this process even if it is the superuser's."""
STILL_POWERFUL = 77
"""Exit code where that cannot be."""
_PR_SET_SECUREBITS, _NO_POWERS_FOR_ROOT = 28, 0b11
_CAPABILITY_VERSION_3 = 0x20080522
TESTS = Path(__file__).parent.parent


def command(arguments: Sequence[object]) -> list[str]:
    """The command line with `arguments`, for `environment`."""
    return [sys.executable, "-m", "faults.driver", *map(str, arguments)]


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """That of this process and `more`, in which tests' modules are found."""
    path = os.pathsep.join([str(TESTS), *(p for p in sys.path if p)])
    return {**os.environ, "PYTHONPATH": path, **more}


def start(arguments: Sequence[object], more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the command line with `arguments` and `more` environment; its standard output and error are piped."""
    return subprocess.Popen(
        command(arguments), env=environment(more or {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for it; returns its exit code and standard error."""
    _, words = process.communicate()
    return process.returncode, words


def _lay_powers_down() -> bool:
    """Be bound by file permissions though run by the superuser; whether that worked."""
    if os.geteuid() != 0:
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    bound = libc.prctl(_PR_SET_SECUREBITS, _NO_POWERS_FOR_ROOT, 0, 0, 0) == 0
    return bound and bool(libc.capset(header, none) == 0)


def main() -> int:
    """The command line, `curate` with the faulty entry where a plan is given."""
    from vividhead import cli, main_job

    if PLAN in os.environ:
        main_job.curate = partial(main_job.curate, entry=ENTRY)
    if POWERLESS in os.environ and not _lay_powers_down():
        return STILL_POWERFUL
    if DIE_WRITING in os.environ:
        sys.addaudithook(die_before(lambda path: os.environ[DIE_WRITING] in Path(path).name))
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
