"""The benchmark of the auditors' verbs runs them all, and says what each took."""

import json

import pytest

from vividhead.cli import main


@pytest.mark.slow
def test_every_verb_is_run_and_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "audit", "--clips", "200", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["clips"] == 200 and 0 < figures["kept_clips"] < 200 and figures["fields"] > 20
    verbs = {"make", "rejudge", "verify", "explain CLIP", "explain SOURCE@TIME", "tune", "diff", "report"}
    assert verbs == figures["runs"].keys()
    assert {run["exit_code"] for run in figures["runs"].values()} == {0}
    assert all(run["wall_s"] > 0 and run["peak_memory_mb"] > 50 for run in figures["runs"].values())


def test_a_number_of_clips_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "audit", "--clips", "0"]) == 2
    assert "--clips 0: 1 or more" in capsys.readouterr().err
