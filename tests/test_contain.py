"""Units of work that go wrong: contained in a child process, tried again, set aside with the way to reproduce them."""

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Whole
from faults import driver
from faults.entries import ENTRY, PLAN, Planned, write_plan
from faults.film import Film
from faults.trees import commits, copied, segment_of, tree, undo

from vividhead.audit.account import SourceAccount, account, funnel
from vividhead.cli import main
from vividhead.contain import Child, Fault
from vividhead.ledger import Ledger
from vividhead.main_job import curate
from vividhead.pipeline import Pipeline, Run
from vividhead.plain import utf8
from vividhead.policy import Policy
from vividhead.records import Listed
from vividhead.units import Failure, Job, Unit
from vividhead.view import open_dataset

LIMITS = "[run]\nattempts = 2\nstall_limit_s = 3.0\nmemory_limit_mb = 600\n"


@dataclass(frozen=True, slots=True)
class SetAside:
    """The film's dataset after a run in which four units failed at every attempt."""

    dataset: Path
    pipeline: Path
    words: str
    """What the run wrote to standard error."""
    sources: dict[str, SourceAccount]
    footage_s: float

    def source(self, path: Path) -> SourceAccount:
        """A file's part of the account."""
        return self.sources[utf8(str(path))]

    def failure(self, path: Path) -> str:
        """The one failure of a file, in words."""
        (detail,) = self.source(path).failures or [self.source(path).detail]
        return detail


FAULTS = {"text": "failed.error", "silent": "failed.crash", "small": "failed.hang", "kept": "failed.memory"}
"""File of the film → what it must fail with."""


@pytest.fixture(scope="module")
def aside(film: Film, whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> SetAside:
    folder = tmp_path_factory.mktemp("set-aside")
    (pipeline := folder / "limits.toml").write_text(LIMITS)
    dataset = copied(whole.dataset, folder / "dataset")
    ledger = Ledger(dataset)
    for key in ledger.keys("ingest"):
        record = ledger.read("ingest", key)
        if record is not None and record["source"]["listed"]["uri"] == str(film.text):
            ledger.forget("ingest", key)
    undo(dataset, "scan", segment_of(film.silent))
    undo(dataset, "measure", segment_of(film.small))
    undo(dataset, "pack")
    for shard in (dataset / "shards").iterdir():
        shard.unlink()
    plan = write_plan(folder / "plan.json", [
        Planned("ingest", film.text, "error"), Planned("scan", film.silent, "crash"),
        Planned("measure", film.small, "hang"), Planned("pack", film.kept, "bomb"),
    ])  # fmt: skip
    arguments = ["curate", film.folder, "--out", dataset, "--on", "local", "--pipeline", pipeline]
    code, words = driver.finish(driver.start(arguments, plan))
    assert code == 0, words
    found = account(open_dataset(dataset))
    return SetAside(dataset, pipeline, words, {s.uri: s for s in found.sources}, found.footage_s)


@pytest.mark.parametrize(("file", "code"), FAULTS.items())
def test_a_unit_that_fails_at_every_attempt_becomes_a_row_that_says_why(
    film: Film, aside: SetAside, file: str, code: str
) -> None:
    source = aside.source(getattr(film, file))
    assert source.outcome == "failed"
    assert code in source.reasons
    detail = aside.failure(getattr(film, file))
    assert "2 attempts; reproduce: vividhead reproduce " in detail
    told = {
        "failed.error": "ValueError: a mistake of ours (at entries.py:",
        "failed.crash": "the process ended with SIGABRT",
        "failed.hang": "no progress for 3 s",
        "failed.memory": "MB used, 600 MB allowed",
    }
    assert told[code] in detail


def test_a_failed_unit_is_told_while_the_run_goes_on_and_at_its_end(aside: SetAside, film: Film) -> None:
    assert f"scan {film.silent}: attempt 1: crash: the process ended with SIGABRT" in aside.words
    assert f"scan {film.silent}: attempt 2: crash" in aside.words
    lines = funnel(account(open_dataset(aside.dataset)))
    assert all(aside.failure(getattr(film, file)) in lines for file in FAULTS)


def test_other_footage_does_not_suffer_from_a_failure(film: Film, aside: SetAside, whole: Whole) -> None:
    unharmed = {s.uri: s for s in account(open_dataset(whole.dataset)).sources}
    for path in (film.twin, film.empty):
        assert aside.source(path) == unharmed[str(path)]


def test_the_account_holds_failed_seconds_and_adds_up(film: Film, aside: SetAside) -> None:
    assert aside.footage_s == pytest.approx(film.duration_s, abs=0.1)
    for file in ("silent", "small", "kept"):
        source = aside.source(getattr(film, file))
        assert source.seconds["failed"] >= source.duration_s - 0.2
        assert sum(source.seconds.values()) == pytest.approx(source.duration_s)


def test_what_is_set_aside_is_not_tried_again_by_itself(film: Film, aside: SetAside) -> None:
    before, made = commits(aside.dataset), tree(aside.dataset)
    curate(film.folder, aside.dataset, pipeline=str(aside.pipeline), on="local", workers=1)
    assert (commits(aside.dataset), tree(aside.dataset)) == (before, made)


@pytest.fixture(scope="module")
def commands(film: Film, aside: SetAside) -> list[list[str]]:
    """The arguments of the commands that the four failures name."""
    after = [aside.failure(getattr(film, file)).split("reproduce: vividhead ", 1)[1] for file in FAULTS]
    return [shlex.split(command) for command in after]


def test_the_command_that_a_failure_names_runs_the_unit_again(
    aside: SetAside, commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    before = commits(aside.dataset)
    for command in commands:
        assert main(command) == 0
        assert "went through this time" in capsys.readouterr().out
    assert commits(aside.dataset) == before


def test_forgotten_failures_are_tried_anew_and_leave_no_trace(
    film: Film, whole: Whole, aside: SetAside, commands: list[list[str]], tmp_path: Path
) -> None:
    dataset = copied(aside.dataset, tmp_path / "dataset")
    for command in commands:
        assert main([command[0], str(dataset), *command[2:], "--forget"]) == 0
    curate(film.folder, dataset, on="local", workers=2)  # without the hasty limits, which change no result
    assert tree(dataset) == whole.tree


def test_only_failed_units_can_be_reproduced(aside: SetAside, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", str(aside.dataset), "scan/none"]) == 2
    assert f"scan/none is no failed unit of {aside.dataset}" in capsys.readouterr().err


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.stop()


def _job(tmp_path: Path, **run: float) -> Job:
    limits = Run(**run)  # type: ignore[arg-type]
    return Job(
        dataset=str(tmp_path / "dataset"), pipeline=Pipeline(run=limits), entry=ENTRY,
        policy=Policy(name="none", rules=()),
    )  # fmt: skip


def _unit(path: Path) -> Unit:
    return Unit(stage="ingest", key="a-key", listed=Listed(uri=str(path)))


def _planned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *faults: Planned) -> None:
    monkeypatch.setenv(PLAN, write_plan(tmp_path / "plan.json", faults)[PLAN])


@pytest.mark.parametrize("what", ["crash", "segfault", "killed"])
def test_a_child_that_dies_is_a_crash_with_the_signal_named(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    _planned(monkeypatch, tmp_path, Planned(None, None, what))
    signals = {"crash": "SIGABRT", "segfault": "SIGSEGV", "killed": "SIGKILL"}
    outcome = child.run(_unit(tmp_path / "none.mp4"), _job(tmp_path))
    assert isinstance(outcome, Fault) and outcome.kind == "crash"
    assert outcome.detail.startswith(f"the process ended with {signals[what]}")


def test_a_unit_that_beats_but_never_ends_is_too_long(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _planned(monkeypatch, tmp_path, Planned(None, None, "endless"))
    began = time.monotonic()
    outcome = child.run(_unit(tmp_path / "none.mp4"), _job(tmp_path, stall_limit_s=30.0, unit_limit_s=2.0))
    assert outcome == Fault("too_long", "not done after 2 s")
    assert time.monotonic() - began < 10


def test_a_child_lost_to_one_unit_is_replaced_for_the_next(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _planned(monkeypatch, tmp_path, Planned(None, None, "killed", times=1))
    job = _job(tmp_path)
    assert isinstance(child.run(_unit(tmp_path / "none.mp4"), job), Fault)
    outcome = child.run(_unit(tmp_path / "none.mp4"), job)
    assert isinstance(outcome, Failure) and outcome.code == "failed.vanished"
