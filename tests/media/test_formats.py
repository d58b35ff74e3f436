"""Containers and codecs of the real world: length, pictures on the grid, and pictures beside their sound."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from media.truth import beep, grid, number_in, numbered, numbers_of, onsets_s, remuxed, source_of
from vividhead.media import key_frames, pictures, sound
from vividhead.media.decode import DecodeLog
from vividhead.records import Source
from vividhead.testing import SoundFormat, VideoFormat, write_video

N_FRAMES = 75
BEEP_AT = 40
"""The beep begins with this picture."""


@dataclass(frozen=True)
class Kind:
    suffix: str
    video: str
    audio: str
    rate_hz: int
    shown: str
    """FFmpeg's name of the decoder."""
    late_frames: int = 0
    """AVI has no presentation times: FFmpeg takes all pictures to come as late as the decoder reorders them."""

    def __str__(self) -> str:
        return f"{self.suffix}-{self.video}-{self.audio}"


KINDS = (
    Kind("mp4", "libx264", "aac", 44_100, "h264"),
    Kind("mov", "libx264", "pcm_s16le", 48_000, "h264"),
    Kind("mkv", "libx264", "flac", 48_000, "h264"),
    Kind("ts", "libx264", "aac", 48_000, "h264"),
    Kind("flv", "libx264", "aac", 44_100, "h264"),
    Kind("mp4", "libx265", "aac", 48_000, "hevc"),
    Kind("ts", "libx265", "ac3", 48_000, "hevc"),
    Kind("webm", "libvpx", "libopus", 48_000, "vp8"),
    Kind("webm", "libvpx-vp9", "libopus", 48_000, "vp9"),
    Kind("mkv", "libsvtav1", "libopus", 48_000, "libdav1d"),
    Kind("mp4", "libsvtav1", "aac", 48_000, "libdav1d"),
    Kind("mpg", "mpeg1video", "mp2", 44_100, "mpeg1video"),
    Kind("mpg", "mpeg2video", "mp2", 48_000, "mpeg2video"),
    Kind("ts", "mpeg2video", "mp2", 48_000, "mpeg2video"),
    Kind("mov", "mpeg4", "pcm_s16le", 48_000, "mpeg4"),
    Kind("avi", "mpeg4", "pcm_s16le", 44_100, "mpeg4"),
    Kind("avi", "libx264", "pcm_s16le", 44_100, "h264", late_frames=1),
)
OPTIONS = {"libx264": {"preset": "veryfast", "bf": "3"}, "libsvtav1": {"preset": "8", "crf": "20"}}
"""With B-frames where the encoder has them not by itself, so that pictures are not decoded in the order shown."""


@pytest.fixture(scope="module", params=KINDS, ids=str)
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kind, Path, Source]:
    kind: Kind = request.param
    path = tmp_path_factory.mktemp("film") / f"film.{kind.suffix}"
    write_video(
        path, numbered(range(N_FRAMES)), audio=beep(N_FRAMES / 25, BEEP_AT / 25, kind.rate_hz),
        audio_rate_hz=kind.rate_hz, sound=SoundFormat(codec=kind.audio),
        video=VideoFormat(codec=kind.video, options=OPTIONS.get(kind.video, {})),
    )  # fmt: skip
    return kind, path, source_of(path)


def test_the_file_is_footage_of_its_true_length(film: tuple[Kind, Path, Source]) -> None:
    kind, _, source = film
    assert (source.outcome, source.code) == ("ready", None)
    assert source.video_codec == kind.shown
    assert (source.width_px, source.height_px, source.fps) == (160, 96, 25.0)
    assert source.duration_s == pytest.approx(3.0, abs=0.05)  # codecs of sound work in whole blocks
    assert source.n_frames in (75, 76)
    assert source.pictures_end_frame == N_FRAMES + kind.late_frames
    assert not source.torn


def test_every_picture_is_on_its_grid_frame(film: tuple[Kind, Path, Source]) -> None:
    kind, path, source = film
    log = DecodeLog()
    shown = grid(path, source, kind.late_frames, N_FRAMES + kind.late_frames, log=log)
    assert [(frame - kind.late_frames, False) for frame, _, _ in shown] == [(n, r) for _, n, r in shown]
    assert log == DecodeLog(errors=0, pictures=N_FRAMES)


def test_picture_and_sound_line_up(film: tuple[Kind, Path, Source]) -> None:
    kind, path, source = film
    (heard_s,) = onsets_s(sound(path, source, 0, source.n_frames))
    seen_frame = numbers_of(path, source).index(BEEP_AT)
    assert seen_frame - kind.late_frames == BEEP_AT
    assert heard_s == pytest.approx(BEEP_AT / 25, abs=0.001)


def test_a_span_is_what_the_whole_has_there(film: tuple[Kind, Path, Source]) -> None:
    _, path, source = film
    whole, whole_S = numbers_of(path, source), sound(path, source, 0, source.n_frames)
    for start, end in ((0, 1), (30, 45), (55, 56), (60, 75)):
        assert numbers_of(path, source, start, end) == whole[start:end]
        assert np.array_equal(sound(path, source, start, end), whole_S[start * 640 : end * 640])


def test_key_frames_are_at_their_times(film: tuple[Kind, Path, Source]) -> None:
    kind, path, source = film
    seen = [(time_s, number_in(picture)) for time_s, picture in key_frames(path, source, 0, source.n_frames, 0)]
    assert len(seen) >= 2
    assert [round(time_s * 25) - kind.late_frames for time_s, _ in seen] == [number for _, number in seen]


def test_avi_pictures_that_are_stamped_in_coding_order_are_shown_in_theirs(tmp_path: Path) -> None:
    spec = VideoFormat(codec="libx264", options={"preset": "veryfast", "bf": "3"}, keyframe_every=250)
    path = write_video(tmp_path / "a.avi", numbered(range(300)), video=spec)
    source = source_of(path)
    whole = numbers_of(path, source)
    assert whole[1:301] == list(range(300))
    assert numbers_of(path, source, 260, 280) == whole[260:280]


def test_a_clock_that_does_not_start_at_zero_changes_nothing(tmp_path: Path) -> None:
    plain = write_video(tmp_path / "a.ts", numbered(range(50)), audio=beep(2, 1.2), audio_rate_hz=48_000)
    late = remuxed(plain, tmp_path / "b.ts", output_ts_offset=5000.123, muxdelay=0)
    source = source_of(late)
    assert Fraction(*source.zero_s_in_container) > 5000
    assert numbers_of(late, source, 0, 50) == list(range(50))
    assert onsets_s(sound(late, source, 0, 50)) == [pytest.approx(1.2, abs=0.001)]
    assert numbers_of(late, source, 40, 50) == list(range(40, 50))


def test_real_footage_is_read_without_a_fault(shared: Path) -> None:
    for stem, seconds in {"vox_00104.mp4": 11.984, "grid_lwbsza.mpg": 3.0, "suit_oddfps.mp4": 6.131}.items():
        path = shared / "footage" / stem
        source, log = source_of(path), DecodeLog()
        assert source.duration_s == pytest.approx(seconds, abs=0.07)
        shown = list(pictures(path, source, 0, source.n_frames, 0.5, log))
        assert log.errors == 0
        assert sum(frame.picture is None for frame in shown) <= 1
