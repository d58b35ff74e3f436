"""Pictures of a file: key frames alone (nearly free), or every grid frame in one forward decode.

    pictures of the file   |p0     |p1     |p2                   |p3     |p4
    grid frames            |p0  |p1  |p2  |p2  | none |none |p3  |p3  |p4  |     the nearest, or none in a hole

Pictures travel as av.VideoFrame, set upright (see `upright`); `planes` reads them without converting the whole.
"""

import heapq
import math
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av.error
from av import Packet, VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

from vividhead.errors import MediaError
from vividhead.media.opening import open_media, packets_of, seek, stamp_of, video_stream
from vividhead.media.planes import Picture, Planes, rgb_from_i420
from vividhead.media.upright import Upright
from vividhead.records import GRID_FPS, Source

__all__ = ["DecodeLog", "GridFrame", "Picture", "Planes", "key_frames", "pictures", "rgb_from_i420"]

SEEK_BACK_S = (1, 10, 60)
"""How far before a span to look for a key frame to start from, tried in turn before starting at the file's head."""
KEY_SEEK_BACK_S = 3
"""How far before a span to begin looking for key frames."""
FIRST_PICTURES = 4
PATIENCE_PACKETS = 500
"""How many pictures are looked at to see what they are like, and how many packets may hold none before that."""
SECOND_NS = 1_000_000_000
GRID_NS = SECOND_NS // GRID_FPS

Timed = tuple[int, VideoFrame]
"""Nanoseconds since the source's first grid frame, and the picture shown from then on."""


@dataclass(slots=True)
class DecodeLog:
    """What went wrong while decoding; grows while an iterator is read."""

    errors: int = 0
    """Packets that the decoder refused, and pictures of which it had to guess a part."""
    pictures: int = 0
    """Pictures decoded whole, also those not used."""


@dataclass(frozen=True, slots=True)
class GridFrame:
    """One frame of the 25 fps grid and the picture shown at that time."""

    frame: int
    """Grid frame in the source."""
    picture: Picture | None
    """None where no picture lies within reach (a hole in the footage)."""
    repeated: bool
    """The same picture as the grid frame before (footage under 25 fps); never so in the first frame of a span."""


def pictures(
    path: Path, source: Source, start_frame: int, end_frame: int, max_gap_s: float, log: DecodeLog | None = None
) -> Iterator[GridFrame]:
    """Yield every grid frame of `[start_frame, end_frame)` with the picture nearest in presentation time.

    Each picture is decoded once, forward. Where pictures are more than `max_gap_s` apart, or after the last one,
    the grid frames between are yielded with `picture=None`: nothing is silently frozen. Pictures from one that
    could not be decoded whole up to the next key frame are missing too: they build on what is broken.
    """
    max_gap_ns = int(max_gap_s * SECOND_NS)
    usual_ns = int(SECOND_NS / (source.fps or GRID_FPS))
    lasts_ns = max(GRID_NS // 2, min(usual_ns, max_gap_ns))
    frame = start_frame
    shown: Timed | None = None
    fresh = False

    def fill(until_ns: int) -> Iterator[GridFrame]:
        """Grid frames up to and including this time show the present picture, or none."""
        nonlocal frame, fresh
        while frame < end_frame and frame * GRID_NS <= until_ns:
            yield GridFrame(frame, shown[1], not fresh) if shown is not None else GridFrame(frame, None, False)
            fresh = False
            frame += 1

    run = _from(path, source, start_frame * GRID_NS, log if log is not None else DecodeLog())
    with closing(run):
        for arrived in run:
            if shown is not None and arrived[0] - shown[0] <= max_gap_ns:
                yield from fill((shown[0] + arrived[0]) // 2)
            else:
                if shown is not None:
                    yield from fill(shown[0] + lasts_ns - 1)
                shown = None
                yield from fill(arrived[0] - GRID_NS // 2 - 1)
            shown, fresh = arrived, True
            if frame >= end_frame:
                return
    if shown is not None:
        yield from fill(shown[0] + lasts_ns - 1)
    shown = None
    yield from fill(end_frame * GRID_NS)


def _from(path: Path, source: Source, start_ns: int, log: DecodeLog) -> Generator[Timed, None, None]:
    """Decode from a key frame at or before `start_ns`; containers with a poor index are read from further back."""
    start_s = Fraction(start_ns, SECOND_NS)
    for back_s in [*(b for b in SEEK_BACK_S if start_s - b > 2), None]:
        with open_media(path) as container:
            film = _film(container)
            if back_s is not None and not seek(container, film, source, start_s - back_s):
                continue
            run = _timed(container, film, source, log, from_head=back_s is None)
            first = next(run, None)
            if first is not None and (back_s is None or first[0] <= start_ns):
                yield first
                yield from run
                return


def _film(container: InputContainer) -> VideoStream:
    film = video_stream(container)
    if film is None:
        raise MediaError("failed.changed", "the video stream seen at ingest is gone")
    return film


def _timed(
    container: InputContainer, film: VideoStream, source: Source, log: DecodeLog, *, from_head: bool
) -> Iterator[Timed]:
    """The stream's whole pictures, upright, in rising time, from the first key frame on."""
    upright = Upright(source, film.time_base)
    zero, base = Fraction(*source.zero_s_in_container), film.time_base or Fraction(1, GRID_FPS)
    per_s = math.lcm(zero.denominator, base.denominator)
    tick, start = int(base * per_s), int(zero * per_s)
    last = -math.inf

    def placed(picture: VideoFrame) -> Timed | None:
        nonlocal last
        time_ns = (((picture.pts or 0) * tick - start) * SECOND_NS + per_s // 2) // per_s
        if time_ns <= last:
            return None
        last = time_ns
        return time_ns, picture

    for frame in _whole(container, film, log, from_head=from_head):
        for picture in upright(frame):
            if (timed := placed(picture)) is not None:
                yield timed
    for picture in upright.rest():
        if (timed := placed(picture)) is not None:
            yield timed


def _whole(
    container: InputContainer, film: VideoStream, log: DecodeLog, *, from_head: bool, most_packets: int | None = None
) -> Iterator[VideoFrame]:
    """The decoder's pictures without those that are broken or build on something broken or missing.

    What cannot be decoded before the first key packet is a fault only at the head of the file: elsewhere it is how
    seeking works. (An edit list may hide the key picture itself.)
    """
    stamps: list[int] | None = [] if container.format.name == "avi" else None
    started, whole = from_head, False

    def is_whole(frame: VideoFrame) -> bool:
        nonlocal whole
        _stamp(frame, stamps)
        if frame.is_corrupt:
            log.errors += started
            whole = False
        elif not whole:
            whole = frame.key_frame
        if not whole or frame.pts is None:
            return False
        log.pictures += 1
        return True

    fed = False
    for packet in islice(packets_of(container, [film]), most_packets):
        if packet is None:
            log.errors += 1
            break
        if stamps is not None and (stamp := stamp_of(packet)) is not None:
            heapq.heappush(stamps, stamp)
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            log.errors += started
            whole = False
            continue
        if packet.is_keyframe and not fed:
            fed = started = whole = True
        yield from filter(is_whole, frames)
    with suppress(av.error.FFmpegError):
        yield from filter(is_whole, film.codec_context.decode(None))  # what it held when the file broke off


def _stamp(frame: VideoFrame, stamps: list[int] | None) -> None:
    """Give a picture its time. AVI stamps them in the order of decoding, so each gets the earliest not given yet.

    Times of packets that gave no picture are left over; at a key frame all before it are done with.
    """
    if frame.pts is None:
        frame.pts = frame.dts
    if stamps is None:
        return
    while frame.key_frame and frame.pts is not None and stamps and stamps[0] < frame.pts:
        heapq.heappop(stamps)
    if stamps:
        frame.pts = heapq.heappop(stamps)


def first_pictures(container: InputContainer, film: VideoStream, log: DecodeLog) -> list[VideoFrame]:
    """The first few whole pictures as they are coded, or none when a long stretch of the file holds none."""
    frames = _whole(container, film, log, from_head=True, most_packets=PATIENCE_PACKETS)
    return list(islice(frames, FIRST_PICTURES))


def key_frames(
    path: Path, source: Source, start_frame: int, end_frame: int, min_gap_s: float
) -> Iterator[tuple[float, Picture]]:
    """Yield (seconds in source, picture) of the span's key frames and the one before it; nothing else is decoded.

    They are at least `min_gap_s` apart. One field's combing does not hide a face: nothing is deinterlaced.
    """
    last_s = -math.inf
    with open_media(path) as container:
        film = _film(container)
        upright = Upright(source, film.time_base, deinterlace=False)
        for time_s, packet in _key_packets(container, film, source, start_frame, end_frame):
            if time_s < last_s + min_gap_s:
                continue
            for frame in _lone_picture(film, packet):
                for picture in upright(frame):
                    last_s = time_s
                    yield time_s, picture


def _key_packets(
    container: InputContainer, film: VideoStream, source: Source, start_frame: int, end_frame: int
) -> "Iterator[tuple[float, Packet[VideoStream]]]":
    """(seconds in source, packet) of the last key frame before the span and all in it."""
    start_s, end_s = Fraction(start_frame, GRID_FPS), Fraction(end_frame, GRID_FPS)
    zero, base = Fraction(*source.zero_s_in_container), film.time_base or Fraction(1, GRID_FPS)
    if start_s > KEY_SEEK_BACK_S:  # without an index reading may begin later than asked; if it fails, at the head
        seek(container, film, source, start_s - KEY_SEEK_BACK_S)
    before: list[tuple[float, Packet[VideoStream]]] = []
    for packet in packets_of(container, [film]):
        stamp = stamp_of(packet) if packet is not None else None
        if packet is None or stamp is None or not packet.is_keyframe:
            continue
        time_s = stamp * base - zero
        if time_s < start_s:
            before = [(float(time_s), packet)]
            continue
        yield from before
        before = []
        if time_s >= end_s:
            return
        yield float(time_s), packet
    yield from before


def _lone_picture(film: VideoStream, packet: "Packet[VideoStream]") -> list[VideoFrame]:
    """Decode one key packet by itself: drained and reset, so that no reordering delays or drops it."""
    try:
        frames = film.codec_context.decode(packet) + film.codec_context.decode(None)
    except av.error.FFmpegError:
        frames = []
    film.codec_context.flush_buffers()
    return frames
