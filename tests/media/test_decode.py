"""The grid: which picture stands where, in holes, at any frame rate, after seeking, and in damaged files."""

import random
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest

from media.truth import beep, grid, nearest, numbered, numbers_of, source_of
from vividhead.errors import MediaError
from vividhead.media import key_frames, pictures
from vividhead.media.decode import DecodeLog
from vividhead.records import Source
from vividhead.testing import VideoFormat, write_video

B_FRAMES = {"preset": "veryfast", "bf": "3"}
RATES = [10, Fraction(25, 2), Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 50, 60]


def on_grid(times_s: list[Fraction], lasts_s: Fraction, n_frames: int) -> list[set[int | None]]:
    """What each grid frame may show: the nearest picture, or none once the last one is over."""
    over = times_s[-1] + lasts_s
    return [nearest(times_s, frame) if Fraction(frame, 25) < over else {None} for frame in range(n_frames)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("fps", RATES, ids=lambda fps: f"{float(fps):.2f}")
def test_each_grid_frame_shows_the_picture_nearest_in_time(fps: Fraction, suffix: str, tmp_path: Path) -> None:
    count = int(2 * fps)
    path = write_video(
        tmp_path / f"a.{suffix}", numbered(range(count)), fps=fps, video=VideoFormat(options=B_FRAMES),
        audio=beep(2, 1), audio_rate_hz=48_000,
    )  # fmt: skip
    source = source_of(path)
    allowed = on_grid([k / Fraction(fps) for k in range(count)], 1 / Fraction(fps), source.n_frames)
    assert source.n_frames in (50, 51)
    shown = numbers_of(path, source)
    assert [n for n, may in zip(shown, allowed, strict=True) if n not in may] == []


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_rate_is_laid_out_by_presentation_time(suffix: str, tmp_path: Path) -> None:
    rng = random.Random(3)
    steps = rng.choices([1 / 60, 1 / 30, 1 / 30, 1 / 15, 1 / 10, 1 / 3], k=60)
    times_s = list(accumulate(steps, initial=0.0))
    path = write_video(
        tmp_path / f"a.{suffix}", numbered(range(len(times_s))), times_s=times_s,
        video=VideoFormat(options=B_FRAMES),
    )  # fmt: skip
    source = source_of(path)
    exact = [Fraction(round(t * 90_000), 90_000) for t in times_s]
    until = round(exact[-1] * 25)
    shown = numbers_of(path, source, 0, until)
    assert [n for n, may in zip(shown, on_grid(exact, Fraction(0), until), strict=True) if n not in may] == []


def test_a_picture_shown_again_is_marked_as_repeated(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(range(30)), fps=Fraction(25, 2))
    shown = grid(path, source_of(path))
    assert [n for _, n, _ in shown] == [k // 2 for k in range(60)]
    assert [repeated for *_, repeated in shown] == [False, True] * 30
    assert grid(path, source_of(path), 5, 8) == [(5, 2, False), (6, 3, False), (7, 3, True)]


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Source]:
    """Pictures 0–24 from 0 s on, 25–49 from 2 s on: a hole of 1.04 s."""
    times_s = [k / 25 for k in range(25)] + [2 + k / 25 for k in range(25)]
    path = tmp_path_factory.mktemp("holed") / "a.mkv"
    write_video(path, numbered(range(50)), times_s=times_s, audio=beep(4, 1), audio_rate_hz=48_000)
    return path, source_of(path)


def test_a_hole_longer_than_allowed_has_no_pictures(holed: tuple[Path, Source]) -> None:
    path, source = holed
    shown = grid(path, source)
    assert [n for _, n, _ in shown] == [*range(25), *[None] * 25, *range(25, 50), *[None] * 25]
    assert not any(repeated for *_, repeated in shown)


def test_a_shorter_hole_shows_its_neighbours(holed: tuple[Path, Source]) -> None:
    path, source = holed
    shown = grid(path, source, 0, 75, max_gap_s=1.04)
    assert [n for _, n, _ in shown] == [*range(24), *[24] * 14, *[25] * 13, *range(26, 50)]
    assert sum(repeated for *_, repeated in shown) == 25


def test_a_span_in_or_across_a_hole_is_what_the_whole_has_there(holed: tuple[Path, Source]) -> None:
    path, source = holed
    whole = grid(path, source)
    for start, end in ((20, 30), (30, 40), (30, 55), (60, 80), (90, 100)):
        assert grid(path, source, start, end) == whole[start:end]


LONG = {
    "mp4": ("libx264", B_FRAMES | {"x264-params": "keyint=250:scenecut=0"}),
    "open.mp4": ("libx264", B_FRAMES | {"x264-params": "keyint=50:open-gop=1:scenecut=0"}),
    "intra_refresh.mp4": ("libx264", {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=50"}),
    "ts": ("libx264", B_FRAMES | {"x264-params": "keyint=250:scenecut=0"}),
    "open.ts": ("libx264", B_FRAMES | {"x264-params": "keyint=50:open-gop=1:scenecut=0"}),
    "hevc_open.ts": ("libx265", {"x265-params": "log-level=none:open-gop=1:keyint=50:bframes=3:scenecut=0"}),
    "mpg": ("mpeg2video", {}),
    "webm": ("libvpx-vp9", {}),
    "avi": ("mpeg4", {"bf": "2"}),
}  # fmt: skip


@pytest.fixture(scope="module", params=LONG)
def long(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Source]:
    """24 s with few key frames."""
    codec, options = LONG[request.param]
    path = tmp_path_factory.mktemp("long") / f"a.{request.param}"
    write_video(path, numbered(range(600)), video=VideoFormat(codec=codec, options=options, keyframe_every=250))
    return path, source_of(path)


def test_a_span_deep_in_a_file_is_what_the_whole_has_there(long: tuple[Path, Source]) -> None:
    path, source = long
    whole = numbers_of(path, source)
    assert sum(n is None for n in whole) <= 1
    for start, end in ((76, 79), (250, 254), (449, 453), (590, 600)):
        log = DecodeLog()
        assert [n for _, n, _ in grid(path, source, start, end, log=log)] == whole[start:end]
        assert log.errors == 0, "what a seek leaves out is no damage"
    assert log.pictures < 400, "seeking spares decoding from the head"


def test_key_frames_of_a_span_are_those_of_the_whole_and_the_one_before(long: tuple[Path, Source]) -> None:
    path, source = long
    whole = [round(time_s * 25) for time_s, _ in key_frames(path, source, 0, 600, 0)]
    inside = [at for at in whole if 260 <= at < 520]
    found = [round(time_s * 25) for time_s, _ in key_frames(path, source, 260, 520, 0)]
    assert found[-len(inside) :] == inside if inside else len(found) <= 1
    assert found[: len(found) - len(inside)] in ([at for at in whole if at < 260][-1:], [])


def test_key_frames_keep_their_distance(long: tuple[Path, Source]) -> None:
    path, source = long
    times_s = [time_s for time_s, _ in key_frames(path, source, 0, 600, 3.0)]
    assert all(round(b - a, 6) >= 3.0 for a, b in pairwise(times_s))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi", "mpg"])
def test_damage_in_the_middle_is_a_hole_and_the_rest_is_read_on(suffix: str, tmp_path: Path) -> None:
    """Every picture is noise-like, so that damage cannot hide; the second half must be whole again."""
    rng = np.random.default_rng(5)
    texture = rng.integers(0, 255, (24, 40, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    moving = (np.roll(texture, 3 * k, axis=1) for k in range(200))
    path = write_video(tmp_path / f"a.{suffix}", moving, audio=beep(8, 1), audio_rate_hz=48_000)
    clean = {f.frame: f.picture for f in pictures(path, source_of(path), 0, 200, 0.1)}
    data = bytearray(path.read_bytes())
    middle = len(data) * 2 // 5
    data[middle : middle + len(data) // 25] = rng.bytes(len(data) // 25)
    broken = tmp_path / f"b.{suffix}"
    broken.write_bytes(bytes(data))
    source, log = source_of(broken), DecodeLog()
    shown = list(pictures(broken, source, 0, 200, 0.1, log))
    assert log.errors >= 1 or source.torn
    holes = [f.frame for f in shown if f.picture is None]
    assert 2 <= len(holes) <= 120 or source.torn
    assert set(holes).isdisjoint(range(60))
    if suffix == "mp4":
        assert set(holes).isdisjoint(range(150, 200))
        for frame in range(150, 200):
            picture, truth = shown[frame].picture, clean[frame]
            assert picture is not None and truth is not None
            assert np.array_equal(picture.to_ndarray(), truth.to_ndarray())


def test_an_iterator_that_is_dropped_lets_go_of_the_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(range(50)))
    run = pictures(path, source_of(path), 0, 50, 0.5)
    next(run)
    run.close()
    with pytest.raises(StopIteration):
        next(run)


def test_a_file_whose_pictures_are_gone_is_told_as_changed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(range(50)), audio=beep(2, 1), audio_rate_hz=48_000)
    source = source_of(path)
    write_video(path, None, audio=beep(2, 1), audio_rate_hz=48_000)
    for reading in (pictures(path, source, 0, 50, 0.5), key_frames(path, source, 0, 50, 0)):
        with pytest.raises(MediaError, match=r"^failed\.changed"):
            list(reading)
