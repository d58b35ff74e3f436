"""The job at size, in small: it is killed, resumed, and what it leaves is a dataset like any other."""

import json
from pathlib import Path

import pytest

from vividhead.cli import main


def test_the_simulated_job_is_killed_and_resumed_and_says_what_it_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "figures.json"
    assert main(["bench", "scale", "--hours", "1", "--folder", str(tmp_path), "--keep", str(kept)]) == 0
    figures = json.loads(kept.read_text())
    assert figures["sources"] == 6 and figures["candidates"] == 300
    commits = figures["commits"]
    assert (commits["ingest"], commits["scan"], commits["measure"]) == (6, 6, 6)
    assert commits["pack"] == figures["kept"] > 10
    assert 50 < figures["peak_mb"] < 2048
    assert all(figures[name] > 0 for name in ("commits_per_s", "resume_s", "tables_s", "shards_s"))
    assert "goal" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_no_hours_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "scale", "--hours", "0"]) == 2
    assert "more than 0 --hours" in capsys.readouterr().err
