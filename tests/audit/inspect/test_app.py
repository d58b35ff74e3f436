"""What the inspector answers."""

import io
import json
from pathlib import Path
from urllib.parse import quote

import av
import pytest

from tests.audit.inspect.conftest import HOSTILE
from tests.audit.inspect.server import Inspector, inspecting
from vividhead.audit.clips import own_policy
from vividhead.audit.tables import Tables
from vividhead.audit.verdicts import verdicts
from vividhead.labels import read_labels
from vividhead.manifest import read
from vividhead.policy import load_policy


def rules_of(server: Inspector, name: str = "") -> list[dict[str, object]]:
    keys = ("id", "min", "max", "unmeasured")
    return [{k: rule[k] for k in keys} for rule in server.ask(f"/api/filters?name={quote(name)}").json["rules"]]


def kept_id(dataset: Path) -> str:
    return str(read(dataset / "manifest.parquet")["clip_id"][0])


def rejected_id(server: Inspector) -> str:
    return str(server.ask("/api/clips?state=rejected").json["rows"][0]["clip_id"])


def test_pages_follow_each_other_without_gap_or_repeat(large: Inspector) -> None:
    seen = [
        r["clip_id"] for at in range(0, 2000, 200) for r in large.ask(f"/api/clips?limit=200&offset={at}").json["rows"]
    ]
    assert len(seen) == len(set(seen)) == 2000 and seen == sorted(seen)


def test_kept_and_rejected_are_all(large: Inspector, tables_only: Path) -> None:
    totals = {s: large.ask(f"/api/clips?state={s}&limit=1").json["total"] for s in ("all", "kept", "rejected")}
    assert totals["kept"] == len(read(tables_only / "manifest.parquet"))
    assert totals["kept"] + totals["rejected"] == totals["all"] == 2000


def test_limits_of_a_field_and_sorting_by_it_agree_with_the_table(large: Inspector, tables_only: Path) -> None:
    name = "framing.face_height_px_in_source"
    page = large.ask(f"/api/clips?field={name}&low=200&high=300&sort={name}&descending=true&limit=200").json
    values = read(tables_only / "measurements" / "framing" / "measurements.parquet")["face_height_px_in_source"]
    expected = sorted((v for v in values.to_pylist() if v is not None and 200 <= v <= 300), reverse=True)
    assert page["total"] == len(expected)
    assert [row["value"] for row in page["rows"]] == expected[:200]


def test_a_reason_chosen_lists_the_clips_that_broke_it_first(large: Inspector) -> None:
    for code in large.ask("/api/dataset").json["codes"][:3]:
        page = large.ask(f"/api/clips?code={quote(code['code'])}").json
        assert page["total"] == code["clips"] and {row["first"] for row in page["rows"]} == {code["code"]}


@pytest.mark.parametrize(
    "query",
    ["limit=201", "limit=0", "limit=-1", "offset=-1", "offset=99999999999999999999", "sort=nothing", "state=maybe",
     "field=clip_id&low=1", "field=x;DROP TABLE clips&low=1", "sort=clip_id;--", "low=nan&field=speech.speech_fraction",
     "label=x", f"text={'x' * 501}"],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_and_nothing_breaks(large: Inspector, query: str) -> None:
    answer = large.ask(f"/api/clips?{quote(query, safe='=&')}")
    assert answer.status in (400, 422)
    assert large.ask("/api/clips?limit=1").json["total"] == 2000


def test_a_page_beyond_the_end_is_empty(large: Inspector) -> None:
    page = large.ask("/api/clips?offset=1000000000").json
    assert page["rows"] == [] and page["total"] == 2000


@pytest.mark.parametrize("text", ["'", "%", "\\", '"; DROP TABLE clips; --', "\u202e"])
def test_search_takes_any_text_as_text(large: Inspector, text: str) -> None:
    assert large.ask(f"/api/clips?text={quote(text)}").status == 200
    assert large.ask("/api/clips?limit=1").json["total"] == 2000


def test_a_hostile_file_name_is_found_and_travels_as_text(large: Inspector) -> None:
    page = large.ask(f"/api/clips?text={quote('<img src=x')}").json
    assert page["total"] > 0 and {row["uri"] for row in page["rows"]} == {HOSTILE}


def test_both_sides_of_a_comparison_are_what_the_policies_say(large: Inspector, tables_only: Path) -> None:
    tables = Tables(tables_only)
    ids = tables.read("clips", ["clip_id"])["clip_id"]
    own, strict = own_policy(tables), load_policy("strict", tables.names("measurements"))
    a_N, b_N = (found.passed_N for found in verdicts(tables, [own, strict], ids))
    found = large.ask("/api/compare", {"a": rules_of(large), "b": rules_of(large, "strict")}).json
    assert found["a"]["clips"] == a_N.sum() and found["b"]["clips"] == b_N.sum()
    assert found["lost"]["clips"] == (a_N & ~b_N).sum() and found["gained"]["clips"] == (b_N & ~a_N).sum()
    alone_RN = verdicts(tables, [strict], ids)[0].kinds_RN != 0
    only_N = alone_RN.sum(axis=0) == 1
    by_rule = {rule.id: int((row & only_N).sum()) for rule, row in zip(strict.rules, alone_RN, strict=True)}
    assert {name: amount["clips"] for name, amount in found["alone"].items()} == by_rule


def test_unmeasured_accept_lets_unknown_values_pass_as_the_policy_does(large: Inspector, tables_only: Path) -> None:
    from vividhead.policy import Policy, Rule

    rule = Rule(score="lip_sync", field="offset_ms", min=-20, max=20, unmeasured="accept", why="a test")
    tables = Tables(tables_only)
    (found,) = verdicts(tables, [Policy(name="one", rules=(rule,))], tables.read("clips", ["clip_id"])["clip_id"])
    asked = [{"id": rule.id, "min": -20, "max": 20, "unmeasured": "accept"}]
    assert large.ask("/api/compare", {"a": [], "b": asked}).json["b"]["clips"] == found.passed_N.sum()


def test_rules_on_no_field_are_refused(large: Inspector) -> None:
    bad = [{"id": 'clip_id" OR 1=1', "min": 1}]
    assert large.ask("/api/compare", {"a": [], "b": bad}).status == 400
    assert large.ask("/api/compare", {"a": [], "b": [{"id": "speech.speech_fraction", "min": "x"}]}).status == 422
    infinite = b'{"a": [], "b": [{"id": "speech.speech_fraction", "min": Infinity}]}'
    assert large.ask("/api/compare", infinite).status == 422


def test_a_kept_clips_video_is_its_member_and_can_be_read_in_parts(inspector: Inspector, inspected: Path) -> None:
    row = read(inspected / "manifest.parquet").to_pylist()[0]
    whole = inspector.ask(f"/api/clips/{row['clip_id']}/video")
    with (inspected / "shards" / row["shard"]).open("rb") as file:
        file.seek(row["mp4_offset"])
        assert whole.body == file.read(row["mp4_bytes"])
    part = inspector.ask(f"/api/clips/{row['clip_id']}/video", Range="bytes=10-19")
    assert part.status == 206 and part.body == whole.body[10:20]
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.body)}"
    assert inspector.ask(f"/api/clips/{row['clip_id']}/video", Range="bytes=-5").body == whole.body[-5:]
    assert inspector.ask(f"/api/clips/{row['clip_id']}/video", Range="bytes=5-").body == whole.body[5:]
    assert inspector.ask(f"/api/clips/{row['clip_id']}/video", Range=f"bytes={len(whole.body)}-").status == 416
    for odd in ("bytes=a-b", "lines=1-2", "bytes=1-2,4-5", "bytes=-"):
        assert inspector.ask(f"/api/clips/{row['clip_id']}/video", Range=odd).body == whole.body


def test_a_rejected_clip_is_cut_from_its_source_as_long_as_it_is(inspector: Inspector, inspected: Path) -> None:
    clip_id = rejected_id(inspector)
    about = inspector.ask(f"/api/clips/{clip_id}").json["clip"]
    answer = inspector.ask(f"/api/clips/{clip_id}/video")
    assert answer.status == 200
    with av.open(io.BytesIO(answer.body)) as film:
        assert sum(1 for _ in film.decode(video=0)) == round(about["duration_s"] * 25)
    curves = inspector.ask(f"/api/clips/{clip_id}/curves").json
    assert len(curves["loudness_db"]) == round(about["duration_s"] * 25) and curves["opening"] is None
    assert "kept clips only" in inspector.ask(f"/api/clips/{clip_id}/landmarks").json["error"]


def test_a_source_that_is_gone_is_said_in_words(large: Inspector) -> None:
    answer = large.ask(f"/api/clips/{rejected_id(large)}/video")
    assert answer.status == 404 and "is not on this machine" in answer.json["error"]


def test_a_damaged_member_is_said_in_words(large: Inspector, tables_only: Path) -> None:
    answer = large.ask(f"/api/clips/{kept_id(tables_only)}/video")
    assert answer.status == 404 and "is not as the manifest has it" in answer.json["error"]


def test_landmarks_and_curves_have_a_row_for_each_frame(inspector: Inspector, inspected: Path) -> None:
    row = read(inspected / "manifest.parquet").to_pylist()[0]
    points = inspector.ask(f"/api/clips/{row['clip_id']}/landmarks").body
    assert len(points) == row["n_frames"] * 478 * 2 * 2
    curves = inspector.ask(f"/api/clips/{row['clip_id']}/curves").json
    assert len(curves["loudness_db"]) == len(curves["opening"]) == row["n_frames"]
    assert max(o for o in curves["opening"] if o is not None) > 0.01


def test_a_label_is_stored_beside_the_dataset_and_counts_at_once_and_later(tmp_path: Path, inspected: Path) -> None:
    import shutil

    dataset = shutil.copytree(inspected, tmp_path / "dataset", ignore=shutil.ignore_patterns("labels"))
    clip_id = kept_id(dataset)
    with inspecting(dataset) as server:
        assert (
            server.ask("/api/labels", {"clip_id": clip_id, "label": "bad", "reason": "lips\nlate", "by": "Ada"}).status
            == 200
        )
        assert server.ask("/api/labels", {"clip_id": clip_id, "label": "good"}).status == 200
        assert server.ask("/api/clips?label=good").json["rows"][0]["clip_id"] == clip_id
        assert server.ask("/api/clips?label=bad").json["total"] == 0
    assert [(label.label, label.reason, label.by) for label in read_labels(dataset)] == [
        ("bad", "lips late", "Ada"),
        ("good", "", ""),
    ]
    with inspecting(dataset) as server:
        assert server.ask("/api/clips?label=any").json["total"] == 1
        assert [label["label"] for label in server.ask("/api/labels").json] == ["good"]


@pytest.mark.parametrize(
    "body",
    [{"clip_id": "0" * 20, "label": "good"}, {"clip_id": "../../etc", "label": "good"}, {"clip_id": 1, "label": "good"},
     {"label": "good"}, {"clip_id": "x", "label": "fine"}, {"clip_id": "x", "label": "good", "path": "/etc"},
     {"clip_id": "x", "label": "good", "reason": "y" * 2001}, []],
)  # fmt: skip
def test_labels_that_are_none_leave_no_file(inspector: Inspector, inspected: Path, body: object) -> None:
    before = list((inspected / "labels").glob("*"))
    assert inspector.ask("/api/labels", body).status in (404, 422)
    assert list((inspected / "labels").glob("*")) == before


def test_nothing_but_labels_is_written(inspected: Path, inspector: Inspector) -> None:
    def digests() -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in inspected.rglob("*") if p.is_file()}

    before = digests()
    clip_id = kept_id(inspected)
    for path in ("/", "/api/dataset", "/api/clips", f"/api/clips/{clip_id}", f"/api/clips/{clip_id}/curves"):
        assert inspector.ask(path).status == 200
    assert inspector.ask("/api/compare", {"a": [], "b": []}).status == 200
    assert digests() == before


def test_numbers_that_json_lacks_become_null(large: Inspector) -> None:
    def no_constant(word: str) -> None:
        raise AssertionError(word)

    for row in large.ask("/api/clips?limit=50").json["rows"]:
        json.loads(large.ask(f"/api/clips/{row['clip_id']}").body, parse_constant=no_constant)


def test_a_revoked_clip_is_neither_shown_nor_heard_nor_counted_as_kept(inspected: Path, tmp_path: Path) -> None:
    import shutil

    from vividhead.audit.chosen import by_clip
    from vividhead.audit.revoke import Order, revoke

    dataset = shutil.copytree(inspected, tmp_path / "dataset")
    clip_id = kept_id(dataset)
    revoke(dataset, by_clip(Tables(dataset), clip_id), Order(what="--clip", reason="a test", by="a test"))
    with inspecting(dataset) as server:
        assert server.ask("/api/clips?code=revoked").json["rows"][0]["clip_id"] == clip_id
        for what in ("video", "curves", "landmarks"):
            assert server.ask(f"/api/clips/{clip_id}/{what}").status == 404
        kept = server.ask("/api/dataset").json["kept"]
        assert server.ask("/api/compare", {"a": rules_of(server), "b": []}).json["a"]["clips"] == kept
