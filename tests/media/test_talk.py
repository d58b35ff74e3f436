"""Talks as written: pictures and sound exactly as long as each other, in place, in their colours."""

import struct
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from media.truth import beep, number_in, numbered, onsets_s, remuxed
from vividhead.media import EncodeOptions, all_sound
from vividhead.media.talk import TalkWriter, tags_of

SIDE_PX = 96
OPTIONS = EncodeOptions(side_px=SIDE_PX, crf=18, preset="veryfast", gop_frames=50, aac_kbps=96)
BEEP_S = 1.36


def pictures(n_frames: int) -> NDArray[np.uint8]:
    return np.stack(list(numbered(range(n_frames), SIDE_PX, SIDE_PX)))


def write(path: Path, n_frames: int, at_once: int = 24) -> Path:
    """`n_frames` numbered pictures and a beep, added in chunks."""
    frames_THWC, audio_S = pictures(n_frames), beep(n_frames / 25, BEEP_S, 16_000)
    writer = TalkWriter(path, OPTIONS, {"comment": "of a test", "seed": "7"})
    for at in range(0, n_frames, at_once):
        part = slice(at, at + at_once)
        writer.add(frames_THWC[part], audio_S[at * 640 : (at + at_once) * 640])
    writer.finish()
    assert writer.n_frames == n_frames
    return path


@pytest.mark.parametrize("n_frames", [1, 2, 8, 24, 33, 57, 131])
def test_pictures_and_sound_are_exactly_as_long(n_frames: int, tmp_path: Path) -> None:
    """Also where the sound does not fill its last packet of 1024 samples."""
    path = write(tmp_path / "talk.mp4", n_frames)
    with av.open(str(path)) as container:
        film, voice = container.streams.video[0], container.streams.audio[0]
        assert container.duration == n_frames * 40_000
        assert (film.start_time, voice.start_time) == (0, 0)
        assert film.duration * film.time_base == voice.duration * voice.time_base == Fraction(n_frames, 25)
        assert (film.frames, film.average_rate, voice.sample_rate) == (n_frames, 25, 16_000)
        frames = list(container.decode(film))
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(k, 25) for k in range(n_frames)]
    assert [number_in(frame) for frame in frames] == list(range(n_frames))
    with wave.open(str(remuxed(path, tmp_path / "heard.wav", c="pcm_s16le"))) as heard:
        assert (heard.getnframes(), heard.getframerate()) == (n_frames * 640, 16_000)


def test_sound_begins_with_the_first_picture(tmp_path: Path) -> None:
    heard_S = np.concatenate(list(all_sound(write(tmp_path / "talk.mp4", 57))))
    assert onsets_s(heard_S) == [pytest.approx(BEEP_S, abs=0.002)]


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of each box of an mp4, and of those inside the ones that hold others."""
    end = len(data) if end is None else end
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        yield kind, start + 8, start + size
        if kind in (b"moov", b"trak", b"edts"):
            yield from boxes(data, start + 8, start + size)
        start += size


def test_what_the_header_says_is_equal_for_both_tracks(tmp_path: Path) -> None:
    """Players go by the movie's, the tracks' and the edit lists' durations, here in thousandths of a second."""
    data = write(tmp_path / "talk.mp4", 57).read_bytes()
    kinds = [kind for kind, *_ in boxes(data)]
    assert kinds.index(b"moov") < kinds.index(b"mdat"), "so that it plays while it loads"
    milliseconds = {b"mvhd": 16, b"tkhd": 20, b"elst": 8}
    said = [
        (k, struct.unpack_from(">I", data, at + milliseconds[k])[0]) for k, at, _ in boxes(data) if k in milliseconds
    ]
    assert sorted(said) == [(b"elst", 2280), (b"elst", 2280), (b"mvhd", 2280), (b"tkhd", 2280), (b"tkhd", 2280)]


def test_how_it_comes_changes_nothing(tmp_path: Path) -> None:
    once = write(tmp_path / "a.mp4", 57, at_once=57).read_bytes()
    assert write(tmp_path / "b.mp4", 57, at_once=1).read_bytes() == once
    assert write(tmp_path / "c.mp4", 57, at_once=24).read_bytes() == once


def test_sound_lies_beside_its_pictures_in_the_file(tmp_path: Path) -> None:
    with av.open(str(write(tmp_path / "talk.mp4", 131))) as container:
        places = [(p.pos, float(p.pts * p.time_base)) for p in container.demux() if p.pts is not None]
    in_file = [time_s for _, time_s in sorted(places)]
    assert max(b - a for a, b in zip(in_file, [*in_file[1:], in_file[-1]], strict=True)) < 2


def test_colours_are_those_given_and_said_to_be_bt709(tmp_path: Path) -> None:
    colours = np.array([(250, 250, 250), (10, 10, 10), (200, 40, 40), (40, 180, 60), (40, 60, 200), (220, 170, 140)])
    frames_THWC = np.broadcast_to(colours[:, None, None], (6, SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
    writer = TalkWriter(tmp_path / "talk.mp4", OPTIONS, {})
    writer.add(frames_THWC, np.zeros(6 * 640, np.float32))
    writer.finish()
    with av.open(str(tmp_path / "talk.mp4")) as container:
        frames = list(container.decode(video=0))
    for frame, colour in zip(frames, colours, strict=True):
        assert [int(tag) for tag in (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)] == [
            1
        ] * 4
        assert frame.format.name == "yuv420p"
        got = frame.to_ndarray(format="rgb24").reshape(-1, 3).mean(0)
        assert np.abs(got - colour).max() <= 4


def test_tags_of_any_name_are_kept(tmp_path: Path) -> None:
    tags = tags_of(write(tmp_path / "talk.mp4", 2))
    assert (tags["comment"], tags["seed"]) == ("of a test", "7")


def test_the_film_reaches_the_disk_while_it_comes(tmp_path: Path) -> None:
    """Memory holds what x264 looks ahead, not the film."""
    noise = np.random.default_rng(0).integers(0, 255, (8, SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
    writer = TalkWriter(tmp_path / "talk.mp4", OPTIONS, {})
    sizes = []
    for _ in range(25):
        writer.add(noise, np.zeros(8 * 640, np.float32))
        sizes.append((tmp_path / "talk.mp4").stat().st_size if (tmp_path / "talk.mp4").exists() else 0)
    writer.finish()
    assert sizes[-1] > 0.7 * (tmp_path / "talk.mp4").stat().st_size


def test_samples_that_do_not_fit_the_pictures_are_a_mistake(tmp_path: Path) -> None:
    writer = TalkWriter(tmp_path / "talk.mp4", OPTIONS, {})
    with pytest.raises(ValueError, match="zip"):
        writer.add(pictures(2), np.zeros(640, np.float32))
    writer.abandon()
