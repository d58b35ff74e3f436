"""Tracks and shots on scripted footage: drawn pictures, and a detector that says what the script says."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_film import FACE, Film

from vividhead.pipeline import Track
from vividhead.records import Box
from vividhead.track import ShotFinder, Sighting, Watched, Watcher, iou, smoothed_box

OPTIONS = Track(detect_every_frames=5, search_every_frames=25, max_gap_frames=20, min_face_px=40)


def watched(film: Film, options: Track = OPTIONS) -> tuple[Watcher, list[Watched]]:
    watcher = Watcher(options, film)  # type: ignore[arg-type]
    return watcher, list(watcher.watch(film.frames()))


def spans(seen: Sequence[Watched]) -> dict[int, tuple[int, int, int]]:
    """Track → its first frame, its last, and how many it has."""
    out: dict[int, list[int]] = {}
    for frame in seen:
        for track in frame.boxes:
            out.setdefault(track, []).append(frame.frame)
    return {track: (frames[0], frames[-1], len(frames)) for track, frames in out.items()}


def test_a_face_that_stays_is_one_track_from_the_first_frame_to_the_last() -> None:
    watcher, seen = watched(Film(100))
    assert [w.frame for w in seen] == list(range(100))
    assert spans(seen) == {0: (0, 99, 100)}
    assert {w.boxes[0] for w in seen} == {FACE}
    assert watcher.cuts == [] and watcher.shot_of == {0: 0}


def test_a_cut_ends_the_track_and_the_next_begins_on_that_frame() -> None:
    watcher, seen = watched(Film(100, cuts=[43]))
    assert watcher.cuts == [43]
    assert spans(seen) == {0: (0, 42, 43), 1: (43, 99, 57)}
    assert watcher.shot_of == {0: 0, 1: 1}


@pytest.mark.parametrize("cut", [1, 2, 3, 96, 97, 98, 99])
def test_a_cut_at_the_very_ends_of_a_span_is_found_too(cut: int) -> None:
    watcher, seen = watched(Film(100, cuts=[cut]))
    assert watcher.cuts == [cut]
    assert all(not first < cut <= last for first, last, _ in spans(seen).values())


def test_a_face_on_one_side_of_a_cut_only_is_not_carried_over_it() -> None:
    _, seen = watched(Film(100, faces=lambda frame: [FACE] if frame >= 43 else [], cuts=[43]))
    assert spans(seen) == {0: (43, 99, 57)}
    _, seen = watched(Film(100, faces=lambda frame: [FACE] if frame < 43 else [], cuts=[43]))
    assert spans(seen) == {0: (0, 42, 43)}


def test_footage_of_few_pictures_a_second_is_cut_on_the_grid_frame_that_first_shows_the_new_shot() -> None:
    watcher, seen = watched(Film(100, cuts=[52], every=2))
    assert watcher.cuts == [52]
    assert spans(seen) == {0: (0, 51, 52), 1: (52, 99, 48)}


@pytest.mark.parametrize("seed", range(4))
def test_the_measure_of_change_is_pyscenedetects_own_to_the_last_bit(seed: int) -> None:
    from scenedetect import AdaptiveDetector, FrameTimecode

    rng = np.random.default_rng(seed)
    ours = ShotFinder(OPTIONS)._detector
    theirs = AdaptiveDetector(
        adaptive_threshold=OPTIONS.cut_adaptive_threshold, min_content_val=OPTIONS.cut_min_content, min_scene_len=3
    )
    scene_HWC = rng.integers(0, 256, (72, 128, 3))
    found = []
    for frame in range(40):
        if frame in (13, 26):
            scene_HWC = rng.integers(0, 256, (72, 128, 3))
        picture_HWC = np.clip(scene_HWC + rng.integers(-5, 6, scene_HWC.shape), 0, 255).astype(np.uint8)
        code = FrameTimecode(frame, fps=25.0)
        found.append((ours.process_frame(code, picture_HWC), ours._frame_score))
        assert found[-1] == (theirs.process_frame(code, picture_HWC), theirs._frame_score)
    assert [cut.frame_num for cuts, _ in found for cut in cuts] == [13, 26]
    assert ours._last_frame is None, "PySceneDetect's slower way is not taken"


def test_pictures_that_all_differ_are_one_shot_also_when_each_is_shown_for_a_while() -> None:
    watcher, seen = watched(Film(100, cuts=range(4, 100, 4), every=4))
    assert watcher.cuts == []
    assert spans(seen) == {0: (0, 99, 100)}


def unseen(*frames: int) -> Callable[[int], list[Box]]:
    return lambda frame: [] if frame in frames else [FACE]


def test_a_gap_in_the_looks_up_to_max_gap_frames_is_bridged() -> None:
    _, seen = watched(Film(100, faces=unseen(25, 30, 35)))  # seen at 20 and 40
    assert spans(seen) == {0: (0, 99, 100)}


def test_a_longer_gap_ends_the_track_on_the_frame_after_it_was_last_seen() -> None:
    watcher, seen = watched(Film(100, faces=unseen(25, 30, 35, 40)))  # seen at 20 and 45
    assert spans(seen) == {0: (0, 20, 21), 1: (45, 99, 55)}
    assert watcher.shot_of == {0: 0, 1: 0}


def test_while_no_face_is_in_view_the_detector_looks_less_often() -> None:
    watcher, _ = watched(Film(200, faces=lambda frame: [FACE] if frame >= 150 else []))
    assert [look.frame for look in watcher.looks] == [0, 25, 50, 75, 100, 125, *range(150, 200, 5)]


def test_a_cut_is_looked_at_at_once_while_searching() -> None:
    watcher, seen = watched(Film(100, faces=lambda frame: [FACE] if frame >= 30 else [], cuts=[30]))
    assert [look.frame for look in watcher.looks][:4] == [0, 25, 32, 37]
    assert spans(seen) == {0: (30, 99, 70)}


def test_two_faces_that_cross_keep_their_tracks() -> None:
    def faces(frame: int) -> list[Box]:
        left, right = (
            (10.0 + 2 * frame, 20.0, 110.0 + 2 * frame, 120.0),
            (210.0 - 2 * frame, 90.0, 310.0 - 2 * frame, 190.0),
        )
        return [left, right] if frame % 2 else [right, left]  # the detector's order says nothing

    _, seen = watched(Film(100, faces=faces))
    assert spans(seen) == {0: (0, 99, 100), 1: (0, 99, 100)}
    for frame in seen[20:80]:
        centres = {track: ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for track, b in frame.boxes.items()}
        assert centres[0] == pytest.approx((260 - 2 * frame.frame, 140), abs=0.5)
        assert centres[1] == pytest.approx((60 + 2 * frame.frame, 70), abs=0.5)


def test_a_face_elsewhere_is_another_track() -> None:
    jump = (210.0, 60.0, 310.0, 160.0)
    _, seen = watched(Film(100, faces=lambda frame: [FACE] if frame < 50 else [jump]))
    assert spans(seen) == {0: (0, 45, 46), 1: (50, 99, 50)}


def test_a_face_too_small_starts_no_track_but_is_in_the_record() -> None:
    small = (100.0, 60.0, 139.0, 99.0)
    watcher, seen = watched(Film(50, faces=lambda frame: [FACE, small]))
    assert spans(seen) == {0: (0, 49, 50)}
    assert {(look.faces[1][0], look.tracks[1]) for look in watcher.looks} == {(small, None)}


def test_a_hole_in_the_footage_ends_tracks_and_begins_a_new_shot() -> None:
    watcher, seen = watched(Film(100, holes=range(50, 60)))
    assert [w.frame for w in seen] == list(range(100))
    assert spans(seen) == {0: (0, 49, 50), 1: (60, 99, 40)}
    assert all(w.picture is None and not w.boxes for w in seen[50:60])
    assert watcher.shot_of == {0: 0, 1: 1}
    assert watcher.cuts == []


def test_a_span_that_begins_with_a_hole_begins_with_shot_0() -> None:
    watcher, seen = watched(Film(60, holes=range(10)))
    assert spans(seen) == {0: (10, 59, 50)}
    assert watcher.shot_of == {0: 0}


def test_numbers_of_tracks_and_shots_go_on_from_span_to_span() -> None:
    first, second = Film(40), Film(40, start=500)
    watcher = Watcher(OPTIONS, first)  # type: ignore[arg-type]
    list(watcher.watch(first.frames()))
    assert [look.frame for look in watcher.looks] == list(range(0, 40, 5))
    watcher.next_span()
    watcher._detector = second  # type: ignore[assignment]
    seen = list(watcher.watch(second.frames()))
    assert spans(seen) == {1: (500, 539, 40)}
    assert watcher.shot_of == {0: 0, 1: 1}
    assert [look.frame for look in watcher.looks] == list(range(500, 540, 5))


SCRIPT = st.fixed_dictionaries(
    {
        "detect_every_frames": st.integers(1, 10),
        "max_gap_frames": st.integers(10, 30) | st.sampled_from([0, 1, 5]),
        "hidden": st.lists(st.tuples(st.integers(0, 110), st.integers(1, 40)), max_size=3),
        "speed": st.floats(-1.2, 1.2),
        "cuts": st.lists(st.integers(1, 119), max_size=2),
        "holes": st.lists(st.integers(0, 119), max_size=2),
    }
)


@settings(max_examples=25)
@given(SCRIPT)
def test_every_frame_comes_once_and_its_boxes_can_be_made_again_from_the_looks(script: dict[str, Any]) -> None:
    def faces(frame: int) -> list[Box]:
        x = 120 + script["speed"] * (frame - 60)
        hidden = any(a <= frame < a + n for a, n in script["hidden"])
        return [] if hidden else [(x, 60.0, x + 80, 150.0)]

    gap = max(script["max_gap_frames"], script["detect_every_frames"])
    options = replace(OPTIONS, detect_every_frames=script["detect_every_frames"], max_gap_frames=gap)
    watcher, seen = watched(Film(120, faces, script["cuts"], script["holes"]), options)
    assert [w.frame for w in seen] == list(range(120))
    sightings: dict[int, list[Sighting]] = {}
    for look in watcher.looks:
        for (box, _), track in zip(look.faces, look.tracks, strict=True):
            assert track is not None
            sightings.setdefault(track, []).append(Sighting(look.frame, box))
    for frame in seen:
        assert frame.boxes == {track: smoothed_box(sightings[track], frame.frame) for track in frame.boxes}
    for track, (first, last, count) in spans(seen).items():
        assert count == last - first + 1, "a track has no holes"
        assert not any(first < edge <= last for edge in [*watcher.cuts, *script["holes"]]), f"track {track} spans a cut"


def test_a_smoothed_box_is_square_around_the_same_centre() -> None:
    assert smoothed_box([Sighting(0, (10, 20, 50, 80))], 3) == (0.0, 20.0, 60.0, 80.0)


def test_smoothing_does_not_lag_behind_a_steady_motion() -> None:
    walk = [Sighting(f, (2.0 * f, 0.0, 2.0 * f + 40, 40.0)) for f in range(0, 61, 5)]
    x0, y0, x1, y1 = smoothed_box(walk, 30)
    assert ((x0 + x1) / 2, y0, y1 - y0, x1 - x0) == pytest.approx((80, 0, 40, 40), abs=0.01)


def test_smoothing_quietens_a_detector_that_flickers() -> None:
    flicker = [Sighting(f, (100.0 + (f % 2) * 4, 0.0, 140.0 + (f % 2) * 4, 40.0)) for f in range(60)]
    x0 = [smoothed_box(flicker, f)[0] for f in range(15, 45)]
    assert max(x0) - min(x0) < 0.1


def test_in_the_middle_of_a_bridged_gap_the_box_is_between_the_two_sides() -> None:
    sides = [Sighting(0, (0.0, 0.0, 40.0, 40.0)), Sighting(40, (80.0, 0.0, 120.0, 40.0))]
    assert smoothed_box(sides, 20) == (40.0, 0.0, 80.0, 40.0)


BOX = st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(51, 100)] * 2).map(lambda b: (b[0], b[1], b[2], b[3]))


@given(BOX, BOX)
def test_overlap_is_symmetric_in_0_to_1_and_1_of_a_box_with_itself(a: Box, b: Box) -> None:
    assert 0 <= iou(a, b) == iou(b, a) <= 1
    assert iou(a, a) == 1


def test_overlap_of_known_boxes() -> None:
    assert iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert iou((0, 0, 2, 2), (2, 0, 4, 2)) == 0
