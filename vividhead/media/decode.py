"""Pictures of a file: key frames alone (nearly free), or every grid frame in one forward decode.

Axes: H W picture, C channel. Pictures travel as av.VideoFrame in yuv420p, upright, square pixels, progressive;
`planes` and the `as_*` functions read them without converting the whole picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from av import Packet, VideoFrame
from av.container import InputContainer
from av.filter import Graph
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vividhead.errors import MediaError
from vividhead.media.probe import open_media, upright_size, video_stream
from vividhead.records import GRID_FPS, Source

Picture = VideoFrame
"""A decoded picture as the rooms above pass it on: upright, square pixels, yuv420p. Read it through `Planes`."""

SEEK_BACK_S = (1, 10, 60)
"""How far before a span to look for a key frame to start from, tried in turn before starting at the file's head."""


@dataclass(slots=True)
class DecodeLog:
    """What went wrong while decoding; grows while an iterator is read."""

    errors: int = 0
    """Packets the decoder refused."""
    pictures: int = 0
    """Pictures decoded, also those not used."""


@dataclass(frozen=True, slots=True)
class GridFrame:
    """One frame of the 25 fps grid and the picture shown at that time."""

    frame: int
    """Grid frame in the source."""
    picture: VideoFrame | None
    """None where no picture lies within reach (a hole in the footage)."""
    repeated: bool
    """The same picture as the grid frame before (footage under 25 fps)."""


@dataclass(slots=True)
class _Upright:
    """Sets pictures upright, square, progressive, 8-bit yuv420p; passes plain ones through untouched."""

    source: Source
    _graph: Graph | None = None
    _size: tuple[int, int, str] | None = None

    def __call__(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        s = self.source
        if not (s.rotation_deg or s.interlaced or s.sample_aspect != (1, 1)):
            yield self._fit(frame)
            return
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is None or self._size != kind:
            self._graph, self._size = self._build(frame), kind
        self._graph.push(frame)
        yield from self._drain()

    def rest(self) -> Iterator[VideoFrame]:
        """Pictures the deinterlacer still holds at the end."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._drain()

    def _drain(self) -> Iterator[VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                out = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(out, VideoFrame)
            yield self._fit(out)

    def _build(self, frame: VideoFrame) -> Graph:
        s = self.source
        steps: list[tuple[str, str]] = []
        if s.interlaced:
            steps.append(("bwdif", "mode=send_frame:deint=interlaced"))
        square = upright_size(frame.width, frame.height, Fraction(*s.sample_aspect), 0)
        steps.append(("scale", f"{square[0]}:{square[1]}:flags=bicubic"))
        steps.append(("setsar", "1"))
        turns = {90: [("transpose", "cclock")], 180: [("hflip", ""), ("vflip", "")], 270: [("transpose", "clock")]}
        steps += turns.get(s.rotation_deg, [])
        steps.append(("format", "yuv420p"))
        graph = Graph()
        last = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        for name, args in steps:
            node = graph.add(name, args) if args else graph.add(name)
            last.link_to(node)
            last = node
        last.link_to(graph.add("buffersink"))
        graph.configure()
        return graph

    def _fit(self, frame: VideoFrame) -> VideoFrame:
        width, height = self.source.width_px, self.source.height_px
        plain = frame.format.name == "yuv420p" and frame.width == width and frame.height == height
        return frame if plain else frame.reformat(width=width, height=height, format="yuv420p")


def _decoded(
    container: InputContainer, film: VideoStream, source: Source, log: DecodeLog
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """(seconds on the source's clock, picture) from where the container stands, in rising time."""
    zero = Fraction(*source.zero_s_in_container)
    upright = _Upright(source)
    last = Fraction(-1_000_000)

    def timed(frames: Iterator[VideoFrame]) -> Iterator[tuple[Fraction, VideoFrame]]:
        nonlocal last
        for frame in frames:
            stamp = frame.pts if frame.pts is not None else frame.dts
            if stamp is None:
                continue
            time = stamp * frame.time_base - zero
            if time > last:
                last = time
                yield time, frame

    for packet in _packets(container, film, log):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            log.errors += 1
            continue
        for frame in frames:
            log.pictures += 1
            yield from timed(upright(frame))
    yield from timed(upright.rest())


def _packets(container: InputContainer, film: VideoStream, log: DecodeLog) -> Iterator[Packet]:
    """The stream's packets up to its end or up to where the file is torn."""
    packets = container.demux(film)
    while True:
        try:
            yield next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            log.errors += 1
            return


def _from(path: Path, source: Source, start_s: Fraction, log: DecodeLog) -> Iterator[tuple[Fraction, VideoFrame]]:
    """Decode from a key frame at or before `start_s`; containers with a poor index are read from further back."""
    zero = Fraction(*source.zero_s_in_container)
    backs = [b for b in SEEK_BACK_S if start_s - b > 2]
    for back_s in [*backs, None]:
        with open_media(path) as container:
            film = _film(container)
            if back_s is not None:
                target = int((start_s - back_s + zero) / film.time_base)
                try:
                    container.seek(target, stream=film, backward=True)
                except av.error.FFmpegError:
                    continue
            run = _decoded(container, film, source, log)
            first = next(run, None)
            if first is None or (back_s is not None and first[0] > start_s):
                continue
            yield first
            yield from run
            return


def _film(container: InputContainer) -> VideoStream:
    film = video_stream(container)
    if film is None:
        raise MediaError("failed.changed", "the video stream seen at ingest is gone")
    film.codec_context.thread_count = 1
    return film


def pictures(
    path: Path, source: Source, start_frame: int, end_frame: int, max_gap_s: float, log: DecodeLog | None = None
) -> Iterator[GridFrame]:
    """Yield every grid frame of `[start_frame, end_frame)` with the picture nearest in presentation time.

    Each picture is decoded once, forward. Where pictures are more than `max_gap_s` apart, or after the last one,
    the grid frames between are yielded with `picture=None`: nothing is silently frozen.
    """
    log = log if log is not None else DecodeLog()
    grid = Fraction(1, GRID_FPS)
    half = grid / 2
    nominal = max(1 / Fraction(source.fps or GRID_FPS).limit_denominator(1001), Fraction(1, 240))
    frame = start_frame
    shown: tuple[Fraction, VideoFrame] | None = None
    fresh = False

    def fill(until: Fraction) -> Iterator[GridFrame]:
        """Grid frames up to and including time `until` show the present picture, or a hole."""
        nonlocal frame, fresh
        while frame < end_frame and frame * grid <= until:
            yield GridFrame(frame, shown[1] if shown is not None else None, not fresh)
            fresh = shown is None
            frame += 1

    for arrived in _from(path, source, start_frame * grid, log):
        if shown is not None:
            gap = arrived[0] - shown[0]
            if gap <= Fraction(max_gap_s):
                yield from fill(shown[0] + gap / 2)
            else:
                yield from fill(shown[0] + nominal / 2)
                shown = None
                yield from fill(arrived[0] - half - Fraction(1, 10**6))
        elif frame * grid < arrived[0] - half:
            yield from fill(arrived[0] - half - Fraction(1, 10**6))
        shown, fresh = arrived, True
        if frame >= end_frame:
            return
    if shown is not None:
        yield from fill(shown[0] + max(nominal, grid) / 2)
    shown = None
    yield from fill(Fraction(end_frame))


def key_frames(
    path: Path, source: Source, start_frame: int, end_frame: int, min_gap_s: float
) -> Iterator[tuple[float, VideoFrame]]:
    """Yield (seconds in source, picture) of key frames in the span, at least `min_gap_s` apart; nothing else is decoded."""
    zero = Fraction(*source.zero_s_in_container)
    upright = _Upright(replace(source, interlaced=False))  # one field's combing does not hide a face
    with open_media(path) as container:
        film = _film(container)
        if start_frame > 0:
            container.seek(
                int((Fraction(start_frame, GRID_FPS) + zero) / film.time_base), stream=film, backward=True
            )
        last = -float("inf")
        for packet in _packets(container, film, DecodeLog()):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or not packet.is_keyframe:
                continue
            time = float(stamp * packet.time_base - zero)
            if time >= end_frame / GRID_FPS:
                return
            if time < last + min_gap_s:
                continue
            for frame in _lone_picture(film, packet):
                frame.time_base = packet.time_base
                for picture in upright(frame):
                    last = time
                    yield time, picture


def _lone_picture(film: VideoStream, packet: Packet) -> list[VideoFrame]:
    """Decode one key packet by itself: drained and reset, so that no reordering delays or drops it."""
    try:
        frames = film.codec_context.decode(packet) + film.codec_context.decode(None)
    except av.error.FFmpegError:
        frames = []
    film.codec_context.flush_buffers()
    return frames


@dataclass(slots=True)
class Planes:
    """Zero-copy views of a yuv420p picture's three planes, and crops and thumbnails made from them."""

    picture: VideoFrame
    y_HW: NDArray[np.uint8] = field(init=False)
    u_HW: NDArray[np.uint8] = field(init=False)
    v_HW: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.y_HW, self.u_HW, self.v_HW = (
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            for plane in self.picture.planes
        )

    def thumbnail_HWC(
        self, width_px: int, *, order: int = cv2.COLOR_YUV2RGB_I420, how: int = cv2.INTER_AREA
    ) -> NDArray[np.uint8]:
        """The whole picture, about `width_px` wide and even-sized, as RGB (or as `order` says); never enlarged.

        `how`: INTER_AREA looks at all pixels (or every other), INTER_LINEAR only at four for each it makes.
        """
        height, width = self.y_HW.shape
        step = max(1, width // (2 * width_px)) if how == cv2.INTER_AREA else 1
        wide = min(width_px, width) // 4 * 4
        high = max(4, round(height * wide / width) // 4 * 4)
        luma = cv2.resize(self.y_HW[::step, ::step], (wide, high), interpolation=how)
        chroma = [
            cv2.resize(p[::step, ::step], (wide // 2, high // 2), interpolation=how) for p in (self.u_HW, self.v_HW)
        ]
        return _rgb(luma, chroma[0], chroma[1], order)

    def square_i420(self, x0: int, y0: int, side: int, out_px: int) -> NDArray[np.uint8]:
        """An even-placed square of the picture, resized to `out_px`, as I420 (out_px * 3 / 2, out_px).

        Parts outside the picture repeat its border. Half the memory of RGB: `rgb_from_i420` makes RGB of it.
        """
        parts = [_square(self.y_HW, x0, y0, side, out_px)]
        parts += [_square(p, x0 // 2, y0 // 2, side // 2, out_px // 2) for p in (self.u_HW, self.v_HW)]
        flat = np.concatenate([part.reshape(-1) for part in parts])
        return flat.reshape(out_px * 3 // 2, out_px)


def _square(plane_HW: NDArray[np.uint8], x0: int, y0: int, side: int, out_px: int) -> NDArray[np.uint8]:
    height, width = plane_HW.shape
    inside = plane_HW[max(0, y0) : max(1, min(height, y0 + side)), max(0, x0) : max(1, min(width, x0 + side))]
    if inside.shape != (side, side):
        inside = cv2.copyMakeBorder(
            inside, max(0, -y0), max(0, y0 + side - height), max(0, -x0), max(0, x0 + side - width),
            cv2.BORDER_REPLICATE,
        )  # fmt: skip
    how = cv2.INTER_AREA if side > out_px else cv2.INTER_LINEAR
    return cv2.resize(inside, (out_px, out_px), interpolation=how).astype(np.uint8, copy=False)


def _rgb(
    luma: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8], order: int
) -> NDArray[np.uint8]:
    height, width = luma.shape
    flat = np.concatenate([luma.reshape(-1), u.reshape(-1), v.reshape(-1)])
    return cv2.cvtColor(flat.reshape(height * 3 // 2, width), order).astype(np.uint8, copy=False)


def rgb_from_i420(i420: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB (H, W, 3) of an I420 picture (3H/2, W), by BT.601 limited range."""
    return cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420).astype(np.uint8, copy=False)
