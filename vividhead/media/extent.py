"""From when to when a file's footage lasts, by the times of its packets; and whether that is all it promises."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av import Packet
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from vividhead.errors import MediaError
from vividhead.media.opening import packets_of, stamp_of

DECLARED_BY_STREAM = frozenset(("mov", "avi"))
DECLARED_AS_A_WHOLE = frozenset(("matroska", "flv", "asf"))
"""Containers whose header says how long the footage is, stream by stream or for all. For others FFmpeg guesses."""
TEAR_S = Fraction(1, 2)
"""A header may be so much wrong; a file that lacks more is torn."""
JUMP_S, RUN_PACKETS = 1, 25
"""Decoding times never go back. If they do by so much and go on from there for so many packets, files were joined
byte by byte; if they only come back from a leap ahead, a part is stamped wrongly."""
NEVER = -(1 << 62)
BEAT_PACKETS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """When the footage lasts, in container seconds. Packets beyond a tear are missing, but promised."""

    start: Fraction
    end: Fraction
    """The end of the last packet, or the promised end of torn footage."""
    film_start: Fraction
    film_end: Fraction
    """The first picture's time, and the end of the last one that is there; both are `start` without video."""
    torn: bool


@dataclass(slots=True)
class _Lane:
    """One stream's packets, in its own ticks."""

    stream: Stream
    usual_ticks: int
    first: int | None = None
    end: int = 0
    decoded: int | None = None
    """The last packet's decoding time."""
    run_start: int = 0
    run_packets: int = 0
    """Since when, and for how many packets, the clock has gone on evenly."""
    leapt: bool = False
    """That run began by a leap ahead."""
    reached: int = NEVER
    """How far the clock had gone in the runs before, but for leaps from which it came back."""
    jump: int = field(init=False)

    def __post_init__(self) -> None:
        """Put the limit into ticks: rational numbers for every packet would cost more than reading it."""
        self.jump = math.ceil(JUMP_S / self.base)

    def add(self, packet: "Packet[Any]") -> None:
        """Stretch the extent over one more packet."""
        stamp = stamp_of(packet)
        if stamp is None or packet.is_discard:  # the empty packet at the end; what an edit list cuts away
            return
        after = stamp + (packet.duration or self.usual_ticks)
        self.first, self.end = (stamp, after) if self.first is None else (min(self.first, stamp), max(self.end, after))

    def check_clock(self, packet: "Packet[Any]") -> None:
        """Raise MediaError where decoding times go back for good; a few wrong stamps are damage and pass."""
        now = packet.dts if packet.dts is not None else packet.pts
        if now is None:
            return
        last = now if self.decoded is None else self.decoded
        if abs(now - last) > self.jump:
            came_back = self.leapt and now >= self.reached - self.jump
            if not came_back and self.run_packets >= RUN_PACKETS:
                self.reached = max(self.reached, last)
            self.run_start, self.run_packets, self.leapt = now, 0, now > last
        self.run_packets += 1
        self.decoded = now
        if self.run_packets == RUN_PACKETS and self.run_start < self.reached - self.jump:
            back_s, after_s = ((t * self.base) for t in (self.reached - self.run_start, self.reached))
            where = f"goes back by {float(back_s):.1f} s after {float(after_s):.1f} s"
            raise MediaError("failed.clock_jumps", f"the clock {where}, as in files joined byte by byte: split it")

    @property
    def base(self) -> Fraction:
        return self.stream.time_base or Fraction(1)

    @property
    def start_s(self) -> Fraction:
        assert self.first is not None
        return self.first * self.base

    @property
    def end_s(self) -> Fraction:
        return self.end * self.base


def extent_of(
    container: InputContainer, film: VideoStream | None, voice: AudioStream | None, beat: Callable[[], None]
) -> Extent:
    """Read the times of all packets of these streams; nothing is decoded."""
    family = container.format.name.split(",")[0]
    footage = [_Lane(stream, _usual_ticks(stream)) for stream in (film, voice) if stream is not None]
    known = {lane.stream.index for lane in footage}
    beside = [_Lane(s, 0) for s in container.streams if s.index not in known and family in DECLARED_AS_A_WHOLE]
    broken = _read(container, footage, beside, beat)
    there = [lane for lane in footage if lane.first is not None]
    if not there:
        raise MediaError("failed.truncated", "the headers are there, the data is not")
    for lane in there:  # edit lists and codec delays begin a stream later than its first packet
        if lane.stream.start_time is not None:
            lane.first = lane.stream.start_time
    start, end = min(lane.start_s for lane in there), max(lane.end_s for lane in there)
    pictures = there[0] if there[0].stream is film else None
    film_start, film_end = (pictures.start_s, pictures.end_s) if pictures is not None else (start, start)
    promised, missing = Fraction(container.duration or 0, av.time_base), Fraction(0)
    if family in DECLARED_BY_STREAM and film is not None:
        missing = _declared(film, family) - (film_end - film_start)
    elif family in DECLARED_AS_A_WHOLE:
        last = max([end, *(lane.end_s for lane in beside if lane.first is not None)])
        missing = promised - max(last, last - start)
    torn = broken or missing > TEAR_S
    if torn:
        end = max(end, start + promised, film_end + missing)
    if end <= start:
        raise MediaError("failed.zero_duration", "the streams hold no time")
    return Extent(start=start, end=end, film_start=film_start, film_end=film_end, torn=torn)


def _read(
    container: InputContainer, footage: Sequence[_Lane], beside: Sequence[_Lane], beat: Callable[[], None]
) -> bool:
    """Show all packets to their lanes; True if reading broke off before the end."""
    lane_of = {lane.stream.index: lane for lane in (*footage, *beside)}
    needed = {lane.stream.index for lane in footage}
    for count, packet in enumerate(packets_of(container, [lane.stream for lane in lane_of.values()])):
        if packet is None:
            return True
        index = packet.stream.index  # `stream_index` of the empty packets at the end is 0
        lane_of[index].add(packet)
        if index in needed:
            lane_of[index].check_clock(packet)
        if count % BEAT_PACKETS == 0:
            beat()
    return False


def _declared(film: VideoStream, family: str) -> Fraction:
    """How long the header says the pictures last. AVI counts them: its durations are guessed when the index is lost."""
    if family == "avi" and film.average_rate:
        return film.frames / film.average_rate
    return (film.duration or 0) * (film.time_base or Fraction(0))


def _usual_ticks(stream: Stream) -> int:
    """How long a packet without a duration is taken to last."""
    rate = stream.average_rate if isinstance(stream, VideoStream) else None
    return round(1 / rate / stream.time_base) if rate and stream.time_base else 0
