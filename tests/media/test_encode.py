"""Clips as written: exactly T frames and 640 T samples, the crop, the colours, the same bytes every time."""

import gc
import io
import tempfile
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from media.truth import beep, numbered, onsets_s, source_of
from vividhead.media import ClipWriter, EncodeOptions, flac, pictures, sound
from vividhead.media.planes import Planes
from vividhead.records import Source
from vividhead.testing import write_video

OPTIONS = EncodeOptions(side_px=128, crf=18, preset="veryfast", gop_frames=50, aac_kbps=96)
START, END = 10, 150


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Source]:
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    write_video(path, numbered(range(160), 320, 180), audio=beep(6.4, 3.0), audio_rate_hz=48_000)
    return path, source_of(path)


def clip(path: Path, source: Source, crop: tuple[int, int, int, int], start: int = START, end: int = END) -> bytes:
    writer = ClipWriter(crop, sound(path, source, start, end), OPTIONS)
    for frame in pictures(path, source, start, end, 0.5):
        assert frame.picture is not None
        writer.add(frame.picture)
    assert writer.n_frames == end - start
    return writer.finish()


@pytest.fixture(scope="module")
def mp4(film: tuple[Path, Source]) -> bytes:
    return clip(*film, (100, 0, 280, 180))


def test_a_clip_has_exactly_its_frames_on_the_grid(mp4: bytes) -> None:
    with av.open(io.BytesIO(mp4)) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.frames, stream.start_time) == (25, END - START, 0)
        frames = list(container.decode(stream))
    times = [frame.pts * frame.time_base for frame in frames]
    assert times == [Fraction(k, 25) for k in range(END - START)]
    assert {(f.width, f.height, f.format.name) for f in frames} == {(128, 128, "yuv420p")}
    assert {(int(f.colorspace), int(f.color_range)) for f in frames} == {(1, 1)}, "BT.709 in video range, and says so"


def test_groups_of_pictures_are_closed_and_begin_where_they_should(mp4: bytes) -> None:
    with av.open(io.BytesIO(mp4)) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
        keys = [p for p in packets if p.is_keyframe]
        at = [round(p.pts * p.time_base * 25) for p in keys]
        assert at == [0, 50, 100]
        for key, following in zip(keys, [*keys[1:], None], strict=True):
            group = packets[packets.index(key) : packets.index(following) if following else None]
            assert min(p.pts for p in group) == key.pts, "no picture leads its key frame"
        container.seek(0)
        whole = [f.to_ndarray() for f in container.decode(video=0)]
        container.seek(2 * av.time_base)
        after = [f.to_ndarray() for f in container.decode(video=0)]
    assert len(after) == END - START - 50
    assert all(np.array_equal(a, b) for a, b in zip(after, whole[50:], strict=True))


def test_its_sound_is_as_long_and_in_place(mp4: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4)
    with av.open(str(path)) as container:
        voice = container.streams.audio[0]
        assert voice.duration * voice.time_base == Fraction(END - START, 25)
        assert (voice.sample_rate, voice.codec_context.channels) == (16_000, 1)
    source = source_of(path)
    assert onsets_s(sound(path, source, 0, source.n_frames)) == [pytest.approx(3.0 - START / 25, abs=0.002)]


def test_sound_lies_beside_its_pictures_in_the_file(film: tuple[Path, Source], mp4: bytes) -> None:
    """Else players that load as they play wait for the whole file."""
    with av.open(io.BytesIO(mp4)) as container:
        places = [(p.pos, float(p.pts * p.time_base)) for p in container.demux() if p.pts is not None]
    in_file = [time_s for _, time_s in sorted(places)]
    assert max(b - a for a, b in zip(in_file, [*in_file[1:], in_file[-1]], strict=True)) < 2


def test_the_same_clip_is_the_same_bytes(film: tuple[Path, Source], mp4: bytes) -> None:
    path, source = film
    assert clip(path, source, (100, 0, 280, 180)) == mp4
    samples_S = sound(path, source, START, END)
    assert flac(samples_S) == flac(samples_S.copy())


def test_flac_has_exactly_the_samples_given(film: tuple[Path, Source]) -> None:
    path, source = film
    for start, end in ((START, END), (0, 1), (3, 79)):
        samples_S = sound(path, source, start, end)
        with av.open(io.BytesIO(flac(samples_S))) as container:
            assert container.streams.audio[0].sample_rate == 16_000
            read_S = np.concatenate([f.to_ndarray().reshape(-1) for f in container.decode(audio=0)])
        assert len(read_S) == 640 * (end - start)
        assert np.array_equal(read_S, np.clip(np.rint(samples_S * 32768), -32768, 32767))


def test_full_scale_does_not_wrap_around() -> None:
    with av.open(io.BytesIO(flac(np.array([1.0, -1.0, 0.0] * 640, np.float32)))) as container:
        read_S = np.concatenate([f.to_ndarray().reshape(-1) for f in container.decode(audio=0)])
    assert read_S[:3].tolist() == [32767, -32768, 0]


def chequers() -> NDArray[np.uint8]:
    """Squares of 20 px whose grey says their column and row."""
    rows, columns = np.mgrid[0:180, 0:320] // 20
    grey = (30 + 12 * columns + 3 * (rows % 2)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("crop", [(0, 0, 180, 180), (140, 0, 320, 180), (60, 20, 188, 148), (200, 100, 264, 164)])
def test_the_crop_is_the_part_asked_for(crop: tuple[int, int, int, int], tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [chequers()] * 5, audio=beep(0.2, 0), audio_rate_hz=48_000)
    with av.open(io.BytesIO(clip(path, source_of(path), crop, 0, 5))) as container:
        got_HW = Planes(next(container.decode(video=0))).y_HW.astype(float)
    x0, y0, x1, _ = crop
    scale = (x1 - x0) / 128
    truth_HW = chequers()[..., 0].astype(float) * 219 / 255 + 16
    for at in range(4, 128, 8):
        x, y = int(x0 + (at + 0.5) * scale), int(y0 + (at + 0.5) * scale)
        near = truth_HW[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4]
        assert near.min() - 6 <= got_HW[at, at] <= near.max() + 6


def test_a_writer_that_is_dropped_leaves_no_file(
    film: tuple[Path, Source], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path, source = film
    writer = ClipWriter((0, 0, 180, 180), sound(path, source, 0, 5), OPTIONS)
    assert list(tmp_path.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del writer
        gc.collect()
    assert list(tmp_path.iterdir()) == []
