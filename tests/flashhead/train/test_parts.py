"""A run's folder is one trainer's at a time."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flashhead.train.tiny_runs import tiny
from vividhead.errors import UsageError
from vividhead.flashhead.train.parts import claim

HOLDER = """
import sys
from pathlib import Path
from vividhead.flashhead.train.parts import sole_trainer
with sole_trainer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_stage_that_another_process_trains_is_refused_until_that_one_is_gone(tmp_path: Path) -> None:
    run, config = tmp_path / "run", tiny(tmp_path)
    folder = run / "stage1"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )  # fmt: skip
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with ExitStack() as held, pytest.raises(UsageError, match="another process trains in"):
            claim(run, folder, config, held)
        assert not (run / "tiny.toml").exists()
        other.kill()
    with ExitStack() as held:
        claim(run, folder, config, held)
    assert (run / "tiny.toml").exists()
