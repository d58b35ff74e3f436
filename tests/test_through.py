"""What is remembered of ended segments spares reading them, and is believed only while all it rests on is there."""

from pathlib import Path

import pytest
from hand_made import Written, face_at_least, make_clip, policy, rows_of

from vividhead.chain import Chain
from vividhead.plain import to_plain
from vividhead.records import Clip
from vividhead.revoked import Revoked
from vividhead.through import Ended, Through, forget_all
from vividhead.units import Job, end_basis, ingest_key, measure_key, pack_key, scan_key


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A source that is through: two clips, the first kept and encoded."""
    made = Written(tmp_path)
    made.ledger.commit("ingest", ingest_key(made.source.listed, made.pipeline), {"source": to_plain(made.source)}, {})
    made.scan((0, 500))
    made.measure(clips := clips_of(made), [*rows_of(clips[0]), *rows_of(clips[1], face_px=90)])
    pack(made, clips[0])
    return made


def clips_of(made: Written) -> list[Clip]:
    return [make_clip(made.segment, 0, 100), make_clip(made.segment, 200, 300)]


def pack(made: Written, clip: Clip) -> None:
    made.ledger.commit("pack", pack_key(clip.clip_id, made.pipeline), {"members": {}}, {"tar": b"tape"})


def settled(made: Written) -> tuple[Chain, int, list[str]]:
    """A run up to its first units: the chain, how many records it read of the segment, and the stages it asks for."""
    job = Job(dataset=str(made.dataset), pipeline=made.pipeline, policy=policy())
    asked: list[str] = []
    real = made.ledger.read

    def read(stage: str, key: str) -> dict[str, object] | None:
        asked.append(stage)
        return real(stage, key)

    made.ledger.read = read  # type: ignore[method-assign]
    try:
        with Through(made.ledger, end_basis(job)) as through:
            chain = Chain(job, made.ledger, [made.source.listed], through)
            units = chain.settle_sources(())
    finally:
        made.ledger.read = real  # type: ignore[method-assign]
    return chain, len([stage for stage in asked if stage != "ingest"]), [unit.stage for unit in units]


def test_a_segment_that_is_through_is_read_once_and_then_remembered(written: Written) -> None:
    first, reads, units = settled(written)
    assert (units, first.kept_s) == ([], {written.segment.segment_id: 4.0}) and reads > 0
    again, reads, units = settled(written)
    assert (units, again.kept_s, reads) == ([], first.kept_s, 0)
    assert [state.rows for state in again.states()] == [state.rows for state in first.states()]


@pytest.mark.parametrize("stage", ["scan", "measure", "pack", "pack tar"])
def test_what_is_remembered_counts_only_while_every_commit_is_there(written: Written, stage: str) -> None:
    settled(written)
    clip = clips_of(written)[0]
    key = {
        "scan": scan_key(written.segment, written.pipeline), "measure": measure_key(written.segment, written.pipeline),
    }.get(stage, pack_key(clip.clip_id, written.pipeline))  # fmt: skip
    if stage == "pack tar":
        written.ledger.part("pack", key, "tar").unlink()
    else:
        written.ledger.forget(stage, key)
    assert settled(written)[2] == [stage.split()[0]]


def test_a_later_measurement_makes_the_segment_looked_at_anew(written: Written) -> None:
    settled(written)
    base = measure_key(written.segment, written.pipeline)
    rows = rows_of(clips_of(written)[1], face_px=400)
    written.ledger.commit("more", f"{base}.1", {"measurements": to_plain(rows)}, {})
    assert settled(written)[1] > 0


def test_other_filters_and_revocations_remember_nothing_of_these(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(dataset=str(written.dataset), pipeline=written.pipeline, policy=policy())
    other = Job(dataset=str(written.dataset), pipeline=written.pipeline, policy=face_at_least(5))
    before = end_basis(job)
    assert end_basis(other) != before
    monkeypatch.setattr("vividhead.units.all_revoked", lambda _: Revoked((), {}, ("an order",)))
    assert end_basis(job) != before


def test_lines_torn_by_a_killed_run_are_passed_over_and_the_next_is_whole(written: Written) -> None:
    with Through(written.ledger, "ab12") as through:
        through.add("one", 1.5, ["x"])
    path = written.dataset / "ledger" / "through" / "ab12.jsonl"
    path.write_text(path.read_text() + '["two", 2.')
    with Through(written.ledger, "ab12") as through:
        assert (through.get("one"), through.get("two")) == (Ended(1.5, ("x",)), None)
        through.add("two", 2.5, [])
    assert Through(written.ledger, "ab12").get("two") == Ended(2.5, ())
    with Through(written.ledger, "cd34"):
        assert not path.exists(), "what other filters ended is of no use any more"
    forget_all(written.dataset)
    assert list(path.parent.iterdir()) == []
