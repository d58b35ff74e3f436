"""Pictures set upright, square, progressive, 8-bit yuv420p in video range, by FFmpeg's filters where need be."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av.error
from av import VideoFrame
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.reformatter import ColorRange

from vividhead.records import GRID_FPS, Source

FULL_RANGE = int(ColorRange.JPEG)  # read as a number: making the enum costs more than the whole check
Step = tuple[str, str]
"""A filter and its options."""


class Upright:
    """Sets a stream's pictures upright; plain ones pass through untouched.

    The deinterlacer looks ahead: what it still holds at the end comes from `rest`.
    """

    def __init__(self, source: Source, time_base: Fraction | None, *, deinterlace: bool = True) -> None:
        """Take the source, whose rotation and upright size hold for all pictures, and the clock of their stamps."""
        self._source = source
        self._time_base = time_base or Fraction(1, GRID_FPS)
        self._deinterlace = deinterlace
        self._fields = deinterlace and source.interlaced
        self._graph: Graph | None = None
        self._kind: tuple[object, ...] = ()

    def __call__(self, frame: VideoFrame) -> Iterable[VideoFrame]:
        """The pictures that are ready once `frame` is in."""
        return (frame,) if not self._fields and self._is_plain(frame) else self._filtered(frame)

    def _filtered(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        self._fields = self._fields or (self._deinterlace and frame.interlaced_frame)  # some films change half-way
        kind = (frame.width, frame.height, frame.format.name, frame.colorspace, _is_full(frame), self._fields)
        if kind != self._kind:
            yield from self.rest()
            self._graph, self._kind = self._built(frame), kind
        assert self._graph is not None
        self._graph.push(frame)
        yield from self._drained()

    def rest(self) -> Iterator[VideoFrame]:
        """Yield the pictures that are still held."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._drained()
            self._graph, self._kind = None, ()

    def _drained(self) -> Iterator[VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                out = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(out, VideoFrame)
            if out.pts is not None and out.time_base is not None:  # the deinterlacer counts in halves of a tick
                out.pts, out.time_base = round(out.pts * out.time_base / self._time_base), self._time_base
            yield out

    def _is_plain(self, frame: VideoFrame) -> bool:
        s = self._source
        return (
            frame.format.name == "yuv420p"
            and frame.width == s.width_px
            and frame.height == s.height_px
            and not s.rotation_deg
            and frame.color_range != FULL_RANGE
            and not (self._deinterlace and frame.interlaced_frame)
        )

    def _built(self, frame: VideoFrame) -> Graph:
        s = self._source
        steps: list[Step] = [("bwdif", "mode=send_frame:deint=interlaced")] if self._fields else []
        width, height = s.width_px or 0, s.height_px or 0
        if s.rotation_deg in (90, 270):
            width, height = height, width
        in_range = "pc" if _is_full(frame) else "tv"
        matrix = ":out_color_matrix=bt709" if frame.format.is_rgb else ""
        steps.append(("scale", f"{width}:{height}:flags=bicubic:in_range={in_range}:out_range=tv{matrix}"))
        steps.append(("setsar", "1"))
        quarter = ("transpose", "cclock")  # hflip and vflip would make pictures that run backwards in memory
        steps += [quarter] * (s.rotation_deg // 90)
        steps.append(("format", "yuv420p"))
        return chain(frame, self._time_base, steps)


def chain(frame: VideoFrame, time_base: Fraction, steps: list[Step]) -> Graph:
    """A graph that takes pictures like `frame` through the filters `steps`."""
    graph = Graph()
    last: FilterContext = graph.add(
        "buffer", video_size=f"{frame.width}x{frame.height}", pix_fmt=frame.format.name,
        time_base=str(time_base), pixel_aspect="1/1", colorspace=str(int(frame.colorspace)),
        range=str(int(frame.color_range)),
    )  # fmt: skip
    for name, options in [*steps, ("buffersink", "")]:
        node = graph.add(name, options) if options else graph.add(name)
        last.link_to(node)
        last = node
    graph.configure()
    return graph


def _is_full(frame: VideoFrame) -> bool:
    """Does 0 mean black and 255 white, as in a JPEG?"""
    return frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
