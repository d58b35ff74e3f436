"""What became of a clip or a second, and why, from the tables of a real small run."""

import json

import pytest
from conftest import Whole
from faults.film import LEAST_FACE_PX, REFUSED, Film

from vividhead.audit.explain import explain
from vividhead.audit.explained_text import told
from vividhead.cli import main
from vividhead.errors import UsageError
from vividhead.manifest import read
from vividhead.score import score_class


def clip_of(whole: Whole, kept: bool) -> str:
    rows = read(next((whole.dataset / "decisions").glob("*/decisions.parquet"))).to_pylist()
    (clip_id,) = [row["clip_id"] for row in rows if row["kept"] is kept]
    return str(clip_id)


def test_a_kept_clip_has_every_score_with_its_unit_its_rule_and_its_place(whole: Whole, film: Film) -> None:
    clip_id = clip_of(whole, kept=True)
    story = explain(whole.dataset, clip_id[:8])
    assert (story["kind"], story["clip_id"], story["kept"]) == ("clip", clip_id, True)
    assert story["would_have_to_change"] == []
    fields = {field["field"]: field for score in story["scores"] for field in score["fields"]}
    assert set(fields) == {f"{s['score']}.{f}" for s in story["scores"] for f in score_class(s["score"]).fields}
    assert fields["head_pose.yaw_deg_p95"]["unit"] == "deg" and fields["head_pose.yaw_deg_p95"]["rule"]["max"] == 45
    assert {f["verdict"] for f in fields.values() if f["rule"]} == {"passes"}
    (row,) = read(whole.dataset / "manifest.parquet").to_pylist()
    assert story["shard"]["mp4_sha256"] == row["mp4_sha256"]
    text = told(story)
    assert "kept   by talking-head" in text and "passes … 45" in text and "no rule" in text


def test_a_rejected_clip_says_what_would_have_to_change(whole: Whole) -> None:
    story = explain(whole.dataset, clip_of(whole, kept=False))
    low, measure = story["would_have_to_change"]
    assert (low["code"], low["change"], low["from"]) == (REFUSED, "min_to", 160)
    assert LEAST_FACE_PX < low["to"] < 160 and low["by"] == pytest.approx(160 - low["to"])
    assert measure["change"] == "measure" and "lip_sync" in measure["scores"]
    assert f"min from 160 to {low['to']}" in told(story) and "skipped" in told(story)


def test_a_second_of_speech_and_face_leads_to_its_clip(whole: Whole, film: Film) -> None:
    story = explain(whole.dataset, f"{film.small.name}@0:02")
    assert story["time_s"] == 2.0
    assert [clip["clip_id"] for clip in story["clips"]] == [clip_of(whole, kept=False)]
    assert [seen["stage"] for seen in story["seen"]][:2] == ["ingest", "scan"]
    assert REFUSED in told(story)


def test_a_second_of_silence_says_who_saw_it(whole: Whole, film: Film) -> None:
    story = explain(whole.dataset, f"{film.silent}@1.5")
    (stretch,) = [seen for seen in story["seen"] if "code" in seen]
    assert (stretch["stage"], stretch["code"]) == ("scan", "no_speech")
    assert "no speech was heard" in told(story)


def test_what_is_no_footage_and_what_is_there_twice_says_so(whole: Whole, film: Film) -> None:
    assert "failed.empty: the file has no bytes" in told(explain(whole.dataset, film.empty.name))
    story = explain(whole.dataset, str(film.twin))
    assert story["source"]["outcome"] == "duplicate" and story["source"]["duplicate_of"]
    assert "duplicate.bytes" in told(explain(whole.dataset, f"{film.twin.name}@1"))


def test_a_source_has_a_time_line_of_all_its_seconds(whole: Whole, film: Film) -> None:
    story = explain(whole.dataset, film.kept.name)
    covered = sum(part["end_s"] - part["start_s"] for part in story["timeline"])
    assert covered == pytest.approx(story["source"]["duration_s"], abs=0.04)
    assert sum("clip_id" in part for part in story["timeline"]) == len(story["clips"]) == 1


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nowhere.mp4", "is no clip and no source"),
        ("ffffffffff", "is no clip and no source"),
        ("small.mp4@99", "there is no 99 s in it"),
        ("mp4@x", "is no clip and no source"),
    ],
)
def test_a_name_of_nothing_is_refused(whole: Whole, what: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        explain(whole.dataset, what)


def test_the_command_prints_json(whole: Whole, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(whole.dataset), "small.mp4@1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "time"
