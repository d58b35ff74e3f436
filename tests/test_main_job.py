"""What becomes of an attempt: the next units, a retry, or a failure for good."""

from pathlib import Path
from typing import Any

import pytest
from hand_made import PIPELINE, Written, make_clip, rows_of

from vividhead.contain import Fault
from vividhead.main_job import _Settler
from vividhead.progress import Progress
from vividhead.units import Failure, Unit, pack_key


class Heard(Progress):
    """Notes what progress is told."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def done(self, unit: Unit, failure: Failure | None, following: list[Unit]) -> None:
        self.events.append(("done", unit.stage, failure.code if failure else None))

    def fault(self, unit: Unit, fault: Fault, attempt: int) -> None:
        self.events.append(("fault", unit.stage, attempt))


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "it's a dataset")


def settler(written: Written) -> tuple[_Settler, Heard]:
    heard = Heard()
    return _Settler(written.chain(), heard), heard


CRASH = Fault("crash", "the process ended with SIGSEGV")


def test_a_fault_is_tried_three_times_then_set_aside_with_the_command_that_repeats_it(written: Written) -> None:
    settle, heard = settler(written)
    (unit,) = written.units()
    assert settle(unit, CRASH) == [unit]
    assert settle(unit, CRASH) == [unit]
    assert settle(unit, CRASH) == []
    assert heard.events == [
        ("fault", "scan", 1), ("fault", "scan", 2), ("fault", "scan", 3), ("done", "scan", "failed.crash"),
    ]  # fmt: skip
    record = written.ledger.read("scan", unit.key)
    assert record is not None
    quoted = str(written.dataset).replace("'", "'\"'\"'")
    assert record["failed"]["detail"] == (
        f"the process ended with SIGSEGV; 3 attempts; reproduce: vividhead reproduce '{quoted}' scan/{unit.key}"
    )
    assert written.units() == []


def test_footage_that_cannot_be_used_is_not_tried_again_and_again(written: Written) -> None:
    settle, heard = settler(written)
    (unit,) = written.units()
    assert settle(unit, Failure("failed.unreadable", "no video")) == []
    assert heard.events == [("done", "scan", "failed.unreadable")]
    assert written.units() == []


def test_a_failure_that_may_pass_is_not_written_down(written: Written) -> None:
    settle, _ = settler(written)
    (unit,) = written.units()
    assert settle(unit, Failure("failed.vanished", "gone", transient=True)) == []
    assert written.ledger.read("scan", unit.key) is None
    assert written.units() == [unit]


def test_a_clip_that_crashes_the_encoder_takes_no_other_clip_with_it(written: Written) -> None:
    """Of three clips packed in one go the second always crashes: it fails alone, whatever was done before."""
    written.scan((0, 500))
    clips = [make_clip(written.segment, at, at + 100) for at in (0, 100, 200)]
    written.measure(clips, [row for clip in clips for row in rows_of(clip)])
    settle, heard = settler(written)
    todo, attempts = settle.chain.advance(written.segment, written.source), []
    while todo:
        unit = todo.pop(0)
        attempts.append([[c.clip_id for c in clips].index(clip_id) for clip_id in unit.clip_ids])
        todo = [*settle(unit, encode(written, unit, cursed=clips[1].clip_id)), *todo]
    assert attempts == [[0, 1, 2], [1], [1], [1], [2]]
    state = settle.chain.segments[written.segment.segment_id]
    assert {clip_id: f.code for clip_id, f in state.clip_failures.items()} == {clips[1].clip_id: "failed.crash"}
    assert [written.ledger.part("pack", pack_key(c.clip_id, PIPELINE), "tar").is_file() for c in clips] == [
        True, False, True,
    ]  # fmt: skip
    assert heard.events[0] == ("fault", "pack", 0)


def encode(written: Written, unit: Unit, cursed: str) -> Fault | None:
    """Commit the unit's clips one after the other, as `stages` does; the cursed one kills the process."""
    for clip_id in unit.clip_ids:
        if clip_id == cursed:
            return CRASH
        written.ledger.commit("pack", pack_key(clip_id, PIPELINE), {"members": {}}, {"tar": b"tape"})
    return None


def test_a_child_lost_after_its_last_commit_has_done_its_work(written: Written) -> None:
    written.scan((0, 500))
    clip = make_clip(written.segment, 0, 100)
    written.measure([clip], rows_of(clip))
    settle, heard = settler(written)
    (unit,) = written.units()
    encode(written, unit, cursed="")
    assert settle(unit, CRASH) == []
    assert heard.events == [("done", "pack", None)]
    record = written.ledger.read("pack", unit.key)
    assert record is not None and "failed" not in record
