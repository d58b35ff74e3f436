"""A run seen from outside while it goes on, and after it is gone."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vividhead.at_work import at_work, shown
from vividhead.cli import main
from vividhead.ledger import Ledger, sole_writer


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Two files hashed, one scanned, and no tables yet."""
    dataset = tmp_path / "dataset"
    ledger = Ledger(dataset)
    for stage, key in (("ingest", "a"), ("ingest", "b"), ("scan", "a-0")):
        ledger.commit(stage, key, {"is": "committed"}, {})
    (dataset / "ledger" / "scan" / ".b-0.json.x.part").touch()
    return dataset


def test_units_are_counted_by_stage_and_half_written_ones_are_not(begun: Path) -> None:
    found = at_work(begun)
    assert {stage: n for stage, n in found.units.items() if n} == {"ingest": 2, "scan": 1}
    assert found.newest_s_ago is not None and found.newest_s_ago < 3600
    assert not at_work(begun / "elsewhere").has_begun


def test_who_writes_is_named_and_its_lock_left_alone(begun: Path) -> None:
    with sole_writer(begun):
        assert at_work(begun).holder == f"process {os.getpid()} on {socket.gethostname()}"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (begun / ".lock").write_text(f"process {gone.pid} on {socket.gethostname()}")
    assert at_work(begun).holder is None
    (begun / ".lock").write_text(f"process {gone.pid} on another-machine")
    assert at_work(begun).holder == f"process {gone.pid} on another-machine", "of others nothing can be known"


def test_a_run_without_tables_says_where_it_stands(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(begun)]) == 3
    told = capsys.readouterr().err
    assert "has no tables yet: ingest 2  scan 1" in told and "Run the same `vividhead curate` again" in told
    with sole_writer(begun):
        assert main(["status", str(begun)]) == 3
    assert "Wait for it, with --watch" in capsys.readouterr().err


def test_watching_ends_with_the_run_and_tells_how_fast_it_was(
    begun: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (begun / ".lock").write_text(f"process {os.getpid()} on {socket.gethostname()}")

    def slept(seconds: float) -> None:
        Ledger(begun).commit("scan", "b-0", {"is": "committed"}, {})
        (begun / ".lock").write_text("")

    monkeypatch.setattr("time.sleep", slept)
    assert main(["status", str(begun), "--watch", "0.5"]) == 3  # there are no tables still
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("ingest 2  scan 1") and "units/min" not in lines[0]
    assert re.match(r"ingest 2  scan 2 · [\d.]+ units/min · newest \d+ s ago · nobody at work", lines[1])
    assert main(["status", str(begun), "--watch", "0"]) == 2


def test_nothing_committed_is_said() -> None:
    assert shown(at_work(Path("no such folder"))) == "nothing committed yet · nobody at work"
