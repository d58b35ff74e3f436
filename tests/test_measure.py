"""From spans to clips and measurements on scripted footage; scores are stand-ins that note what they were shown."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_made import PIPELINE, SCORES, face_at_least, make_clip, make_segment, make_source, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_film import FACE, HEIGHT, WIDTH, Film

import vividhead.measure as room
from vividhead import score
from vividhead.clip_media import FaceCrop, cut_face
from vividhead.measure import NO_LANDMARK, Measured, Work, measure_more, measure_segment, mesh_in_clip
from vividhead.media import GridFrame
from vividhead.media.decode import DecodeLog, Planes
from vividhead.pipeline import Clips, Track
from vividhead.plain import from_plain, to_plain
from vividhead.policy import Policy
from vividhead.records import Box, Clip, Measurement
from vividhead.scan import Scan

BOUNDS = replace(
    PIPELINE,
    track=Track(detect_every_frames=5, max_gap_frames=20),
    clips=Clips(min_s=1.0, max_s=3.0),
)


@dataclass
class Studio:
    """Scripted footage in place of a file, and stand-ins for the scores."""

    film: Film
    face_px: float = 300
    small_for: int = 0
    """Frames that a clip must have for its face to be larger than one pixel."""
    decode_errors: int = 0
    looks_at_faces: Sequence[str] = SCORES
    """Scores that read the pictures."""
    shown: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """(clip, score) → what the score saw."""
    decoded: list[tuple[int, int]] = field(default_factory=list)
    cut: int = 0
    """Faces cut out of pictures."""

    def cut_face(self, picture: Planes, box: Box, frame: int) -> FaceCrop:
        self.cut += 1
        return cut_face(picture, box, frame)

    def pictures(
        self, path: Path, source: object, start: int, end: int, gap_s: float, log: DecodeLog | None = None
    ) -> Iterator[GridFrame]:
        self.decoded.append((start, end))
        yield from self.film.frames(start, end)
        if log is not None:
            log.errors += self.decode_errors

    def measure(self, name: str, media: Any) -> Measurement:
        clip: Clip = media.clip
        self.shown[clip.clip_id, name] = {
            "boxes": media.box_xyxy_px_T4.tolist(),
            "squares": media.crop_xyxy_px_T4.tolist() if name in self.looks_at_faces else None,
            "pictures": [face_HWC.tobytes() for _, face_HWC in (media.faces() if name in self.looks_at_faces else ())],
            "looked": list(media.detected_frames),
            "others": list(media.others),
            "speech": list(media.speech_spans_s),
            "samples": len(media.audio_S),
        }
        face_px = self.face_px if clip.n_frames >= self.small_for else 1
        return {row.score: row for row in rows_of(clip, face_px=face_px)}[name]

    def work(self, *spans: tuple[int, int], judged_by: Policy | None = None) -> Work:
        source = make_source(seconds=self.film.n_frames / 25, width_px=WIDTH, height_px=HEIGHT)
        scan = Scan(
            spans=spans or ((0, self.film.n_frames),), stretches=(), speech_s_in_source=((0.5, 2.0), (3.0, 5.0))
        )
        policy = judged_by or face_at_least(160)
        return Work(Path("film.mp4"), source, make_segment(source), scan, BOUNDS, policy, lambda: None)

    def __enter__(self) -> "Studio":
        self._patch = patch = pytest.MonkeyPatch()
        patch.setattr(room, "pictures", self.pictures)
        patch.setattr(room, "cut_face", self.cut_face)
        patch.setattr(room, "detector", lambda least: self.film)
        patch.setattr(room, "sound", lambda path, source, a, b: np.zeros(640 * (b - a), np.float32))
        patch.setattr(score, "measure", self.measure)
        patch.setattr(
            score, "loaded_score",
            lambda name: SimpleNamespace(keep=lambda media: {"mark": np.array([len(name)], np.float32)}),
        )  # fmt: skip
        return self

    def __exit__(self, *fault: object) -> None:
        self._patch.undo()


def measured(film: Film, *spans: tuple[int, int], **about: Any) -> Measured:
    with Studio(film, **about) as studio:
        return measure_segment(studio.work(*spans))


def parts(found: Measured) -> dict[str, list[tuple[int, int]]]:
    out: dict[str, list[tuple[int, int]]] = {"clip": [(c.start_frame, c.end_frame) for c in found.clips]}
    for stretch in found.stretches:
        out.setdefault(stretch.code, []).append((stretch.start_frame, stretch.end_frame))
    return out


def test_a_still_face_gives_clips_of_the_greatest_length_and_a_rest() -> None:
    assert parts(measured(Film(200))) == {"clip": [(0, 75), (75, 150), (150, 200)]}


def test_no_clip_spans_a_cut_and_what_is_too_short_is_said() -> None:
    assert parts(measured(Film(100, cuts=[60, 80]))) == {"clip": [(0, 60)], "too_short": [(60, 100)]}


def test_time_without_a_face_and_without_a_picture_is_told_apart() -> None:
    film = Film(120, faces=lambda frame: [FACE] if frame < 40 else [], holes=range(80, 90))
    assert parts(measured(film)) == {"clip": [(0, 36)], "no_face": [(36, 80), (90, 120)], "no_picture": [(80, 90)]}


def test_a_hole_where_the_decoder_stumbled_is_a_failure() -> None:
    found = measured(Film(100, holes=range(50, 60)), decode_errors=3)
    assert parts(found) == {"clip": [(0, 50), (60, 100)], "failed.corrupt": [(50, 60)]}
    assert found.decode_errors == 3


def test_two_faces_give_two_clips_of_the_same_time_that_know_of_each_other() -> None:
    other = (10.0, 20.0, 70.0, 80.0)
    with Studio(Film(60, faces=lambda frame: [FACE, other])) as studio:
        found = measure_segment(studio.work())
        assert parts(found) == {"clip": [(0, 60), (0, 60)]}
        assert found.clips[0].crop_xyxy_px != found.clips[1].crop_xyxy_px
        seen = [studio.shown[clip.clip_id, "framing"]["others"] for clip in found.clips]
    assert [(o.frame, o.height_px) for o in seen[0]] == [(frame, 60.0) for frame in range(0, 60, 5)]
    assert [(o.frame, o.height_px) for o in seen[1]] == [(frame, 100.0) for frame in range(0, 60, 5)]


def test_two_faces_that_share_one_whole_picture_are_one_clip_not_the_same_sample_twice() -> None:
    pair = [(0.0, 10.0, 150.0, 160.0), (150.0, 60.0, 310.0, 220.0)]
    with Studio(Film(60, faces=lambda frame: pair)) as studio:
        work = studio.work()
        square = replace(work.source, width_px=HEIGHT, height_px=HEIGHT)
        found = measure_segment(replace(work, source=square))
    assert len(found.clips) == len({clip.clip_id for clip in found.clips}) == 1
    assert len(found.measurements) == len(SCORES)


def test_a_score_sees_its_clips_own_time_only() -> None:
    with Studio(Film(150)) as studio:
        found = measure_segment(studio.work())
        first, second = (studio.shown[clip.clip_id, "identity"] for clip in found.clips)
    assert first["looked"] == second["looked"] == list(range(0, 75, 5))
    assert first["speech"] == [(0.5, 2.0)]
    assert second["speech"] == [(0.0, 2.0)]
    assert first["samples"] == 75 * 640


@pytest.mark.parametrize(("limit", "kept"), [(160, SCORES), (400, ())])
def test_arrays_are_kept_of_what_was_measured_not_of_what_was_skipped(limit: float, kept: Sequence[str]) -> None:
    with Studio(Film(60)) as studio:
        work = studio.work(judged_by=face_at_least(limit))
        (clip,) = measure_segment(work).clips
    assert sorted(work.arrays) == sorted(f"{clip.clip_id}.{name}.mark" for name in {*kept, "framing"})


SCRIPT = st.fixed_dictionaries(
    {
        "hidden": st.lists(st.tuples(st.integers(0, 190), st.integers(1, 40)), max_size=3),
        "speed": st.floats(-0.8, 0.8),
        "second": st.booleans(),
        "cuts": st.lists(st.integers(1, 199), max_size=2),
        "holes": st.lists(st.integers(0, 199), max_size=3),
    }
)


def film_of(script: dict[str, Any]) -> Film:
    def faces(frame: int) -> list[Box]:
        x = 120 + script["speed"] * (frame - 100)
        hidden = any(a <= frame < a + n for a, n in script["hidden"])
        one, other = (x, 60.0, x + 80, 150.0), (240.0, 20.0, 300.0, 80.0)
        return [*([] if hidden else [one]), *([other] if script["second"] else [])]

    return Film(200, faces, script["cuts"], script["holes"])


@settings(max_examples=12)
@given(SCRIPT, st.booleans())
def test_clips_and_stretches_cover_the_spans_and_clips_measured_later_see_the_very_same(
    script: dict[str, Any], two_spans: bool
) -> None:
    spans = ((0, 90), (100, 200)) if two_spans else ((0, 200),)
    with Studio(film_of(script)) as studio:
        work = studio.work(*spans, judged_by=face_at_least(400))  # 300 px: all dear scores are skipped
        found = from_plain(Measured, to_plain(measure_segment(work)))
        check_cover(found, spans, [*found.cut_frames, *script["holes"]])
        seen = {clip.clip_id: studio.shown[clip.clip_id, "framing"] for clip in found.clips}
        assert {name for _, name in studio.shown} <= {"framing"}
        studio.shown.clear()
        studio.decoded.clear()
        have: dict[str, dict[str, Measurement]] = {}
        for row in found.measurements:
            have.setdefault(row.clip_id, {})[row.score] = row
        wanted = [clip.clip_id for clip in found.clips[::2]]
        rows = measure_more(replace(work, policy=face_at_least(160)), found, wanted, have)
        assert studio.decoded == [(c.start_frame, c.end_frame) for c in found.clips[::2]]
        for (clip_id, name), what in studio.shown.items():
            assert name in ("sharpness", "identity")
            assert what == seen[clip_id]
    assert [(row.clip_id, row.score) for row in rows] == [(c, name) for c in wanted for name in SCORES]
    assert all(row.status == "measured" for row in rows)


def check_cover(found: Measured, spans: Sequence[tuple[int, int]], edges: Sequence[int]) -> None:
    in_clips = {frame for c in found.clips for frame in range(c.start_frame, c.end_frame)}
    in_rest = [frame for s in found.stretches for frame in range(s.start_frame, s.end_frame)]
    assert sorted([*in_clips, *in_rest]) == [frame for a, b in spans for frame in range(a, b)]
    for clip in found.clips:
        assert 25 <= clip.n_frames <= 75
        assert not any(clip.start_frame < edge < clip.end_frame for edge in edges)


def test_no_more_faces_are_cut_for_a_clip_that_a_hard_rule_would_refuse_as_it_stands() -> None:
    with Studio(Film(70), looks_at_faces=("sharpness", "identity")) as studio:
        refused = measure_segment(studio.work(judged_by=face_at_least(400)))
        assert (studio.cut, studio.decoded) == (25, [(0, 70)])
        studio.cut = 0
        kept = measure_segment(studio.work())
        assert (studio.cut, studio.decoded) == (70, [(0, 70)] * 2)
    assert refused.clips == kept.clips


def test_the_next_clip_of_a_track_has_hopes_of_its_own() -> None:
    with Studio(Film(100), looks_at_faces=("sharpness", "identity")) as studio:
        found = measure_segment(studio.work(judged_by=face_at_least(400)))
        assert parts(found) == {"clip": [(0, 75), (75, 100)]}
        assert studio.cut == 25 + 25


def test_a_clip_that_comes_right_in_the_end_is_decoded_again_and_shows_the_very_same() -> None:
    shown = []
    for small_for, spans in ((40, [(0, 60), (0, 60)]), (0, [(0, 60)])):
        with Studio(Film(60), small_for=small_for) as studio:
            found = measure_segment(studio.work())
            assert studio.decoded == spans
            (clip,) = found.clips
            assert all(row.status == "measured" for row in found.measurements)
            shown.append([studio.shown[clip.clip_id, name] for name in SCORES])
    assert shown[0] == shown[1]
    assert len(shown[0][0]["pictures"]) == 60


def test_an_exhaustive_run_decodes_once_whatever_the_rules_say() -> None:
    with Studio(Film(60), small_for=100) as studio:
        work = studio.work()
        options = replace(work.pipeline, measure=replace(work.pipeline.measure, exhaustive=True))
        found = measure_segment(replace(work, pipeline=options))
        assert (studio.cut, studio.decoded) == (60, [(0, 60)])
    assert all(row.status == "measured" for row in found.measurements)


def test_what_needs_no_picture_is_measured_later_without_decoding() -> None:
    with Studio(Film(60), looks_at_faces=()) as studio:
        work = studio.work(judged_by=face_at_least(400))
        found = measure_segment(work)
        studio.decoded.clear()
        have = {row.score: row for row in found.measurements}
        (clip,) = found.clips
        rows = measure_more(replace(work, policy=face_at_least(160)), found, [clip.clip_id], {clip.clip_id: have})
        assert studio.decoded == []
    assert [row.status for row in rows] == ["measured"] * len(SCORES)


def make_media(mesh: Callable[[], np.ndarray[Any, Any]]) -> Any:
    """A clip of two frames: its crop is 512 px wide at (100, 0), its face crops are 128 px wide at (200, 50)."""
    clip = make_clip(make_segment(make_source()), 0, 2)
    squares = np.array([[200, 50, 328, 178]] * 2, np.float32)
    return SimpleNamespace(clip=clip, crop_xyxy_px_T4=squares, landmarks_TNC=mesh())


def test_mesh_points_are_told_in_sixteenths_of_a_pixel_of_the_clips_own_picture() -> None:
    points = np.zeros((2, 478, 3), np.float32)
    points[1, 0] = (256, 128, 10)
    kept = mesh_in_clip(make_media(lambda: points), side_px=512)
    assert kept.dtype == np.int16 and kept.shape == (2, 478, 3)
    assert kept[0, 0].tolist() == [100 * 16, 50 * 16, 0]
    assert kept[1, 0].tolist() == [(100 + 128) * 16, (50 + 64) * 16, 5 * 16]
    half = mesh_in_clip(make_media(lambda: points), side_px=256)
    assert half[1, 0].tolist() == [228 * 8, 114 * 8, 5 * 8]


def test_a_mesh_point_that_is_unknown_stays_so_and_one_far_outside_is_not_taken_for_it() -> None:
    points = np.zeros((2, 478, 3), np.float32)
    points[0] = np.nan
    points[1, 0] = (-1e6, 1e6, 0)
    kept = mesh_in_clip(make_media(lambda: points), side_px=512)
    assert (kept[0] == NO_LANDMARK).all()
    assert kept[1, 0].tolist() == [NO_LANDMARK + 1, -NO_LANDMARK - 1, 0]
