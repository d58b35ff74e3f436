"""How long footage is, where its pictures end, and whether that is all its header promises."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from media.truth import beep, grid, numbered, numbers_of, remuxed, source_of
from vividhead.media.decode import DecodeLog
from vividhead.testing import SoundFormat, write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 s of footage in some containers; the mp4 has its index in front."""
    folder = tmp_path_factory.mktemp("whole")
    for suffix in ("mp4", "mkv", "webm", "avi", "flv", "ts", "mpg"):
        rate_hz = 44_100 if suffix == "flv" else 48_000
        write_video(folder / f"a.{suffix}", numbered(range(200)), audio=beep(8, 1, rate_hz), audio_rate_hz=rate_hz)
    remuxed(folder / "a.mp4", folder / "b.mp4", movflags="+faststart").rename(folder / "a.mp4")
    remuxed(folder / "a.mp4", folder / "fragments.mp4", movflags="+frag_keyframe+delay_moov")
    return folder


def cut(path: Path, share: float, out: Path) -> Path:
    data = path.read_bytes()
    out.write_bytes(data[: int(len(data) * share)])
    return out


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "avi", "flv", "ts", "mpg"])
def test_whole_files_are_not_torn(suffix: str, folder: Path) -> None:
    source = source_of(folder / f"a.{suffix}")
    assert (source.torn, source.pictures_end_frame) == (False, 200)
    assert source.duration_s == pytest.approx(8, abs=0.05)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "avi", "flv"])
def test_a_file_cut_short_keeps_its_promised_length_and_says_where_pictures_end(
    suffix: str, share: float, folder: Path, tmp_path: Path
) -> None:
    path = cut(folder / f"a.{suffix}", share, tmp_path / f"a.{suffix}")
    source = source_of(path)
    assert source.outcome == "ready"
    assert source.torn
    assert source.duration_s == pytest.approx(8, abs=0.05)
    assert source.pictures_end_frame is not None
    assert 0 < source.pictures_end_frame < 0.95 * 200
    numbers = numbers_of(path, source)
    seen = [n for n in numbers if n is not None]
    assert seen == list(range(len(seen))), "what is there is right"
    assert abs(len(seen) - source.pictures_end_frame) <= 2, "and nearly all of it is shown"


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_streams_without_a_header_promise_nothing(suffix: str, folder: Path, tmp_path: Path) -> None:
    source = source_of(cut(folder / f"a.{suffix}", 0.5, tmp_path / f"a.{suffix}"))
    assert not source.torn
    assert source.duration_s == pytest.approx(4, abs=1.5)
    assert source.pictures_end_frame == pytest.approx(source.n_frames, abs=2)


def test_a_fragmented_file_is_read_like_any_other(folder: Path) -> None:
    source = source_of(folder / "fragments.mp4")
    assert (source.torn, source.n_frames) == (False, 200)
    assert numbers_of(folder / "fragments.mp4", source) == list(range(200))


def test_an_mp4_without_its_index_is_unreadable(folder: Path, tmp_path: Path) -> None:
    plain = remuxed(folder / "a.mp4", tmp_path / "a.mp4")
    source = source_of(cut(plain, 0.6, tmp_path / "b.mp4"))
    assert (source.outcome, source.code) == ("failed", "failed.unreadable")


def test_headers_without_data_are_truncated(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "a.mp4").read_bytes()
    path = tmp_path / "a.mp4"
    path.write_bytes(whole[: whole.index(b"mdat") + 4])
    source = source_of(path)
    assert (source.outcome, source.code) == ("failed", "failed.truncated")


def test_sound_that_goes_on_after_the_pictures_is_no_tear(tmp_path: Path) -> None:
    for suffix in ("mp4", "mkv", "ts", "avi"):
        path = write_video(tmp_path / f"a.{suffix}", numbered(range(50)), audio=beep(5, 1), audio_rate_hz=48_000)
        source = source_of(path)
        assert (source.torn, source.pictures_end_frame) == (False, 50)
        assert source.n_frames == pytest.approx(125, abs=1)
        assert numbers_of(path, source)[:50] == list(range(50))
        assert set(numbers_of(path, source)[50:]) == {None}


def test_pictures_that_go_on_after_the_sound_are_no_tear(tmp_path: Path) -> None:
    for suffix in ("mp4", "mkv", "avi"):
        path = write_video(tmp_path / f"a.{suffix}", numbered(range(125)), audio=beep(2, 1), audio_rate_hz=48_000)
        source = source_of(path)
        assert (source.torn, source.pictures_end_frame, source.n_frames) == (False, 125, 125)


def test_trimming_by_an_edit_list_is_no_tear(folder: Path, tmp_path: Path) -> None:
    path = remuxed(folder / "a.mp4", tmp_path / "a.mp4", in_ss=3.5, t=2)
    source = source_of(path)
    assert not source.torn
    assert source.duration_s == pytest.approx(2, abs=0.1)


def test_a_damaged_matroska_whose_tail_cannot_be_reached_is_torn(folder: Path, tmp_path: Path) -> None:
    data = bytearray((folder / "a.mkv").read_bytes())
    for at in range(len(data) // 3, len(data) - 4):
        if data[at : at + 4] == b"\x1f\x43\xb6\x75":  # a cluster: give it a length beyond the file
            data[at + 4 : at + 12] = b"\x01\x00\x00\x00\x07\xff\xff\xff"
            break
    path = tmp_path / "a.mkv"
    path.write_bytes(bytes(data[: len(data) * 2 // 3]))
    source, log = source_of(path), DecodeLog()
    assert source.torn
    assert source.duration_s == pytest.approx(8, abs=0.05)
    grid(path, source, log=log)


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_files_joined_byte_by_byte_are_refused_for_their_clock(suffix: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes((folder / f"a.{suffix}").read_bytes() * 2)
    source = source_of(path)
    assert (source.outcome, source.code) == ("failed", "failed.clock_jumps")
    assert "goes back by 8.0 s" in source.detail


def test_a_few_wrong_stamps_are_damage_and_no_broken_clock(folder: Path, tmp_path: Path) -> None:
    """A cluster of Matroska whose time is 3 s late: the clock leaps and comes back."""
    data = bytearray((folder / "a.mkv").read_bytes())
    clusters = [at for at in range(len(data) - 20) if data[at : at + 4] == b"\x1f\x43\xb6\x75"]
    at = data.index(b"\xe7", clusters[len(clusters) // 2])  # its Timestamp: length, then milliseconds
    length = data[at + 1] & 0x0F
    ms = int.from_bytes(data[at + 2 : at + 2 + length], "big")
    data[at + 2 : at + 2 + length] = (ms + 3000).to_bytes(length, "big")
    path = tmp_path / "a.mkv"
    path.write_bytes(bytes(data))
    assert source_of(path).outcome == "ready"


def test_a_cover_picture_is_no_footage(tmp_path: Path) -> None:
    sound_only = write_video(tmp_path / "a.mp4", None, audio=beep(3, 1), audio_rate_hz=48_000)
    cover = tmp_path / "cover.jpg"
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
    subprocess.run([*ffmpeg, "-f", "lavfi", "-i", "color=c=red:s=64x64:d=1", "-frames:v", "1", str(cover)], check=True)
    for suffix, codec in (("mp4", "copy"), ("mp3", "libmp3lame")):
        both = tmp_path / f"both.{suffix}"
        command = [*ffmpeg, "-i", str(sound_only), "-i", str(cover), "-map", "0:a", "-map", "1:v", "-c:a", codec]
        subprocess.run([*command, "-c:v", "copy", "-disposition:v:0", "attached_pic", str(both)], check=True)
        source = source_of(both)
        assert (source.outcome, source.code, source.pictures_end_frame) == ("rejected", "source.no_video", 0)
    film = write_video(tmp_path / "film.mp4", numbered(range(50)), audio=beep(2, 1), audio_rate_hz=48_000)
    command = [*ffmpeg, "-i", str(cover), "-i", str(film), "-map", "0:v", "-map", "1", "-c", "copy"]
    covered = tmp_path / "covered.mp4"
    subprocess.run([*command, "-disposition:v:0", "attached_pic", str(covered)], check=True)
    assert numbers_of(covered, source_of(covered)) == list(range(50))


def test_streams_may_come_in_any_order_among_others(tmp_path: Path) -> None:
    """Sound first, pictures third, and a stream between that is neither."""
    film = write_video(tmp_path / "film.mp4", numbered(range(50)), audio=beep(2, 1), audio_rate_hz=48_000)
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:09,000\nlonger than the film\n")
    for suffix, texts in (("mkv", "srt"), ("mp4", "mov_text")):
        path = tmp_path / f"all.{suffix}"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(film), "-i", str(words)]
        command += ["-map", "0:a", "-map", "1:s", "-map", "0:v", "-c", "copy", "-c:s", texts, str(path)]
        subprocess.run(command, check=True)
        source = source_of(path)
        assert (source.outcome, source.torn, source.n_frames) == ("ready", False, 50)
        assert numbers_of(path, source) == list(range(50))


def test_codec_delay_is_no_footage(tmp_path: Path) -> None:
    """Opus and AAC begin with samples that warm the decoder up, stamped before zero."""
    for suffix, codec in (("webm", "libopus"), ("mkv", "aac"), ("mp4", "aac")):
        path = write_video(
            tmp_path / f"a.{suffix}", numbered(range(50)), audio=beep(2, 1), audio_rate_hz=48_000,
            sound=SoundFormat(codec=codec),
        )  # fmt: skip
        source = source_of(path)
        assert (source.n_frames, source.zero_s_in_container[0]) == (50, 0)
