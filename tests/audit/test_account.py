"""Every second in exactly one bucket: hand-made tables, and any tables that hypothesis can think of."""

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vividhead.audit.account import Account, account, funnel
from vividhead.errors import DatasetError
from vividhead.manifest import CLIPS, DECISIONS, MANIFEST, SEGMENTS, SOURCES, table
from vividhead.records import BUCKETS

Row = dict[str, Any]
COLUMNS = {"sources": SOURCES, "segments": SEGMENTS, "clips": CLIPS, "decisions": DECISIONS, "manifest": MANIFEST}


class Tables:
    """A dataset that is nothing but its tables."""

    def __init__(self, path: Path, **rows: list[Row]) -> None:
        self.path = path
        self._rows = rows

    def table(self, name: str) -> Any:
        return table(COLUMNS[name], self._rows.get(name, []))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder in which there is a manifest."""
    path = tmp_path_factory.mktemp("dataset")
    (path / "manifest.parquet").touch()
    return path


def source(name: str = "a", n_frames: int = 250, outcome: str = "ready", **about: Any) -> Row:
    return {
        "source_id": name, "uri": f"{name}.mp4", "outcome": outcome, "duration_s": n_frames / 25,
        "n_frames": n_frames, **about,
    }  # fmt: skip


def segment(start: int, end: int, state: str = "done", *stretches: tuple[int, int, str], of: str = "a") -> Row:
    return {
        "segment_id": f"{of}-{start}", "source_id": of, "start_frame": start, "end_frame": end, "state": state,
        "code": "failed.crash" if state == "failed" else None, "detail": "reproduce: …" if state == "failed" else None,
        "stretches": [{"start_frame": a, "end_frame": b, "code": code} for a, b, code in stretches],
    }  # fmt: skip


def clip(name: str, start: int, end: int, of: str = "a-0") -> Row:
    return {
        "clip_id": name, "source_id": of.split("-")[0], "segment_id": of, "start_frame": start, "end_frame": end,
        "start_s_in_source": start / 25, "end_s_in_source": end / 25,
    }  # fmt: skip


def decision(name: str, *codes: str, failure: str | None = None) -> Row:
    return {
        "clip_id": name, "kept": not codes and failure is None, "failure": failure,
        "failure_detail": f"{name}: reproduce: …" if failure else None,
        "reasons": [{"code": code, "field": code.split(":")[0]} for code in codes],
    }  # fmt: skip


def added_up(folder: Path, **rows: list[Row]) -> Account:
    tables: Any = Tables(folder, **rows)
    return account(tables)


def told(found: Account) -> dict[str, dict[str, float]]:
    return {bucket: dict(codes) for bucket, codes in found.why().items()}


def test_a_clips_seconds_go_to_the_first_rule_it_broke_and_every_rule_is_named(folder: Path) -> None:
    found = added_up(
        folder,
        sources=[source()],
        segments=[segment(0, 250, "done", (0, 50, "no_speech"), (50, 60, "too_short"))],
        clips=[clip("k", 60, 160), clip("r", 160, 250)],
        decisions=[decision("k"), decision("r", "b.x:low", "a.y:high", "c.z:skipped")],
        manifest=[{"clip_id": "k"}],
    )
    assert told(found) == {
        "kept": {"kept": 4.0}, "rejected": {"b.x:low": 3.6}, "not_candidate": {"no_speech": 2.0, "too_short": 0.4},
    }  # fmt: skip
    (one,) = found.plain()["sources"]
    assert one["outcome"] == "kept" and one["kept_s"] == 4.0
    assert one["reasons"] == {"b.x:low": 3.6, "a.y:high": 3.6, "no_speech": 2.0, "too_short": 0.4}
    assert one["clips"] == [
        {"clip_id": "k", "start_s_in_source": 2.4, "end_s_in_source": 6.4, "kept": True, "reasons": []},
        {
            "clip_id": "r", "start_s_in_source": 6.4, "end_s_in_source": 10.0, "kept": False,
            "reasons": ["b.x:low", "a.y:high"],
        },
    ]  # fmt: skip


def test_where_two_faces_overlap_kept_outweighs_failed_and_failed_outweighs_rejected(folder: Path) -> None:
    found = added_up(
        folder,
        sources=[source(n_frames=200)],
        segments=[segment(0, 200)],
        clips=[clip("k", 50, 100), clip("r", 0, 200), clip("f", 75, 150)],
        decisions=[decision("k"), decision("r", "a.x:low"), decision("f", failure="failed.crash")],
        manifest=[{"clip_id": "k"}],
    )
    assert told(found) == {"kept": {"kept": 2.0}, "rejected": {"a.x:low": 4.0}, "failed": {"failed.crash": 2.0}}
    (one,) = found.plain()["sources"]
    assert one["reasons"] == {"a.x:low": 8.0, "failed.crash": 3.0}
    assert one["failures"] == ["f: reproduce: …"]
    assert [c["reasons"] for c in one["clips"]] == [[], ["a.x:low"], ["failed.crash"]]


def test_two_faces_rejected_for_the_same_reason_at_the_same_time_do_not_count_twice(folder: Path) -> None:
    found = added_up(
        folder,
        sources=[source(n_frames=200)],
        segments=[segment(0, 200)],
        clips=[clip("r", 0, 150), clip("s", 100, 200)],
        decisions=[decision("r", "a.x:low"), decision("s", "a.x:low")],
    )
    assert found.plain()["sources"][0]["reasons"] == {"a.x:low": 8.0}


def test_sources_that_were_not_curated_are_whole_in_their_bucket(folder: Path) -> None:
    found = added_up(
        folder,
        sources=[
            source("d", 100, "duplicate", code="duplicate.bytes", detail="the same bytes as a.mp4"),
            source("r", 75, "rejected", code="source.no_audio", detail="no audio stream"),
            source("unread-1", 0, "failed", code="failed.unreadable", detail="not a readable video file"),
        ],
    )
    assert {b: s for b, s in found.seconds().items() if s} == {"duplicate": 4.0, "rejected": 3.0}
    assert [(s["outcome"], s["sha256"], s["reasons"]) for s in found.plain()["sources"]] == [
        ("duplicate", "d", {"duplicate.bytes": 4.0}),
        ("rejected", "r", {"source.no_audio": 3.0}),
        ("failed", None, {"failed.unreadable": 0.0}),
    ]
    assert "failed.unreadable  unread-1.mp4  not a readable video file" in funnel(found)


def test_a_failed_segment_and_a_hole_are_failed_and_the_reproduce_command_is_shown(folder: Path) -> None:
    found = added_up(
        folder,
        sources=[source(n_frames=300)],
        segments=[segment(0, 200, "failed"), segment(200, 300, "done", (200, 300, "failed.corrupt"))],
    )
    assert told(found) == {"failed": {"failed.crash": 8.0, "failed.corrupt": 4.0}}
    assert found.sources[0].outcome == "failed"
    assert "a.mp4  reproduce: …" in funnel(found)


def test_what_an_interrupted_run_left_undone_is_not_yet(folder: Path) -> None:
    """Pending segments, clips kept but in no shard, and clips of which only skipped scores speak."""
    found = added_up(
        folder,
        sources=[source(n_frames=400)],
        segments=[segment(0, 300), segment(300, 400, "pending", (300, 350, "no_speech"))],
        clips=[clip("k", 0, 100), clip("n", 100, 200), clip("s", 200, 300)],
        decisions=[decision("k"), decision("n"), decision("s", "a.x:skipped", "b.y:skipped")],
        manifest=[{"clip_id": "k"}],
    )
    assert told(found) == {
        "kept": {"kept": 4.0}, "not_yet": {"not_packed": 4.0, "not_measured": 4.0, "not_yet": 4.0},
    }  # fmt: skip
    assert found.sources[0].outcome == "not_yet"
    assert [c["kept"] for c in found.plain()["sources"][0]["clips"]] == [True, False, False]


def test_without_a_manifest_nothing_is_kept_yet(tmp_path: Path) -> None:
    found = added_up(
        tmp_path, sources=[source()], segments=[segment(0, 250)], clips=[clip("k", 0, 250)], decisions=[decision("k")]
    )
    assert told(found) == {"not_yet": {"not_packed": 10.0}}


@pytest.mark.parametrize("rest_s", [0.0199, -0.0199, 0.004, 1e-9])
def test_a_rest_under_one_frame_is_accounted_for_too(folder: Path, rest_s: float) -> None:
    found = added_up(
        folder,
        sources=[source(duration_s=10 + rest_s)],
        segments=[segment(0, 250, "done", (0, 250, "no_speech"))],
    )
    assert sum(found.seconds().values()) == pytest.approx(10 + rest_s, abs=1e-9)
    assert found.seconds()["not_candidate"] == pytest.approx(10 + rest_s, abs=1e-9)


def test_a_clip_without_a_decision_is_refused_as_of_another_run(folder: Path) -> None:
    with pytest.raises(DatasetError, match="clip k of .* has no decision; run the same command again"):
        added_up(folder, sources=[source()], segments=[segment(0, 250)], clips=[clip("k", 0, 250)])


@pytest.mark.parametrize(
    "rows",
    [
        {"segments": [segment(0, 250, "done", (0, 260, "no_speech"))]},
        {"segments": [segment(0, 300, "failed")]},
        {
            "segments": [segment(0, 250)], "clips": [clip("k", 200, 260)], "decisions": [decision("k")],
            "manifest": [{"clip_id": "k"}],
        },
    ],
    ids=["stretch", "segment", "clip"],
)  # fmt: skip
def test_tables_that_reach_beyond_the_source_are_refused(folder: Path, rows: dict[str, list[Row]]) -> None:
    with pytest.raises(DatasetError, match=r"a\.mp4 does not add up.*not of one run"):
        added_up(folder, sources=[source()], **rows)


CODES = ("a.x:low", "b.y:high", "c.z:unmeasurable", "d.w:skipped")


@st.composite
def datasets(draw: st.DrawFn) -> dict[str, list[Row]]:
    """Tables as an interrupted or finished run may leave them."""
    rows: dict[str, list[Row]] = {name: [] for name in COLUMNS}
    for name in draw(st.lists(st.sampled_from("abc"), unique=True)):
        n_frames = draw(st.integers(1, 120))
        rest_s = draw(st.floats(-0.5, 0.5)) / 25
        outcome = draw(st.sampled_from(["ready", "ready", "ready", "duplicate", "rejected", "failed"]))
        about = {"duration_s": n_frames / 25 + rest_s, "code": None if outcome == "ready" else f"{outcome}.code"}
        rows["sources"].append(source(name, n_frames, outcome, **about))
        if outcome != "ready":
            continue
        edges = sorted({0, n_frames, *draw(st.lists(st.integers(0, n_frames), max_size=2))})
        for start, end in itertools.pairwise(edges):
            state = draw(st.sampled_from(["done", "done", "failed", "pending"]))
            inner = sorted({start, end, *draw(st.lists(st.integers(start, end), max_size=4))})
            parts = [
                (a, b, draw(st.sampled_from(["no_speech", "no_face", "failed.corrupt", None])))
                for a, b in itertools.pairwise(inner)
            ]
            rows["segments"].append(segment(start, end, state, *(p for p in parts if p[2] is not None), of=name))
            for a, b, code in parts:
                if code is None:
                    _draw_clips(draw, rows, f"{name}-{start}", a, b)
    return rows


def _draw_clips(draw: st.DrawFn, rows: dict[str, list[Row]], of: str, start: int, end: int) -> None:
    """One clip that fills the part, and perhaps others over it."""
    more = draw(st.lists(st.tuples(st.integers(start, end), st.integers(start, end)), max_size=2))
    for a, b in [(start, end), *((min(ab), max(ab)) for ab in more)]:
        name = f"clip-{len(rows['clips'])}"
        rows["clips"].append(clip(name, a, b, of))
        codes = draw(st.lists(st.sampled_from(CODES), unique=True, max_size=3))
        failure = draw(st.none() | st.just("failed.crash"))
        rows["decisions"].append(decision(name, *codes, failure=failure))
        if rows["decisions"][-1]["kept"] and draw(st.booleans()):
            rows["manifest"].append({"clip_id": name})


def bucket_of(frame: int, rows: dict[str, list[Row]], name: str) -> str:
    """The bucket of one frame, worked out the long way round."""
    part = next(s for s in rows["segments"] if s["source_id"] == name and s["start_frame"] <= frame < s["end_frame"])
    if part["state"] != "done":
        return "failed" if part["state"] == "failed" else "not_yet"
    claims = set()
    packed = {row["clip_id"] for row in rows["manifest"]}
    judged = {row["clip_id"]: row for row in rows["decisions"]}
    for c in rows["clips"]:
        if c["segment_id"] == part["segment_id"] and c["start_frame"] <= frame < c["end_frame"]:
            d = judged[c["clip_id"]]
            skipped_only = d["reasons"] and all(r["code"].endswith(":skipped") for r in d["reasons"])
            if d["failure"]:
                claims.add("failed")
            elif d["kept"]:
                claims.add("kept" if c["clip_id"] in packed else "not_yet")
            else:
                claims.add("not_yet" if skipped_only else "rejected")
    for strongest in ("kept", "failed", "not_yet", "rejected"):
        if strongest in claims:
            return strongest
    stretch = next(s for s in part["stretches"] if s["start_frame"] <= frame < s["end_frame"])
    return "failed" if stretch["code"].startswith("failed") else "not_candidate"


@given(datasets())
def test_buckets_sum_to_the_footage_and_causes_to_their_buckets(folder: Path, rows: dict[str, list[Row]]) -> None:
    found = added_up(folder, **rows)
    footage_s = sum(s["duration_s"] for s in rows["sources"])
    seconds = found.seconds()
    assert found.footage_s == pytest.approx(footage_s, abs=1e-9)
    assert sum(seconds.values()) == pytest.approx(footage_s, abs=1e-6)
    assert min(seconds.values()) > -1e-9
    why = found.why()
    assert {b: pytest.approx(sum(codes.values()), abs=1e-6) for b, codes in why.items()} == {b: seconds[b] for b in why}
    assert not any(seconds[b] for b in set(BUCKETS) - set(why))
    assert json.loads(json.dumps(found.plain())) == found.plain()
    check_long_way_round(found, rows)


def check_long_way_round(found: Account, rows: dict[str, list[Row]]) -> None:
    for about, got in zip(rows["sources"], found.sources, strict=True):
        if about["outcome"] != "ready":
            continue
        expected = Counter(bucket_of(frame, rows, about["source_id"]) for frame in range(about["n_frames"]))
        rest_s = about["duration_s"] - about["n_frames"] / 25
        for bucket in BUCKETS:
            assert got.seconds[bucket] == pytest.approx(expected[bucket] / 25, abs=abs(rest_s) + 1e-6)


def percentages(text: str) -> Sequence[float]:
    return [float(word.rstrip("%")) for word in text.split() if word.endswith("%")]


def test_the_funnel_shows_each_bucket_its_share_and_its_causes(folder: Path) -> None:
    found = added_up(
        folder,
        sources=[source(n_frames=25000)],
        segments=[segment(0, 25000, "done", (0, 5000, "no_speech"))],
        clips=[clip("k", 5000, 20000), clip("r", 20000, 25000)],
        decisions=[decision("k"), decision("r", "a.x:low")],
        manifest=[{"clip_id": "k"}],
    )
    text = funnel(found)
    assert text.startswith("footage 16.7 min   sources 1   segments 1   clips 2   kept clips 1")
    assert percentages(text) == [60.0, 20.0, 20.0]
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("    ")] == ["a.x:low", "no_speech"]


def test_nothing_at_all_adds_up_to_nothing(folder: Path) -> None:
    found = added_up(folder)
    assert sum(found.seconds().values()) == 0 == found.footage_s
    assert funnel(found).startswith("footage 0.0 s")
