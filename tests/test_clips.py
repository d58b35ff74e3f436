"""Still crops and the runs of frames that one of them can frame."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
from hand_made import make_segment, make_source
from hypothesis import given
from hypothesis import strategies as st

from vividhead.clips import HEAD_MARGIN, ClipCutter, Draft, clip_of, still_crop
from vividhead.pipeline import Clips
from vividhead.records import Box

OPTIONS = Clips(min_s=0.4, max_s=4.0, crop_scale=2.2, max_zoom=1.6)
SIZE = (1280, 720)


def face_at(x: float, y: float, side: float) -> Box:
    """The square face box with this centre."""
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def drafts_of(boxes: Sequence[Box], size: tuple[int, int] = SIZE, start: int = 0) -> list[Draft[int]]:
    cutter: ClipCutter[int] = ClipCutter(OPTIONS, *size)
    ended = [cutter.add(start + i, box, partial(int, start + i)) for i, box in enumerate(boxes)]
    return [draft for draft in [*ended, cutter.close()] if draft is not None]


def spans(drafts: Sequence[Draft[int]]) -> list[tuple[int, int]]:
    return [(draft.start_frame, draft.end_frame) for draft in drafts]


def is_still_square_in(crop: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    x0, y0, x1, y1 = crop
    inside = 0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]
    return inside and x1 - x0 == y1 - y0 and not any(edge % 2 for edge in crop)


EVEN = st.integers(48, 1000).map(lambda half: 2 * half)


@given(st.tuples(EVEN, EVEN), st.floats(-0.2, 1.2), st.floats(-0.2, 1.2), st.floats(8, 900), st.floats(1.2, 6))
def test_a_crop_is_an_even_square_inside_the_picture(
    size: tuple[int, int], x: float, y: float, side: float, scale: float
) -> None:
    crop = still_crop(face_at(x * size[0], y * size[1], side), side, scale, size)
    assert is_still_square_in(crop, size)
    assert crop[2] - crop[0] == pytest.approx(min(side * scale, *size), abs=2)


def test_a_face_with_room_around_it_sits_in_the_middle_a_little_low() -> None:
    assert still_crop(face_at(640, 360, 100), 100, 2.2, SIZE) == (530, 242, 750, 462)


def test_a_crop_is_shifted_not_shrunk_at_the_pictures_border() -> None:
    assert still_crop(face_at(30, 700, 100), 100, 2.2, SIZE) == (0, 500, 220, 720)


WALK = st.lists(st.tuples(st.floats(-12, 12), st.floats(-8, 8), st.floats(0.96, 1.04)), min_size=1, max_size=150)


@given(WALK, st.sampled_from([(1280, 720), (360, 288), (480, 854), (224, 224)]))
def test_drafts_of_any_walk_hold_every_frame_once_and_every_face_in_their_crop(
    walk: list[tuple[float, float, float]], size: tuple[int, int]
) -> None:
    x, y, side = size[0] / 2, size[1] / 2, 90.0
    boxes = []
    for dx, dy, zoom in walk:
        side = min(max(40.0, side * zoom), min(size) / 2)
        x = min(max(side / 2, x + dx), size[0] - side / 2)
        y = min(max(side / 2, y + dy), size[1] - side / 2)
        boxes.append(face_at(x, y, side))
    drafts = drafts_of(boxes, size, start=1000)
    assert [face for draft in drafts for face in draft.faces] == list(range(1000, 1000 + len(boxes)))
    for draft in drafts:
        assert len(draft.faces) == len(draft.boxes) <= OPTIONS.max_s * 25
        assert draft.faces[0] == draft.start_frame
        assert is_still_square_in(draft.crop_xyxy_px, size)
        x0, y0, x1, y1 = draft.crop_xyxy_px
        sides = [box[3] - box[1] for box in draft.boxes]
        assert max(sides) <= min(sides) * OPTIONS.max_zoom
        for box in draft.boxes:
            assert box[0] >= x0 - 1e-6 and box[1] >= y0 - 1e-6
            assert box[2] <= x1 + 1e-6 and box[3] <= y1 + 1e-6


def test_a_face_that_sits_still_is_one_clip_framed_by_its_size() -> None:
    (draft,) = drafts_of([face_at(640, 360, 100)] * 80)
    assert spans([draft]) == [(0, 80)]
    assert draft.crop_xyxy_px == (530, 242, 750, 462)


def test_a_clip_ends_at_its_greatest_length_and_the_next_begins_on_the_next_frame() -> None:
    assert spans(drafts_of([face_at(640, 360, 100)] * 230)) == [(0, 100), (100, 200), (200, 230)]


def test_a_clip_ends_when_the_face_has_grown_by_more_than_the_zoom() -> None:
    sizes = [100.0] * 30 + [159.0] * 10 + [161.0] * 30
    assert spans(drafts_of([face_at(640, 360, s) for s in sizes])) == [(0, 40), (40, 70)]


def test_a_clip_ends_on_the_frame_where_the_head_leaves_every_crop_that_held_it_so_far() -> None:
    walk = [face_at(400 + 4 * i, 360, 100) for i in range(50)]
    first, second = drafts_of(walk)
    reach = walk[first.end_frame - 1][2] - walk[0][0]
    side = first.crop_xyxy_px[2] - first.crop_xyxy_px[0]
    assert reach + 2 * 100 * HEAD_MARGIN <= side < reach + 4 + 2 * 100 * HEAD_MARGIN
    assert first.end_frame == second.start_frame and second.end_frame == 50


def test_at_the_pictures_own_edge_a_face_may_be_cut_as_it_was_filmed() -> None:
    half_out = face_at(20, 360, 100)
    (draft,) = drafts_of([half_out] * 30)
    assert draft.crop_xyxy_px[0] == 0


def test_a_face_as_large_as_the_picture_gives_the_whole_picture() -> None:
    (draft,) = drafts_of([face_at(160, 120, 200)] * 20, size=(240, 240))
    assert draft.crop_xyxy_px == (0, 0, 240, 240)


def test_frames_that_do_not_follow_each_other_are_not_one_clip() -> None:
    cutter: ClipCutter[str] = ClipCutter(OPTIONS, *SIZE)
    assert cutter.add(10, face_at(640, 360, 100), lambda: "a") is None
    ended = cutter.add(12, face_at(640, 360, 100), lambda: "b")
    assert ended is not None and (ended.start_frame, ended.faces) == (10, ["a"])
    rest = cutter.close()
    assert rest is not None and (rest.start_frame, rest.faces) == (12, ["b"])
    assert cutter.close() is None


def test_faces_let_go_of_are_cut_no_more_until_the_next_draft() -> None:
    cutter: ClipCutter[int] = ClipCutter(OPTIONS, *SIZE)
    cut: list[int] = []

    def add(frame: int) -> Draft[int] | None:
        return cutter.add(frame, face_at(640, 360, 100), lambda: cut.append(frame) or frame)  # type: ignore[func-returns-value]

    assert add(0) is None and cutter.draft is not None
    cutter.draft.drop_faces()
    assert add(1) is None
    ended = add(5)
    assert ended is not None and (len(ended.boxes), ended.faces, ended.has_faces) == (2, [], False)
    rest = cutter.close()
    assert rest is not None and (rest.start_frame, rest.faces, rest.has_faces) == (5, [5], True)
    assert cut == [0, 5]


def test_a_clips_id_is_its_contents() -> None:
    segment = make_segment(make_source())
    draft = Draft(10, (0, 0, 200, 200), [face_at(100, 100, 80)] * 90, [0] * 90)
    clip = clip_of(draft, segment, track=3, shot=1)
    assert (clip.start_frame, clip.end_frame, clip.crop_xyxy_px) == (10, 100, (0, 0, 200, 200))
    assert clip_of(draft, segment, track=4, shot=2).clip_id == clip.clip_id
    others = [
        clip_of(replace(draft, start_frame=11), segment, 3, 1),
        clip_of(replace(draft, crop_xyxy_px=(0, 0, 202, 202)), segment, 3, 1),
        clip_of(draft, make_segment(make_source("other")), 3, 1),
    ]
    assert len({clip.clip_id, *(other.clip_id for other in others)}) == 4
