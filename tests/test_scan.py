"""Spans and stretches: set algebra on frames, and what sound and key frames say of a segment."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hand_made import PIPELINE, make_segment, make_source
from hypothesis import given
from hypothesis import strategies as st

import vividhead.scan as room
from vividhead.pipeline import Pipeline
from vividhead.records import GRID_FPS, Source
from vividhead.scan import Scan, Span, merge, scan, subtract, widen

SPAN = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda ab: (min(ab), max(ab)))
SPANS = st.lists(SPAN, max_size=8)


def frames(spans: Sequence[Span]) -> set[int]:
    return {frame for a, b in spans for frame in range(a, b)}


def is_tidy(spans: Sequence[Span]) -> bool:
    """Sorted, disjoint, not touching, none empty."""
    edges = [edge for span in spans for edge in span]
    return edges == sorted(set(edges))


@given(SPANS)
def test_merge_holds_the_same_frames_in_tidy_spans(spans: list[Span]) -> None:
    merged = merge(spans)
    assert frames(merged) == frames(spans)
    assert is_tidy(merged)


@given(SPANS, SPANS)
def test_subtract_takes_just_the_holes_away(spans: list[Span], holes: list[Span]) -> None:
    rest = subtract(merge(spans), merge(holes))
    assert frames(rest) == frames(spans) - frames(holes)
    assert all(a < b for a, b in rest)


@given(SPAN, SPANS)
def test_subtract_bears_holes_that_overlap(span: Span, holes: list[Span]) -> None:
    rest = subtract([span], sorted(holes))
    assert frames(rest) == frames([span]) - frames(holes)


def test_widen_bridges_short_silences_pads_and_stays_within_the_segment() -> None:
    heard = [(1.0, 2.0), (4.0, 5.0), (7.0, 7.3), (99.0, 120.0)]
    assert widen(heard, bridge_s=2.0, pad_s=1.0, start=10, end=2500) == [(10, 208), (2450, 2500)]
    assert widen(heard, bridge_s=1.0, pad_s=0.0, start=0, end=2500) == [(25, 50), (100, 125), (175, 183), (2475, 2500)]


def test_a_silence_of_just_the_bridged_length_is_bridged() -> None:
    assert widen([(1.0, 2.0), (4.0, 5.0)], bridge_s=2.0, pad_s=0.0, start=0, end=250) == [(25, 125)]
    assert widen([(1.0, 2.0), (4.1, 5.0)], bridge_s=2.0, pad_s=0.0, start=0, end=250) == [(25, 50), (102, 125)]


def test_widened_spans_that_come_to_touch_become_one() -> None:
    assert widen([(1.0, 2.0), (4.5, 5.0)], bridge_s=0.5, pad_s=1.5, start=0, end=250) == [(0, 163)]


def test_speech_outside_the_segment_gives_no_span() -> None:
    assert widen([(1.0, 2.0)], bridge_s=1.0, pad_s=0.5, start=100, end=200) == []


def scanned(
    speech_s: Sequence[tuple[float, float]],
    looks: Sequence[tuple[float, bool]],
    start: int = 0,
    pipeline: Pipeline = PIPELINE,
) -> Scan:
    """Scan 20 s of footage that begins at frame `start`, with this speech and these key frames (face or none)."""
    source = make_source(seconds=start / GRID_FPS + 20.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "sound", lambda path, source, a, b: np.zeros(1, np.float32))
        patch.setattr(room, "speech_spans_s", lambda *given: speech_s)
        patch.setattr(
            room, "key_frames",
            lambda path, source, a, b, gap_s: [(t, seen) for t, seen in looks if a / GRID_FPS <= t < b / GRID_FPS],
        )  # fmt: skip
        patch.setattr(room, "Planes", lambda picture: SimpleNamespace(thumbnail_HWC=lambda width_px: picture))
        patch.setattr(room, "detector", lambda least: SimpleNamespace(detect=lambda seen: ["a face"] * seen))
        return scan(Path("film.mp4"), source, make_segment(source, start), pipeline, lambda: None)


TIME_S = st.integers(0, 200).map(lambda tenths: tenths / 10)
SPEECH = st.lists(st.tuples(TIME_S, TIME_S).filter(lambda ab: ab[0] < ab[1]), max_size=5).map(sorted)
LOOKS = st.lists(st.tuples(TIME_S, st.booleans()), max_size=12, unique_by=lambda look: look[0]).map(sorted)


@given(SPEECH, LOOKS)
def test_spans_and_stretches_cover_the_segment_exactly_once(
    speech: list[tuple[float, float]], looks: list[tuple[float, bool]]
) -> None:
    found = scanned(speech, looks)
    parts = [*found.spans, *((s.start_frame, s.end_frame) for s in found.stretches)]
    covered = [frame for a, b in parts for frame in range(a, b)]
    assert sorted(covered) == list(range(500))
    assert all(b - a >= 75 for a, b in found.spans)
    assert {s.code for s in found.stretches} <= {"no_speech", "no_face", "too_short"}


def by_code(found: Scan) -> dict[str, list[Span]]:
    out: dict[str, list[Span]] = {"span": list(found.spans)}
    for stretch in found.stretches:
        out.setdefault(stretch.code, []).append((stretch.start_frame, stretch.end_frame))
    return out


def test_speech_with_a_face_is_a_span_and_the_rest_is_silence() -> None:
    found = scanned([(5.0, 10.0)], [(5.0, True), (7.0, True)])
    assert by_code(found) == {"span": [(100, 275)], "no_speech": [(0, 100), (275, 500)]}


def test_time_between_two_near_looks_without_a_face_has_no_face() -> None:
    found = scanned([(0.0, 20.0)], [(4.0, True), (8.0, False), (10.0, False), (14.0, True)])
    assert by_code(found) == {"span": [(0, 200), (250, 500)], "no_face": [(200, 250)]}


def test_looks_too_far_apart_say_nothing_of_the_time_between() -> None:
    found = scanned([(0.0, 20.0)], [(4.0, False), (8.0, False)])
    assert by_code(found) == {"span": [(0, 500)]}


def test_what_is_left_between_faceless_stretches_may_be_too_short() -> None:
    looks = [(0.0, False), (2.0, False), (4.0, False), (4.5, True), (6.0, False), (8.0, False)]
    assert by_code(scanned([(0.0, 20.0)], looks)) == {
        "no_face": [(0, 100), (150, 200)], "too_short": [(100, 150)], "span": [(200, 500)],
    }  # fmt: skip


def test_a_later_segment_is_told_in_the_sources_own_time() -> None:
    found = scanned([(5.0, 10.0)], [], start=1000)
    assert by_code(found) == {"span": [(1100, 1275)], "no_speech": [(1000, 1100), (1275, 1500)]}
    assert found.speech_s_in_source == ((45.0, 50.0),)


def test_the_least_length_of_a_span_is_the_clips() -> None:
    longer = replace(PIPELINE, clips=replace(PIPELINE.clips, min_s=8.0))
    assert by_code(scanned([(5.0, 10.0)], [], pipeline=longer)) == {
        "no_speech": [(0, 100), (275, 500)], "too_short": [(100, 275)], "span": [],
    }  # fmt: skip


@pytest.mark.parametrize(("torn", "code"), [(True, "failed.truncated"), (False, "no_picture")])
def test_time_after_the_last_picture_is_told_before_speech_is_considered(torn: bool, code: str) -> None:
    source = make_source(seconds=20.0, pictures_end_frame=200, torn=torn)
    heard: list[tuple[int, int]] = []

    def listen(path: Path, source: Source, start: int, end: int) -> np.ndarray:
        heard.append((start, end))
        return np.zeros((end - start) * 640, np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "sound", listen)
        whole = scan(Path("film.mp4"), source, make_segment(source), PIPELINE, lambda: None)
        after = scan(Path("film.mp4"), source, make_segment(source, 300), PIPELINE, lambda: None)
    assert by_code(whole) == {"span": [], "no_speech": [(0, 200)], code: [(200, 500)]}
    assert by_code(after) == {"span": [], code: [(300, 500)]}
    assert heard == [(0, 200)]
