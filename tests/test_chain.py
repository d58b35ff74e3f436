"""What is to be done next, given the ledger: records written by hand, no media."""

import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hand_made import (
    PIPELINE,
    SCORES,
    Written,
    face_at_least,
    make_clip,
    make_row,
    make_segment,
    make_source,
    policy,
    rows_of,
)

import vividhead.units as room
from vividhead import score
from vividhead.chain import Chain
from vividhead.ledger import Ledger
from vividhead.pipeline import Measure, Pipeline
from vividhead.plain import to_plain
from vividhead.records import Clip, Listed, Stretch
from vividhead.settings import Option, options
from vividhead.units import Failure, Job, Unit, ingest_key, measure_key, pack_key, scan_key

SEGMENT = make_segment(make_source())


def keys(pipeline: Pipeline) -> dict[str, str]:
    """The key of each stage for one and the same file, segment and clip."""
    return {
        "ingest": ingest_key(Listed(uri="nowhere.mp4"), pipeline),
        "scan": scan_key(SEGMENT, pipeline),
        "measure": measure_key(SEGMENT, pipeline),
        "pack": pack_key("a-clip", pipeline),
    }


def another(value: Any, about: Option) -> Any:
    """A legal value that is not `value`."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return value[1:]
    if isinstance(value, str):
        return next(c for c in (*about.choices, "other") if c != value)
    return type(value)(about.low if value != about.low else about.high)


CONCERNED: dict[str, set[str]] = {
    "ingest": {"ingest"},
    "segments": set(),  # they make other segments, with other ids
    "scan": {"scan", "measure"},
    "track": {"measure"},
    "track.detector_width_px": {"scan", "measure"},
    "clips": {"measure"},
    "clips.min_s": {"scan", "measure"},
    "measure": set(),  # what is missing is added by `more`
    "pack": {"pack"},
    "pack.side_px": {"measure", "pack"},  # the mesh is kept in pixels of the clip's picture
    "pack.shard_mb": set(),
    "pack.shard_prefix": set(),
    "run": set(),
    "resources": set(),
    "seed": set(),
    "filters": set(),
}
"""Section or option → the stages whose work it invalidates."""


def test_fewer_windows_of_lips_are_measured_anew_where_they_are_asked_for() -> None:
    def key(every: int, *scores: str) -> str:
        return measure_key(SEGMENT, Pipeline(measure=Measure(scores=scores, syncnet_every_frames=every)))

    assert key(1, "framing", "lip_sync_syncnet") == key(1, "framing") == key(5, "framing")
    assert key(5, "framing", "lip_sync_syncnet") != key(1, "framing", "lip_sync_syncnet")


def changed() -> Iterator[tuple[str, Pipeline]]:
    """Every option of a pipeline, and the pipeline with just that option changed."""
    whole = Pipeline()
    for name, about in options(whole).items():
        yield name, replace(whole, **{name: another(getattr(whole, name), about)})
    for member in fields(whole):
        section = getattr(whole, member.name)
        for name, about in options(section).items() if is_dataclass(section) else ():
            new = replace(section, **{name: another(getattr(section, name), about)})
            yield f"{member.name}.{name}", replace(whole, **{member.name: new})


CHANGED = dict(changed())


@pytest.mark.parametrize("option", CHANGED)
def test_an_option_changes_the_keys_of_the_stages_it_concerns_and_no_other(option: str) -> None:
    pipeline = CHANGED[option]
    before, after = keys(Pipeline()), keys(pipeline)
    concerned = CONCERNED.get(option, CONCERNED[option.split(".")[0]])
    assert {stage for stage in before if before[stage] != after[stage]} == concerned


def test_another_segment_source_or_end_is_another_key() -> None:
    film = make_source()
    some = [
        make_segment(film), make_segment(film, 0, 400), make_segment(film, 100, 500),
        make_segment(make_source("other")),
    ]  # fmt: skip
    assert len({scan_key(s, PIPELINE) for s in some}) == len({measure_key(s, PIPELINE) for s in some}) == 4


def test_a_new_version_of_a_stage_makes_its_work_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(PIPELINE)
    for stage, concerned in {
        "ingest": {"ingest"}, "scan": {"scan", "measure"}, "measure": {"measure"}, "pack": {"pack"},
    }.items():  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setitem(room.STAGE_VERSION, stage, 99)
            after = keys(PIPELINE)
        assert {name for name in before if before[name] != after[name]} == concerned


def test_a_file_is_looked_at_again_when_it_changed_or_may_be_read_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.mp4"
    listed = Listed(uri=str(path))
    seen = [ingest_key(listed, PIPELINE)]
    path.write_bytes(b"1")
    os.utime(path, ns=(1, 1))
    seen.append(ingest_key(listed, PIPELINE))
    assert ingest_key(listed, PIPELINE) == seen[-1]
    os.utime(path, ns=(1, 2))
    seen.append(ingest_key(listed, PIPELINE))
    monkeypatch.setattr(os, "access", lambda uri, mode: False)
    seen.append(ingest_key(listed, PIPELINE))
    assert len(set(seen)) == 4


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


@pytest.fixture
def three(written: Written) -> tuple[Written, list[Clip]]:
    """Faces of 300, 140 and 100 px; of the last two, the dear scores were skipped."""
    written.scan((0, 500))
    clips = [make_clip(written.segment, at, at + 100) for at in (0, 100, 200)]
    large, middle, small = clips
    rows = [
        *rows_of(large),
        *rows_of(middle, face_px=140, blurs=None, similarity=None),
        *rows_of(small, face_px=100, blurs=None, similarity=None),
    ]
    written.measure(clips, rows, (Stretch(start_frame=300, end_frame=500, code="no_face"),))
    return written, clips


def told(units: list[Unit]) -> list[tuple[str, tuple[str, ...]]]:
    return [(unit.stage, unit.clip_ids) for unit in units]


def pack(written: Written, clip: Clip) -> None:
    written.ledger.commit("pack", pack_key(clip.clip_id, written.pipeline), {"members": {}}, {"tar": b"tape"})


def test_a_segment_is_scanned_then_measured(written: Written) -> None:
    assert told(written.units()) == [("scan", ())]
    written.scan((0, 500))
    assert told(written.units()) == [("measure", ())]


def test_a_segment_without_a_span_is_through_after_the_scan(written: Written) -> None:
    written.scan(stretches=(Stretch(start_frame=0, end_frame=500, code="no_speech"),))
    assert written.units() == []


def test_kept_clips_are_packed_together_and_rejected_ones_are_not(three: tuple[Written, list[Clip]]) -> None:
    written, (large, middle, small) = three
    assert told(written.units(face_at_least(160))) == [("pack", (large.clip_id,))]
    pack(written, large)
    assert written.units(face_at_least(160)) == []


def test_lowering_a_hard_line_asks_for_more_of_just_the_clips_it_had_stopped(three: tuple[Written, list[Clip]]) -> None:
    written, (large, middle, small) = three
    pack(written, large)
    (unit,) = written.units(face_at_least(120))
    assert told([unit]) == [("more", (middle.clip_id,))]
    assert unit.key.startswith(measure_key(written.segment, PIPELINE) + ".")
    assert told(written.units(face_at_least(50))) == [("more", (middle.clip_id,))]  # then the small one, by itself
    assert len({unit.key, *(u.key for u in written.units(face_at_least(50)))}) == 2


def test_a_policy_that_needs_no_skipped_score_gives_no_unit(three: tuple[Written, list[Clip]]) -> None:
    written, (large, *_) = three
    pack(written, large)
    for judged_by in (face_at_least(160), face_at_least(141), face_at_least(1000), policy()):
        assert written.units(judged_by) == []


def test_what_more_found_is_merged_and_leads_on_to_packing(three: tuple[Written, list[Clip]]) -> None:
    written, (large, middle, small) = three
    pack(written, large)
    judged_by = face_at_least(120)
    (unit,) = written.units(judged_by)
    rows = rows_of(middle, face_px=140, blurs=50)
    written.ledger.commit("more", unit.key, {"measurements": to_plain(rows)}, {"npz": b""})
    chain = written.chain(judged_by)
    assert told(chain.advance(written.segment, written.source)) == [("pack", (middle.clip_id,))]
    state = chain.segments[written.segment.segment_id]
    assert [state.rows[middle.clip_id][name] for name in SCORES] == rows
    assert [part[:2] for part in state.array_parts] == [
        ("measure", measure_key(written.segment, PIPELINE)),
        ("more", unit.key),
    ]
    assert (middle.clip_id, "sharpness") in state.array_parts[1][2]
    assert (middle.clip_id, "sharpness") not in state.array_parts[0][2]
    assert not chain.decision(state, small.clip_id).kept
    assert written.units(face_at_least(160)) == [], "the stricter policy still has all it needs"


def test_another_model_file_asks_anew_and_a_worker_with_a_third_one_is_not_asked_for_ever(
    three: tuple[Written, list[Clip]], monkeypatch: pytest.MonkeyPatch
) -> None:
    written, (large, _, _) = three
    pack(written, large)
    assert written.units(face_at_least(160)) == []
    monkeypatch.setattr(score, "model_in_use", lambda name: "new.onnx/01" if name == "sharpness" else "")
    (unit,) = written.units(face_at_least(160))
    assert (unit.stage, unit.clip_ids) == ("more", (large.clip_id,))
    rows = [replace(row, fingerprint="third.onnx/02") for row in rows_of(large)]
    written.ledger.commit("more", unit.key, {"measurements": to_plain(rows)}, {"npz": b""})
    chain = written.chain(face_at_least(160))
    assert "more" not in [unit.stage for unit in chain.advance(written.segment, written.source)]
    failure = chain.segments[written.segment.segment_id].clip_failures[large.clip_id]
    assert (failure.code, failure.transient) == ("failed.model", True)
    monkeypatch.setattr(score, "model_in_use", lambda name: "newer.onnx/03" if name == "sharpness" else "")
    (again,) = written.units(face_at_least(160))
    assert again.stage == "more" and again.key != unit.key


def test_a_skipped_row_never_hides_a_measured_one(three: tuple[Written, list[Clip]]) -> None:
    written, (_, middle, _) = three
    base = measure_key(written.segment, PIPELINE)
    for suffix, blurs in (("0", 50), ("1", None)):
        rows = rows_of(middle, face_px=140, blurs=blurs, similarity=None)
        written.ledger.commit("more", f"{base}.{suffix}", {"measurements": to_plain(rows)}, {"npz": b""})
    chain = written.chain()
    chain.advance(written.segment, written.source)
    row = chain.segments[written.segment.segment_id].rows[middle.clip_id]["sharpness"]
    assert row == make_row(middle, "sharpness", blurs_per_face_p10=50)


def fail(written: Written, unit: Unit, failure: Failure) -> None:
    written.ledger.commit(unit.stage, unit.key, {"failed": to_plain(failure), "unit": to_plain(unit)}, {})


CRASH = Failure("failed.crash", "the process ended with SIGSEGV")


@pytest.mark.parametrize("stage", ["scan", "measure"])
def test_a_segment_that_failed_is_left_alone_with_its_reason(written: Written, stage: str) -> None:
    if stage == "measure":
        written.scan((0, 500))
    (unit,) = written.units()
    assert unit.stage == stage
    fail(written, unit, CRASH)
    chain = written.chain()
    assert chain.advance(written.segment, written.source) == []
    assert chain.segments[written.segment.segment_id].failure == CRASH


def test_when_more_fails_only_the_clips_it_was_about_do(three: tuple[Written, list[Clip]]) -> None:
    written, (large, middle, _) = three
    (unit,) = written.units(face_at_least(120))
    fail(written, unit, CRASH)
    chain = written.chain(face_at_least(120))
    assert told(chain.advance(written.segment, written.source)) == [("pack", (large.clip_id,))]
    state = chain.segments[written.segment.segment_id]
    assert state.failure is None and state.clip_failures == {middle.clip_id: CRASH}
    pack(written, large)
    assert written.units(face_at_least(120)) == [], "the failed unit is not handed out again and again"


def test_when_packing_fails_the_other_clips_are_packed(three: tuple[Written, list[Clip]]) -> None:
    written, (large, middle, small) = three
    soft = policy(replace(face_at_least(1).rules[0], hard=False))
    for clip in (middle, small):
        (unit,) = written.units(soft)
        assert told([unit]) == [("more", (clip.clip_id,))]
        written.ledger.commit("more", unit.key, {"measurements": to_plain(rows_of(clip))}, {"npz": b""})
    (unit,) = written.units(soft)
    assert told([unit]) == [("pack", (large.clip_id, middle.clip_id, small.clip_id))]
    fail(written, replace(unit, key=pack_key(middle.clip_id, PIPELINE)), CRASH)
    chain = written.chain(soft)
    assert told(chain.advance(written.segment, written.source)) == [("pack", (large.clip_id, small.clip_id))]
    assert chain.segments[written.segment.segment_id].clip_failures == {middle.clip_id: CRASH}


def test_a_tar_without_its_commit_is_not_taken_for_packed(three: tuple[Written, list[Clip]]) -> None:
    written, (large, *_) = three
    key = pack_key(large.clip_id, PIPELINE)
    written.ledger.part("pack", key, "tar").parent.mkdir(parents=True)
    written.ledger.part("pack", key, "tar").write_bytes(b"by a writer killed before its commit")
    assert told(written.units()) == [("pack", (large.clip_id,))]
    assert not room.is_encoded(written.ledger, key)
    written.ledger.commit("pack", key, {"failed": to_plain(CRASH)}, {})
    assert not room.is_encoded(written.ledger, key)


def test_a_clip_whose_tar_went_into_a_shard_is_packed_as_long_as_the_shard_holds_it(
    three: tuple[Written, list[Clip]],
) -> None:
    written, (large, *_) = three
    key = pack_key(large.clip_id, PIPELINE)
    pack(written, large)
    written.ledger.part("pack", key, "tar").unlink()
    assert told(written.units()) == [("pack", (large.clip_id,))]
    chain = written.chain()
    written.ledger.commit(
        "ingest", ingest_key(written.source.listed, PIPELINE), {"source": to_plain(written.source)}, {}
    )
    assert chain.settle_sources(packed=[key]) == []


def test_a_failure_that_may_pass_holds_for_this_run_only(written: Written) -> None:
    chain = written.chain()
    (unit,) = chain.advance(written.segment, written.source)
    gone = Failure("failed.vanished", "the file went away", transient=True)
    assert chain.after(unit, gone) == []
    assert chain.segments[written.segment.segment_id].failure == gone
    assert told(written.units()) == [("scan", ())], "the next run tries again"


def test_of_several_clips_to_pack_the_first_that_is_missing_is_tried_alone(three: tuple[Written, list[Clip]]) -> None:
    written, clips = three
    chain = written.chain()
    unit = Unit(
        stage="pack", key=pack_key(clips[0].clip_id, PIPELINE), listed=written.source.listed, source=written.source,
        segment=written.segment, clip_ids=tuple(clip.clip_id for clip in clips),
    )  # fmt: skip
    for clip in clips:
        alone = chain.at_fault(unit)
        assert alone == replace(unit, key=pack_key(clip.clip_id, PIPELINE), clip_ids=(clip.clip_id,))
        pack(written, clip)
    assert chain.at_fault(unit) is None
    scan = replace(unit, stage="scan", clip_ids=())
    assert chain.at_fault(scan) == scan


def ingested(tmp_path: Path, *names: str) -> Chain:
    """A chain over sources of these names, whose bytes are the names' first letters; all are ingested."""
    ledger, listed = Ledger(tmp_path), []
    for name in names:
        source = make_source(name[0], listed=Listed(uri=f"{name}.mp4"))
        listed.append(source.listed)
        ledger.commit("ingest", ingest_key(source.listed, PIPELINE), {"source": to_plain(source)}, {})
    return Chain(Job(dataset=str(tmp_path), pipeline=PIPELINE, policy=policy()), ledger, listed)


def test_only_files_not_seen_before_are_ingested(tmp_path: Path) -> None:
    chain = ingested(tmp_path, "apple", "pear")
    assert chain.ingest_units() == []
    more = Chain(chain.job, chain.ledger, [*chain.listed, Listed(uri="plum.mp4")])
    assert [(u.stage, u.listed.uri) for u in more.ingest_units()] == [("ingest", "plum.mp4")]


def test_the_same_bytes_are_worked_on_once(tmp_path: Path) -> None:
    chain = ingested(tmp_path, "apple", "pear", "apricot")
    units = chain.settle_sources(packed=())
    assert [(unit.stage, unit.listed.uri) for unit in units] == [("scan", "apple.mp4"), ("scan", "pear.mp4")]
    assert [(s.outcome, s.code) for s in chain.sources] == [
        ("ready", None), ("ready", None), ("duplicate", "duplicate.bytes"),
    ]  # fmt: skip


def test_a_file_whose_ingest_failed_or_that_changed_meanwhile_is_a_failed_source(tmp_path: Path) -> None:
    chain = ingested(tmp_path, "apple")
    listed = [*chain.listed, Listed(uri="crash.mp4"), Listed(uri="changed.mp4"), Listed(uri="locked.mp4")]
    chain = Chain(chain.job, chain.ledger, listed)
    crash, _, locked = chain.ingest_units()
    chain.ledger.commit("ingest", crash.key, {"failed": to_plain(CRASH), "unit": to_plain(crash)}, {})
    chain.after(locked, Failure("failed.no_permission", "may not be read", transient=True))
    units = chain.settle_sources(packed=())
    assert [unit.listed.uri for unit in units] == ["apple.mp4"]
    assert [(s.outcome, s.code) for s in chain.sources[1:]] == [
        ("failed", "failed.crash"), ("failed", "failed.changed"), ("failed", "failed.no_permission"),
    ]  # fmt: skip
    assert all(s.source_id.startswith("unread-") for s in chain.sources[1:])


def test_long_footage_is_cut_into_segments_that_are_each_worked_on(tmp_path: Path) -> None:
    source = make_source(seconds=1500.0)
    ledger = Ledger(tmp_path)
    ledger.commit("ingest", ingest_key(source.listed, PIPELINE), {"source": to_plain(source)}, {})
    chain = Chain(Job(dataset=str(tmp_path), pipeline=PIPELINE, policy=policy()), ledger, [source.listed])
    units = chain.settle_sources(packed=())
    spans = [(u.segment.start_frame, u.segment.end_frame) for u in units if u.segment is not None]
    assert spans == [(0, 12500), (12500, 25000), (25000, 37500)]
    assert sum(unit.seconds for unit in units) == 1500
