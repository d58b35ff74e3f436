"""Pictures as the rooms above see them: upright, square pixels, progressive, 8 bit, video range."""

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from media.truth import beep, numbered, numbers_of, onsets_s, remuxed, source_of
from vividhead.media import Picture, key_frames, pictures, sound
from vividhead.media.planes import Planes
from vividhead.records import Source
from vividhead.testing import SoundFormat, VideoFormat, write_video

WIDTH_PX, HEIGHT_PX = 160, 96
WIDE_PX = 16


def first(path: Path, source: Source) -> Picture:
    picture = next(pictures(path, source, 0, 1, 0.5)).picture
    assert picture is not None
    return picture


def red_corner(n_frames: int = 6) -> list[NDArray[np.uint8]]:
    """Grey with a red block in the upper left corner and a blue one in the upper right."""
    picture = np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8)
    picture[:32, :32], picture[:32, -32:] = (220, 30, 30), (30, 30, 220)
    return [picture] * n_frames


def corners(picture: Picture) -> dict[str, tuple[int, int]]:
    """Which corner (row, column, -1 for the last) is red and which is blue."""
    rgb_HWC = Planes(picture).thumbnail_HWC(2000).astype(int)
    found = {}
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        red, _, blue = rgb_HWC[8 if corner[0] == 0 else -9, 8 if corner[1] == 0 else -9]
        if abs(red - blue) > 100:
            found["red" if red > blue else "blue"] = corner
    return found


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    ("clockwise_deg", "red", "blue"),
    [(0, (0, 0), (0, -1)), (90, (0, -1), (-1, -1)), (180, (-1, -1), (-1, 0)), (270, (-1, 0), (0, 0))],
)
def test_rotated_footage_is_turned_the_right_way(
    clockwise_deg: int, red: tuple[int, int], blue: tuple[int, int], suffix: str, tmp_path: Path
) -> None:
    path = write_video(tmp_path / f"a.{suffix}", red_corner(), video=VideoFormat(rotation_deg=clockwise_deg))
    source = source_of(path)
    sides = (WIDTH_PX, HEIGHT_PX) if clockwise_deg in (0, 180) else (HEIGHT_PX, WIDTH_PX)
    assert (source.width_px, source.height_px) == sides
    assert source.rotation_deg == -clockwise_deg % 360
    ((_, key),) = key_frames(path, source, 0, 6, 0)
    for picture in (first(path, source), key):
        assert (picture.width, picture.height) == sides
        assert corners(picture) == {"red": red, "blue": blue}


@pytest.mark.parametrize(
    ("aspect", "suffix", "sides"),
    [
        ((16, 15), "mp4", (170, 96)),
        ((8, 9), "mkv", (160, 108)),
        ((4, 3), "avi", (212, 96)),
        ((40, 1), "mp4", (160, 96)),
    ],
)
def test_pixels_are_made_square_by_stretching(
    aspect: tuple[int, int], suffix: str, sides: tuple[int, int], tmp_path: Path
) -> None:
    spec = VideoFormat(sample_aspect=aspect)
    path = write_video(tmp_path / f"a.{suffix}", numbered(range(10)), video=spec)
    source = source_of(path)
    assert (source.width_px, source.height_px) == sides
    assert numbers_of(path, source) == list(range(10))


def test_odd_sides_become_even(tmp_path: Path) -> None:
    frames = [picture[:95, :159] for picture in numbered(range(5))]
    spec = VideoFormat(codec="ffv1", pixel_format="yuv444p")
    path = write_video(tmp_path / "a.mkv", frames, video=spec)
    source = source_of(path)
    assert (source.width_px, source.height_px) == (158, 94)
    assert numbers_of(path, source) == list(range(5))


def moving_bar(n_fields: int) -> list[NDArray[np.uint8]]:
    """A light bar that moves two pixels a field."""
    fields = []
    for k in range(n_fields):
        picture = np.full((HEIGHT_PX, WIDTH_PX, 3), 50, np.uint8)
        picture[:, 8 + 2 * k : 8 + 2 * k + WIDE_PX] = 200
        fields.append(picture)
    return fields


def combing(picture: Picture) -> float:
    """How much rows differ from the mean of the rows above and below."""
    luma_HW = Planes(picture).y_HW.astype(float)
    return float(np.abs(luma_HW[1:-1:2] - (luma_HW[:-2:2] + luma_HW[2::2]) / 2).mean())


@pytest.mark.parametrize("order", ["top_first", "bottom_first"])
@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("ts", "libx264"), ("mpg", "mpeg2video")])
def test_interlaced_footage_shows_the_earlier_field_without_combing(
    suffix: str, codec: str, order: str, tmp_path: Path
) -> None:
    spec = VideoFormat(codec=codec, field_order=order)  # type: ignore[arg-type]
    path = write_video(tmp_path / f"a.{suffix}", moving_bar(48), video=spec)
    with av.open(str(path)) as container:
        assert min(combing(f) for f in container.decode(video=0)) > 2
    source = source_of(path)
    assert source.interlaced
    shown = [f.picture for f in pictures(path, source, 0, 24, 0.5)]
    assert None not in shown
    assert max(combing(p) for p in shown if p is not None) < 0.5
    left_edges = [int(np.flatnonzero(Planes(p).y_HW[40] > 110)[0]) for p in shown if p is not None]
    assert left_edges == pytest.approx([8 + 4 * k for k in range(24)], abs=1)


def test_a_deinterlaced_span_is_what_the_whole_has_there(tmp_path: Path) -> None:
    numbers = np.repeat(range(150), 2).tolist()
    path = write_video(tmp_path / "a.mp4", numbered(numbers), video=VideoFormat(field_order="top_first"))
    source = source_of(path)
    whole = [f.picture for f in pictures(path, source, 0, 150, 0.5)]
    for f in pictures(path, source, 110, 120, 0.5):
        truth = whole[f.frame]
        assert f.picture is not None and truth is not None
        assert np.array_equal(f.picture.to_ndarray(), truth.to_ndarray())
    assert numbers_of(path, source) == list(range(150))


@pytest.mark.parametrize(
    ("codec", "kind"),
    [("libx265", "yuv420p10le"), ("libx264", "yuv422p10le"), ("ffv1", "bgr0"), ("mjpeg", "yuvj422p")],
)
def test_other_kinds_of_pixels_become_eight_bit_420(codec: str, kind: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", numbered(range(10)), video=VideoFormat(codec=codec, pixel_format=kind))
    source = source_of(path)
    assert source.pixel_format == kind
    assert first(path, source).format.name == "yuv420p"
    assert numbers_of(path, source) == list(range(10))


@pytest.mark.parametrize("kind", ["yuv420p", "yuvj420p"])
def test_full_range_becomes_video_range(kind: str, tmp_path: Path) -> None:
    """Black is 16 and white 235 above, whether the file says 0 and 255 by its format or by its tag."""
    path = tmp_path / "a.mp4"
    scene = "color=c=black:s=160x96:r=25:d=1[a];color=c=white:s=160x96:r=25:d=1[b];[a][b]hstack"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", scene]
    command += ["-vf", f"scale=out_range=pc,format={kind}", "-color_range", "pc", str(path)]
    subprocess.run(command, check=True)
    with av.open(str(path)) as container:
        coded = next(container.decode(video=0))
        assert int(coded.color_range) == 2
    luma_HW = Planes(first(path, source_of(path))).y_HW
    assert luma_HW[:, :150].mean() == pytest.approx(16, abs=1)
    assert luma_HW[:, 170:].mean() == pytest.approx(235, abs=1)


def test_a_stream_may_change_size_fields_and_sound_on_the_way(tmp_path: Path) -> None:
    """As broadcasts do: three parts on one clock, each coded in its own way."""
    wide = write_video(
        tmp_path / "1.ts", numbered(range(75)), audio=beep(3, 1, 48_000, 2), audio_rate_hz=48_000,
        sound=SoundFormat(codec="mp2"),
    )  # fmt: skip
    larger = write_video(
        tmp_path / "2.ts", numbered(range(75, 150), 320, 240), audio=beep(3, 1, 44_100),
        audio_rate_hz=44_100, sound=SoundFormat(codec="mp2"),
    )  # fmt: skip
    fields = write_video(
        tmp_path / "3.ts", numbered(np.repeat(range(150, 225), 2).tolist()), audio=beep(3, 1, 32_000),
        audio_rate_hz=32_000, sound=SoundFormat(codec="mp2"), video=VideoFormat(field_order="top_first"),
    )  # fmt: skip
    parts = [
        remuxed(part, tmp_path / f"at{at}.ts", in_copyts=None, output_ts_offset=at, muxdelay=0)
        for part, at in ((wide, 0), (larger, 3), (fields, 6))
    ]
    path = tmp_path / "all.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = source_of(path)
    assert numbers_of(path, source) == list(range(225))
    assert {(f.picture.width, f.picture.height) for f in pictures(path, source, 0, 225, 0.5) if f.picture} == {
        (160, 96)
    }
    heard_s = onsets_s(sound(path, source, 0, 225))
    assert heard_s == [pytest.approx(at, abs=0.01) for at in (1, 4, 7)]
