"""A quarantined unit, run again or let go."""

from pathlib import Path
from typing import Any

import pytest
from hand_made import Written, make_clip, make_row, make_source

import vividhead.reproduce as room
from vividhead.dataset import claim, pipeline_digest
from vividhead.errors import DatasetError, MediaError, UsageError
from vividhead.ledger import Ledger
from vividhead.pipeline import load_pipeline
from vividhead.plain import to_plain
from vividhead.policy import load_policy
from vividhead.reproduce import forget, reproduce
from vividhead.segment_state import load_segment
from vividhead.units import Failure, Job, Unit, measure_key, more_key

PIPELINE = load_pipeline()
POLICY = load_policy("talking-head", PIPELINE.measure.scores)
CRASH = Failure("failed.crash", "the process ended with SIGSEGV")


@pytest.fixture
def written(tmp_path: Path) -> Written:
    made = Written(tmp_path / "dataset", make_source(), PIPELINE)
    made.dataset.mkdir()
    claim(made.dataset, "footage", PIPELINE, POLICY)
    made.scan((0, 500))
    return made


def fail(written: Written, unit: Unit) -> str:
    record = {"failed": to_plain(CRASH), "unit": to_plain(unit), "here": "/where/the/run/stood"}
    written.ledger.commit(unit.stage, unit.key, record, {})
    return f"{unit.stage}/{unit.key}"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Unit, Job, Any]]:
    """Units that were run again, with the state of the segment that they found."""
    seen: list[tuple[Unit, Job, Any]] = []

    def run_unit(unit: Unit, job: Job, beat: object) -> None:
        assert unit.segment is not None and unit.source is not None
        state = load_segment(Ledger(Path(job.dataset)), unit.segment, unit.source, job.pipeline)
        seen.append((unit, job, state))
        Ledger(Path(job.dataset)).commit(unit.stage, unit.key, {}, {})

    monkeypatch.setattr(room, "run_unit", run_unit)
    return seen


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_failed_unit_is_run_with_its_own_pipeline_filters_and_past_and_commits_nothing(
    written: Written, ran: list[tuple[Unit, Job, Any]]
) -> None:
    (unit,) = written.units(POLICY)
    name = fail(written, unit)
    before = tree(written.dataset)
    told = reproduce(written.dataset, name)
    assert told.startswith("measure: went through this time") and f"{name} --forget" in told
    assert tree(written.dataset) == before
    ((again, job, state),) = ran
    assert (again, job.here) == (unit, "/where/the/run/stood")
    assert pipeline_digest(job.pipeline) == pipeline_digest(PIPELINE) and job.pipeline.name == PIPELINE.name
    assert job.policy.rules == POLICY.rules
    assert state.scan is not None and state.failure is None and state.measured is None
    assert Path(job.dataset) != written.dataset and not Path(job.dataset).exists()


def test_a_later_unit_finds_what_came_before_it(written: Written, ran: list[tuple[Unit, Job, Any]]) -> None:
    clip = make_clip(written.segment, 0, 100)
    written.measure([clip], [make_row(clip, name, "skipped") for name in PIPELINE.measure.scores])
    (unit,) = written.units(POLICY)
    assert unit.stage == "more"
    reproduce(written.dataset, fail(written, unit))
    ((_, _, state),) = ran
    assert [c.clip_id for c in state.clips] == [clip.clip_id]


def test_what_the_unit_raises_comes_through(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    (unit,) = written.units(POLICY)
    name = fail(written, unit)
    for fault in (ZeroDivisionError("deep inside"), MediaError("failed.vanished", "gone")):

        def raising(*given: object, fault: Exception = fault) -> None:
            raise fault

        monkeypatch.setattr(room, "run_unit", raising)
        with pytest.raises(type(fault)):
            reproduce(written.dataset, name)


def test_a_failure_taken_back_is_tried_by_the_next_run(written: Written) -> None:
    (unit,) = written.units(POLICY)
    name = fail(written, unit)
    assert written.units(POLICY) == []
    assert forget(written.dataset, name) == f"{name} is forgotten; run curate again to retry it"
    assert written.units(POLICY) == [unit]


def test_only_failed_units_can_be_named(written: Written) -> None:
    done = f"scan/{written.ledger.keys('scan')[0]}"
    base = measure_key(written.segment, PIPELINE)
    names = [
        done,
        f"measure/{base}",
        f"more/{more_key(base, [])}",
        "scan",
        "scan/",
        "",
        "../run.toml",
        "scan/../scan/x",
    ]
    for name in names:
        for asked in (reproduce, forget):
            with pytest.raises(UsageError, match="is no failed unit of"):
                asked(written.dataset, name)
    assert written.ledger.keys("scan") == [done.split("/")[1]]


def test_a_failed_unit_is_named_by_its_own_name_only(written: Written) -> None:
    (unit,) = written.units(POLICY)
    stage, key = fail(written, unit).split("/")
    for name in (f"{stage}/../{stage}/{key}", f"./{stage}/{key}", f"../ledger/{stage}/{key}"):
        with pytest.raises(UsageError, match="is no failed unit of"):
            forget(written.dataset, name)
    assert written.ledger.read(stage, key) is not None


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no dataset"):
        reproduce(tmp_path, "scan/x")
