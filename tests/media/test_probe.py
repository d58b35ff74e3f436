"""What a file is said to be: HDR, rates, sizes that no one has, files that hold nothing to see."""

import resource
from fractions import Fraction
from pathlib import Path

import pytest

from media.truth import ANY, beep, numbered, source_of
from vividhead.media import probe
from vividhead.media.probe import upright_size
from vividhead.pipeline import Ingest
from vividhead.testing import VideoFormat, write_video


def film(path: Path, spec: VideoFormat | None = None, n_frames: int = 50) -> Path:
    return write_video(
        path, numbered(range(n_frames)), audio=beep(n_frames / 25, 0.5), audio_rate_hz=48_000, video=spec
    )


@pytest.mark.parametrize(("transfer", "words"), [("pq", "PQ"), ("hlg", "HLG")])
@pytest.mark.parametrize("codec", ["libx265", "libx264"])
def test_hdr_footage_is_rejected_with_what_to_do(transfer: str, words: str, codec: str, tmp_path: Path) -> None:
    spec = VideoFormat(codec=codec, pixel_format="yuv420p10le", transfer=transfer)  # type: ignore[arg-type]
    source = source_of(film(tmp_path / "a.mp4", spec))
    assert (source.outcome, source.code) == ("rejected", "source.hdr")
    assert words in source.detail
    assert "convert" in source.detail


def test_ten_bit_footage_in_standard_range_is_welcome(tmp_path: Path) -> None:
    spec = VideoFormat(codec="libx265", pixel_format="yuv420p10le", transfer="bt709")
    assert source_of(film(tmp_path / "a.mp4", spec)).outcome == "ready"


@pytest.mark.parametrize(
    ("frames", "audio_s", "code"),
    [(True, None, "source.no_audio"), (False, 3, "source.no_video"), (True, 3, None)],
)
def test_footage_needs_picture_and_sound(frames: bool, audio_s: float | None, code: str | None, tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", numbered(range(75)) if frames else None,
        audio=beep(audio_s, 1) if audio_s else None, audio_rate_hz=48_000,
    )  # fmt: skip
    source = source_of(path)
    assert source.code == code
    assert source.duration_s == pytest.approx(3, abs=0.05), "its seconds count, footage or not"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (Ingest(min_duration_s=2.5, min_side_px=16), "source.too_short"),
        (Ingest(min_duration_s=0, max_duration_s=1.5, min_side_px=16), "source.too_long"),
        (Ingest(min_duration_s=0, min_side_px=97), "source.too_small"),
        (Ingest(min_duration_s=0, min_side_px=16, max_side_px=150), "source.too_large"),
        (Ingest(min_duration_s=2, max_duration_s=2.01, min_side_px=96, max_side_px=160), None),
    ],
)
def test_limits_reject_with_the_number_and_the_limit(options: Ingest, code: str | None, tmp_path: Path) -> None:
    source = source_of(film(tmp_path / "a.mov"), options)
    assert source.code == code
    assert (code is None) == (source.detail == "")


def test_a_single_pixel_is_too_small(tmp_path: Path) -> None:
    spec = VideoFormat(codec="ffv1", pixel_format="yuv444p")
    dots = (picture[:1, :1] for picture in numbered(range(50)))
    path = write_video(tmp_path / "a.mkv", dots, video=spec, audio=beep(2, 1), audio_rate_hz=48_000)
    source = source_of(path)
    assert (source.code, source.width_px, source.height_px) == ("source.too_small", 1, 1)
    assert "1×1" in source.detail


def test_a_header_of_sixteen_thousand_pixels_is_let_near_no_decoder(tmp_path: Path) -> None:
    frames = numbered(range(50), 320, 256)
    spec = VideoFormat(codec="ffv1")
    path = write_video(tmp_path / "a.mkv", frames, video=spec, audio=beep(2, 1), audio_rate_hz=48_000)
    size = b"\xb0\x82\x01\x40\xba\x82\x01\x00"  # PixelWidth and PixelHeight of Matroska
    data = path.read_bytes()
    assert size in data
    path.write_bytes(data.replace(size, b"\xb0\x82\x40\x00\xba\x82\x40\x00"))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = source_of(path)
    assert (source.outcome, source.code) == ("failed", "failed.undecodable")
    assert "64 megapixels" in source.detail
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 200_000


def test_pictures_that_grow_absurd_behind_an_honest_header_are_not_decoded(tmp_path: Path) -> None:
    data = bytearray(film(tmp_path / "a.webm", VideoFormat(codec="libvpx")).read_bytes())
    at = data.find(b"\x9d\x01\x2a")  # begins a key frame's size in VP8
    assert at > 0
    while at >= 0:
        data[at + 3 : at + 7] = b"\xff\x3f\xff\x3f"
        at = data.find(b"\x9d\x01\x2a", at + 1)
    path = tmp_path / "b.webm"
    path.write_bytes(bytes(data))
    source = source_of(path)
    assert (source.outcome, source.code) == ("failed", "failed.undecodable")


def test_one_damaged_key_frame_at_the_head_does_not_lose_the_file(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", VideoFormat(keyframe_every=25), n_frames=100)
    data = bytearray(path.read_bytes())
    first = data.index(b"mdat") + 4
    data[first + 30 : first + 400] = bytes(370)
    path.write_bytes(bytes(data))
    source = source_of(path, ANY)
    assert (source.outcome, source.width_px) == ("ready", 160)


def test_a_single_picture_is_footage_of_its_own_length(tmp_path: Path) -> None:
    source = source_of(film(tmp_path / "a.mp4", n_frames=1))
    assert (source.n_frames, source.pictures_end_frame) == (1, 1)


def test_progress_is_told_while_a_long_file_is_read(tmp_path: Path) -> None:
    beats: list[None] = []
    probe(film(tmp_path / "a.mp4"), lambda: beats.append(None))
    assert beats


def test_the_upright_size_is_even_square_and_turned() -> None:
    assert upright_size(720, 576, Fraction(16, 15), 0) == (768, 576)
    assert upright_size(720, 480, Fraction(8, 9), 0) == (720, 540)
    assert upright_size(1920, 1080, Fraction(1), 90) == (1080, 1920)
    assert upright_size(1920, 1080, Fraction(1), 180) == (1920, 1080)
    assert upright_size(853, 479, Fraction(1), 0) == (852, 478)
    assert upright_size(1, 1, Fraction(1), 0) == (1, 1)
