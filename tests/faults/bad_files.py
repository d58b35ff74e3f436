"""Files that are no good footage, each in its own way."""

import io
import random
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import av
import numpy as np

from faults.film import Film
from vividhead.testing import VideoFormat, speak, write_video

_HTML = "<!DOCTYPE html><html><head><title>404</title></head><body>no such video</body></html>\n"
_FREE_BOX = b"\0\0\0\x08free"  # an MP4 may end with any number of these: another file with the same film


def _empty(path: Path, film: Film) -> None:
    path.touch()


def _text(path: Path, film: Film) -> None:
    path.write_text("1. interview\n2. the harbour at seven\n", encoding="utf-8")


def _page(path: Path, film: Film) -> None:
    """What a download brings of a film that is gone."""
    path.write_text(_HTML, encoding="utf-8")


def _no_moov(path: Path, film: Film) -> None:
    """An upload that stopped: the index, at the end, is missing."""
    whole = film.small.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _cut_mid_gop(path: Path, film: Film) -> None:
    """The index is there, the last 40 % of the data are not."""
    whole = path.with_suffix(".whole")
    with (
        av.open(str(film.small)) as source,
        av.open(str(whole), "w", format="mp4", options={"movflags": "faststart"}) as target,
    ):
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    data = whole.read_bytes()
    whole.unlink()
    path.write_bytes(data[: len(data) * 6 // 10])


def _corrupt(path: Path, film: Film) -> None:
    """Whole packets in the middle are noise."""
    data = bytearray(film.kept.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60_000] = random.Random(7).randbytes(60_000)
    path.write_bytes(data)


def _zip(path: Path, film: Film) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("take1.mp4", film.small.read_bytes())
    path.write_bytes(packed.getvalue())


def _sound_only(path: Path, film: Film) -> None:
    speech = speak("There is nothing to see here.")
    write_video(path, None, audio=speech.samples_S, audio_rate_hz=speech.rate_hz)


def _picture_only(path: Path, film: Film) -> None:
    write_video(path, (np.full((240, 320, 3), 4 * k, np.uint8) for k in range(50)))


def _no_time(path: Path, film: Film) -> None:
    """An index of two streams without a single packet."""
    with av.open(str(film.small)) as source, av.open(str(path), "w") as target:
        for stream in source.streams:
            target.add_stream_from_template(stream)
        target.start_encoding()


def _one_pixel(path: Path, film: Film) -> None:
    tone_S = (0.1 * np.sin(np.arange(4 * 16_000) / 20)).astype(np.float32)
    grey = VideoFormat(codec="rawvideo", pixel_format="gray")
    write_video(path, (np.full((1, 1, 3), k, np.uint8) for k in range(100)), video=grey, audio=tone_S)


def _bomb(path: Path, film: Film) -> None:
    """A few kilobytes whose headers promise pictures of 16384 by 16384 pixels."""
    tone_S = (0.1 * np.sin(np.arange(4 * 16_000) / 20)).astype(np.float32)
    motion_jpeg = VideoFormat(codec="mjpeg", pixel_format="yuvj420p")
    write_video(path, (np.full((64, 48, 3), k, np.uint8) for k in range(100)), video=motion_jpeg, audio=tone_S)
    data = path.read_bytes()
    in_jpeg = b"\xff\xc0\x00\x11\x08"
    assert in_jpeg + b"\0\x40\0\x30" in data
    data = data.replace(in_jpeg + b"\0\x40\0\x30", in_jpeg + b"\x40\0\x40\0")
    in_avi = (48).to_bytes(4, "little") + (64).to_bytes(4, "little")
    assert in_avi in data
    path.write_bytes(data.replace(in_avi, (16384).to_bytes(4, "little") * 2))


def _as_it_is(path: Path, film: Film) -> None:
    path.write_bytes(film.small.read_bytes() + _FREE_BOX)


def _to_vanish(path: Path, film: Film) -> None:
    path.write_bytes(film.small.read_bytes() + 2 * _FREE_BOX)


def _to_grow(path: Path, film: Film) -> None:
    path.write_bytes(film.small.read_bytes() + 3 * _FREE_BOX)


def _to_be_rewritten(path: Path, film: Film) -> None:
    path.write_bytes(film.small.read_bytes() + 200 * _FREE_BOX)


MAKERS: Mapping[str, Callable[[Path, Film], None]] = {
    "empty.mp4": _empty,
    "no_moov.mp4": _no_moov,
    "cut_mid_gop.mp4": _cut_mid_gop,
    "corrupt.mp4": _corrupt,
    "text.mp4": _text,
    "page.mp4": _page,
    "zip.mp4": _zip,
    "sound_only.mp4": _sound_only,
    "picture_only.mp4": _picture_only,
    "no_time.mp4": _no_time,
    "one_pixel.mkv": _one_pixel,
    "bomb.avi": _bomb,
    "as_it_is.mp4": _as_it_is,
    "to_vanish.mp4": _to_vanish,
    "to_grow.mp4": _to_grow,
    "to_be_rewritten.mp4": _to_be_rewritten,
}


def make_bad_files(folder: Path, film: Film) -> None:
    """Write them all, and one that is as good as `film.small`."""
    folder.mkdir()
    for name, make in MAKERS.items():
        make(folder / name, film)
