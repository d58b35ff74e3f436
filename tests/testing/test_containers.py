"""Files come back as they were asked for, in every container and codec that tests need."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.testing import SoundFormat, VideoFormat, write_video

Picture = NDArray[np.uint8]
TONE_HZ = 48_000


def decoded(path: Path) -> tuple[list[Fraction], list[int]]:
    """Times since the first picture, and each picture's middle luma."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        times = [frame.pts * stream.time_base for frame in frames]
        lumas = [int(frame.to_ndarray(format="gray")[24, 32]) for frame in frames]
    return [time - times[0] for time in times], lumas


def sound_of(path: Path) -> tuple[float, NDArray[np.float32], int]:
    """Container time of the first decoded sample, samples (channels, S), and rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        blocks = [
            frame.to_ndarray() if frame.format.is_planar
            else frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T
            for frame in frames
        ]  # fmt: skip
        joined = np.concatenate(blocks, axis=1)
        scale = np.float32(1.0 if joined.dtype.kind == "f" else np.iinfo(joined.dtype).max)
        return float(frames[0].pts * frames[0].time_base), joined.astype(np.float32) / scale, stream.rate


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "mpg", "ts"])
def test_every_container_gives_back_pictures_and_sound(
    suffix: str, tmp_path: Path, shades: list[Picture], tone: NDArray[np.float32]
) -> None:
    path = write_video(tmp_path / f"a.{suffix}", shades, audio=tone, audio_rate_hz=TONE_HZ)
    times, lumas = decoded(path)
    assert len(times) == 30
    # a program stream times packets, not pictures: small pictures that share one are timed to a frame
    within_s = 0.041 if suffix == "mpg" else 0.0015
    assert [float(t) for t in times] == pytest.approx([k / 25 for k in range(30)], abs=within_s)
    assert np.all(np.abs(np.diff(lumas) - 8 * 219 / 255) < 5)
    _, samples, rate_hz = sound_of(path)
    assert rate_hz == TONE_HZ
    assert samples.shape[1] == pytest.approx(len(tone), abs=3000)
    assert np.std(samples[:, 5000:50_000]) == pytest.approx(0.2 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("libx264", "h264"), ("libx265", "hevc"), ("libvpx", "vp8"), ("libvpx-vp9", "vp9"),
        ("libsvtav1", "libdav1d"), ("mpeg1video", "mpeg1video"), ("mpeg2video", "mpeg2video"),
        ("mpeg4", "mpeg4"),
    ],
)  # fmt: skip
def test_every_codec_gives_back_the_pictures(codec: str, name: str, tmp_path: Path, shades: list[Picture]) -> None:
    path = write_video(tmp_path / "a.mkv", shades, video=VideoFormat(codec=codec))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == name
    _, lumas = decoded(path)
    assert len(lumas) == 30
    assert np.corrcoef(lumas, range(30))[0, 1] > 0.999


def test_frames_stand_where_their_times_say(tmp_path: Path, shades: list[Picture]) -> None:
    times_s = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.07, 30)).tolist()
    for suffix in ("mp4", "mkv"):
        path = write_video(tmp_path / f"a.{suffix}", shades, times_s=times_s)
        since_first = [time - times_s[0] for time in times_s]
        assert [float(t) for t in decoded(path)[0]] == pytest.approx(since_first, abs=0.0011)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_is_told_to_players(turn: int, tmp_path: Path, shades: list[Picture]) -> None:
    path = write_video(tmp_path / "a.mp4", shades[:2], video=VideoFormat(rotation_deg=turn))
    with av.open(str(path)) as container:
        counter_clockwise = next(container.decode(video=0)).rotation
    assert -counter_clockwise % 360 == turn


def test_sample_aspect_ten_bits_and_hdr_tags_are_kept(tmp_path: Path, shades: list[Picture]) -> None:
    spec = VideoFormat(codec="libx265", pixel_format="yuv420p10le", sample_aspect=(4, 3), transfer="pq")
    path = write_video(tmp_path / "a.mp4", shades[:3], video=spec)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert stream.sample_aspect_ratio == Fraction(4, 3)
    assert (frame.format.name, frame.color_trc, frame.color_primaries) == ("yuv420p10le", 16, 9)


def test_fields_are_woven_in_the_order_asked(tmp_path: Path) -> None:
    dark, light = np.full((48, 64, 3), 40, np.uint8), np.full((48, 64, 3), 200, np.uint8)
    for order, codec in [
        ("top_first", "libx264"),
        ("bottom_first", "libx264"),
        ("top_first", "mpeg2video"),
        ("bottom_first", "mpeg2video"),
    ]:
        spec = VideoFormat(codec=codec, field_order=order)
        path = write_video(tmp_path / "a.mkv", [dark, light] * 8, video=spec)
        with av.open(str(path)) as container:
            frames = list(container.decode(video=0))
        assert len(frames) == 8
        assert frames[0].interlaced_frame
        rows = frames[4].to_ndarray(format="gray").mean(axis=1)
        earlier, later = (rows[0::2], rows[1::2]) if order == "top_first" else (rows[1::2], rows[0::2])
        assert earlier.mean() < 80 < 160 < later.mean()


@pytest.mark.parametrize("n_channels", range(1, 7))
def test_channels_stay_apart(n_channels: int, tmp_path: Path, tone: NDArray[np.float32]) -> None:
    audio_SC = np.zeros((len(tone), n_channels), np.float32)
    audio_SC[:, n_channels - 1] = tone
    path = write_video(tmp_path / "a.mkv", None, audio=audio_SC, audio_rate_hz=TONE_HZ, sound=SoundFormat(codec="flac"))
    samples = sound_of(path)[1]
    assert samples.shape[0] == n_channels
    assert [round(float(np.abs(channel).max()), 1) for channel in samples] == [0.0] * (n_channels - 1) + [0.2]


def test_sound_can_start_late(tmp_path: Path, shades: list[Picture], tone: NDArray[np.float32]) -> None:
    sound = SoundFormat(codec="pcm_s16le", start_s=0.4)
    path = write_video(tmp_path / "a.mkv", shades, audio=tone, audio_rate_hz=TONE_HZ, sound=sound)
    first_s, samples, _ = sound_of(path)
    assert first_s == pytest.approx(0.4, abs=0.001)
    assert samples.shape[1] == len(tone)


def test_pictures_or_sound_may_be_missing(tmp_path: Path, shades: list[Picture], tone: NDArray[np.float32]) -> None:
    mute = write_video(tmp_path / "mute.mp4", shades)
    blind = write_video(tmp_path / "blind.mp4", None, audio=tone, audio_rate_hz=TONE_HZ)
    with av.open(str(mute)) as container:
        assert (len(container.streams.video), len(container.streams.audio)) == (1, 0)
    with av.open(str(blind)) as container:
        assert (len(container.streams.video), len(container.streams.audio)) == (0, 1)


def test_key_frames_come_as_often_as_asked(tmp_path: Path, shades: list[Picture]) -> None:
    path = write_video(tmp_path / "a.mp4", shades, video=VideoFormat(keyframe_every=10))
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [k for k, packet in enumerate(packets) if packet.is_keyframe]
    assert keys == [0, 10, 20]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "ts", "mpg"])
def test_writing_twice_gives_the_same_bytes(
    suffix: str, tmp_path: Path, shades: list[Picture], tone: NDArray[np.float32]
) -> None:
    one, other = (
        write_video(tmp_path / f"{name}.{suffix}", shades, audio=tone, audio_rate_hz=TONE_HZ).read_bytes()
        for name in ("one", "other")
    )
    assert one == other
