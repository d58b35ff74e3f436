"""From a ledger written by hand to the tables of a dataset."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hand_made import PIPELINE, SCORES, Written, face_at_least, make_clip, make_source, policy, rows_of

from vividhead.chain import Chain
from vividhead.ledger import Ledger
from vividhead.manifest import read
from vividhead.plain import to_plain
from vividhead.policy import Policy
from vividhead.publish import publish
from vividhead.records import Clip, Listed, Stretch
from vividhead.units import Failure, Job, ingest_key, pack_key

Rows = list[dict[str, Any]]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A segment with silence, a clip that passes, one whose face is too small, and one that is blurred."""
    written = Written(tmp_path)
    silences = tuple(Stretch(start_frame=a, end_frame=b, code="no_speech") for a, b in ((0, 100), (450, 500)))
    written.scan((100, 450), stretches=silences)
    clips = clips_of(written)
    rows = [
        *rows_of(clips[0]), *rows_of(clips[1], face_px=100, blurs=None, similarity=None),
        *rows_of(clips[2], blurs=10, similarity=None),
    ]  # fmt: skip
    written.measure(clips, rows, (Stretch(start_frame=400, end_frame=450, code="too_short"),))
    return written


def clips_of(written: Written) -> list[Clip]:
    return [make_clip(written.segment, at, at + 100) for at in (100, 200, 300)]


def chain_of(written: Written, judged_by: Policy | None = None) -> Chain:
    chain = written.chain(judged_by)
    chain.sources = [written.source]
    chain.advance(written.segment, written.source)
    return chain


def rows(written: Written, name: str) -> Rows:
    found: Rows = read(written.dataset / f"{name}.parquet").to_pylist(maps_as_pydicts="strict")
    return found


def decisions(written: Written, judged_by: Policy) -> Rows:
    return rows(written, f"decisions/{judged_by.digest}/decisions")


def test_sources_are_written_with_what_the_user_gave_and_what_was_found(tmp_path: Path) -> None:
    listed = Listed(uri="a.mp4", given_id="7", licence="CC0", language="de", attributes={"city": "Köln"})
    written = Written(tmp_path, make_source(listed=listed, zero_s_in_container=(7, 5), video_codec="h264"))
    publish(tmp_path, chain_of(written), finished=False)
    (row,) = rows(written, "sources")
    assert (row["uri"], row["given_id"], row["licence"], row["consent"]) == ("a.mp4", "7", "CC0", None)
    assert row["attributes"] == {"city": "Köln"}
    assert (row["zero_s_in_container"], row["duration_s"], row["n_frames"]) == (1.4, 20.0, 500)
    assert (row["outcome"], row["code"], row["video_codec"]) == ("ready", None, "h264")


def test_a_segment_tells_its_stretches_in_order_from_scan_and_measure(written: Written) -> None:
    publish(written.dataset, chain_of(written), finished=False)
    (row,) = rows(written, "segments")
    assert row["state"] == "done"
    assert row["stretches"] == [
        {"start_frame": 0, "end_frame": 100, "code": "no_speech"},
        {"start_frame": 400, "end_frame": 450, "code": "too_short"},
        {"start_frame": 450, "end_frame": 500, "code": "no_speech"},
    ]
    assert row["speech_s_in_source"] == [{"start_s": 0.0, "end_s": 5.0}]


def test_a_segment_is_pending_until_it_is_measured_and_done_without_a_span(tmp_path: Path) -> None:
    states = []
    for spans in (None, ((0, 500),), ()):
        written = Written(tmp_path / str(spans))
        if spans is not None:
            written.scan(*spans)
        publish(written.dataset, chain_of(written), finished=False)
        states.append(rows(written, "segments")[0]["state"])
    assert states == ["pending", "pending", "done"]


def test_a_failed_segment_says_why(tmp_path: Path) -> None:
    written = Written(tmp_path)
    (unit,) = written.units()
    crash = Failure("failed.crash", "SIGSEGV; reproduce: …")
    written.ledger.commit("scan", unit.key, {"failed": to_plain(crash), "unit": to_plain(unit)}, {})
    publish(tmp_path, chain_of(written), finished=False)
    (row,) = rows(written, "segments")
    assert (row["state"], row["code"], row["detail"]) == ("failed", "failed.crash", "SIGSEGV; reproduce: …")


def test_every_candidate_is_in_clips_and_in_each_scores_table_with_its_status(written: Written) -> None:
    publish(written.dataset, chain_of(written), finished=False)
    ids = [clip.clip_id for clip in clips_of(written)]
    assert [row["clip_id"] for row in rows(written, "clips")] == ids
    statuses = {name: [r["status"] for r in rows(written, f"measurements/{name}/measurements")] for name in SCORES}
    assert statuses == {
        "framing": ["measured", "measured", "measured"],
        "sharpness": ["measured", "skipped", "measured"],
        "identity": ["measured", "skipped", "skipped"],
    }
    sharp = rows(written, "measurements/sharpness/measurements")
    assert [row["blurs_per_face_p10"] for row in sharp] == [100.0, None, 10.0]
    framing = rows(written, "measurements/framing/measurements")
    assert framing[0]["face_fraction_of_crop"] is None
    assert framing[0]["unknown"]["face_fraction_of_crop"] == "not_given"


def test_decisions_hold_every_broken_rule_with_value_and_limit(written: Written) -> None:
    publish(written.dataset, chain_of(written), finished=False)
    kept, small, blurred = decisions(written, policy())
    assert (kept["kept"], kept["reasons"], kept["failure"]) == (True, [], None)
    assert [r["code"] for r in small["reasons"]] == [
        "framing.face_height_px_in_source:low",
        "sharpness.blurs_per_face_p10:skipped",
        "identity.worst_similarity_to_medoid:skipped",
    ]
    assert blurred["reasons"][0] == {
        "code": "sharpness.blurs_per_face_p10:low", "field": "sharpness.blurs_per_face_p10",
        "value": 10.0, "limit": 40.0, "detail": "",
    }  # fmt: skip


def test_each_policy_has_its_own_decisions(written: Written) -> None:
    for judged_by in (policy(), face_at_least(400)):
        publish(written.dataset, chain_of(written, judged_by), finished=False)
    assert [row["kept"] for row in decisions(written, policy())] == [True, False, False]
    assert [row["kept"] for row in decisions(written, face_at_least(400))] == [False, False, False]


def test_a_clip_that_could_not_be_made_is_not_kept_and_says_why(written: Written) -> None:
    chain = chain_of(written)
    clip = clips_of(written)[0]
    failed = {"failed": to_plain(Failure("failed.memory", "3500 MB used; reproduce: …"))}
    written.ledger.commit("pack", pack_key(clip.clip_id, PIPELINE), failed, {})
    publish(written.dataset, chain, finished=True)
    row = decisions(written, policy())[0]
    assert (row["kept"], row["reasons"]) == (False, [])
    assert (row["failure"], row["failure_detail"]) == ("failed.memory", "3500 MB used; reproduce: …")
    assert rows(written, "manifest") == []


def test_an_unfinished_run_writes_tables_and_leaves_shards_and_manifest_alone(written: Written) -> None:
    (written.dataset / "manifest.parquet").write_bytes(b"of the run before")
    publish(written.dataset, chain_of(written), finished=False)
    assert (written.dataset / "manifest.parquet").read_bytes() == b"of the run before"
    assert not (written.dataset / "shards").exists()


def test_publishing_twice_gives_the_same_bytes(written: Written) -> None:
    trees = []
    for _ in range(2):
        publish(written.dataset, chain_of(written), finished=False)
        trees.append({p.name: p.read_bytes() for p in written.dataset.rglob("*.parquet")})
    assert trees[0] == trees[1] and len(trees[0]) == 5


def test_segments_follow_the_order_of_the_sources_not_of_their_ids(tmp_path: Path) -> None:
    sources = [make_source(name, seconds=700.0) for name in ("b", "a", "c")]
    ledger = Ledger(tmp_path)
    for source in sources:
        ledger.commit("ingest", ingest_key(source.listed, PIPELINE), {"source": to_plain(source)}, {})
    job = Job(dataset=str(tmp_path), pipeline=PIPELINE, policy=policy())
    chain = Chain(job, ledger, [*(s.listed for s in sources), replace(sources[0].listed, uri="copy.mp4")])
    ledger.commit("ingest", ingest_key(chain.listed[3], PIPELINE), {"source": to_plain(sources[0])}, {})
    chain.settle_sources(packed=())
    placed = chain.segments.placed
    chain.segments.placed = {name: placed[name] for name in sorted(placed, key=lambda name: name[5:])}
    publish(tmp_path, chain, finished=False)
    found = [(row["source_id"], row["start_frame"]) for row in read(tmp_path / "segments.parquet").to_pylist()]
    assert found == [(source.source_id, start) for source in sources for start in (0, 8750)]
    assert [row["outcome"] for row in read(tmp_path / "sources.parquet").to_pylist()] == ["ready"] * 3 + ["duplicate"]
