"""One stream as the server sees it: what is to be sent, how far its listener is, and when it is due for more.

A session outlives its connection for a while, so that a listener who was cut off can come back. The event loop owns
the outbox; the host's thread owns the stream and its clock, and hands pictures over by `deliver`.
"""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from vividhead.flashhead.generate.stream import Chunk, Stream
from vividhead.flashhead.wire import CLOSE_FAILED, Codec, Media, text_of
from vividhead.media.live import LiveEncoder
from vividhead.records import GRID_FPS
from vividhead.serve.figures import Figures

LEAD_S = 1.92
"""Speech is made so far ahead of what is shown: two chunks."""
MOST_ORDERS, MOST_NOTES = 16, 64
"""Commands and answers that wait; whoever sends more is not read meanwhile."""
IN_FLIGHT_S = 2 * LEAD_S
"""What was sent and not yet shown, to a client that says what it shows."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The last thing to be sent."""

    code: int
    reason: str


@dataclass(slots=True)
class PlayClock:
    """When the listener runs out of pictures, by this machine's monotonic clock. The host's thread owns it."""

    ends_at: float = 0.0
    resting: bool = True
    """Whether what was made last is rest, which speech replaces."""
    lacks_sound: bool = False
    """Whether an utterance has begun whose next chunk wants more sound."""

    def is_due(self, now: float, speaking: bool, rest_lead_s: float) -> bool:
        """Whether a chunk is to be made now."""
        if not speaking:
            return now >= self.ends_at - rest_lead_s
        return not self.lacks_sound and (self.resting or now >= self.ends_at - LEAD_S)

    def wait_s(self, now: float, speaking: bool, rest_lead_s: float) -> float:
        """Seconds until a chunk is due if nothing is heard meanwhile."""
        if speaking and self.lacks_sound:
            return float("inf")
        return max(0.0, self.ends_at - (LEAD_S if speaking else rest_lead_s) - now)

    def add(self, chunk: Chunk, now: float) -> float:
        """Count a chunk in; returns the seconds by which it came too late for speech to go on without a gap."""
        goes_on = not self.resting and not chunk.idle
        late_s = now - self.ends_at if goes_on else 0.0
        replaces = self.resting and not chunk.idle
        self.ends_at = (now if replaces else max(now, self.ends_at)) + len(chunk.frames_THWC) / GRID_FPS
        self.resting = chunk.idle
        return max(0.0, late_s)

    def forget(self, now: float) -> None:
        """The listener has nothing left."""
        self.ends_at, self.resting, self.lacks_sound = now, True, False


@dataclass(eq=False, slots=True, kw_only=True)
class Session:
    """One stream and what waits for its listener."""

    loop: asyncio.AbstractEventLoop
    client: str
    codec: Codec
    backlog_s: float
    says_shown: bool = False
    """Whether the client tells which pictures it has shown."""
    seed: int = 0
    consent: bool = False
    """Whether the client declared the right to use the portrait."""
    portrait_sha256: str = ""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    stream: Stream | None = None
    encoder: LiveEncoder | None = None
    """Of VP8 or VP9; the thread that encodes owns it."""
    clock: PlayClock = field(default_factory=PlayClock)
    attached: bool = True
    """Whether someone is listening; without, nothing is made."""
    closed: bool = False
    waiting_s: float = 0.0
    """Sound that the stream has and has not spoken, as of the last time that the host's thread looked."""
    pushed_s: float = 0.0
    """Sound that came, counted by the event loop."""
    obeyed_s: float = 0.0
    """Of it what the stream has got, counted by the host's thread."""
    epoch: int = 0
    shown_frame: int = 0
    sent_frame: int = 0
    dropped: int = 0
    frames_made: int = 0
    """Counted by the host's thread."""
    frames_delivered: int = 0
    """Counted by the event loop: what lies between is being encoded."""
    n_ordered: int = 0
    """Commands for the stream, counted by the event loop."""
    n_obeyed: int = 0
    """Of them those that the host's thread has done."""
    figures: Figures | None = None
    """Where what is dropped is counted, once the session has its place."""
    heard_at: float = field(default_factory=time.monotonic)
    """When somebody last said something to it, or its connection broke."""
    _notes: deque[str] = field(default_factory=deque)
    _media: deque[Media] = field(default_factory=deque)
    _goodbye: Goodbye | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def from_thread(self, call: Callable[..., None], *arguments: object) -> None:
        """Let the event loop call one of the methods below."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it everyone who listened
            self.loop.call_soon_threadsafe(call, *arguments)

    def deliver(self, pieces: Sequence[Media]) -> None:
        """Take what was made: speech replaces rest that was not sent, and the newest replaces what waits too long."""
        for piece in pieces:
            self.frames_delivered += len(piece.pictures)
            if piece.epoch != self.epoch:
                continue
            if not piece.idle:
                self._media = deque(waiting for waiting in self._media if not waiting.idle)
            self._media.append(piece)
        while sum(piece.duration_s for piece in self._media) > self.backlog_s:
            count = len(self._media.popleft().pictures)
            self.dropped += count
            if self.figures is not None:
                self.figures.count("pictures_dropped", count)
        self._wake.set()

    def hear(self, duration_s: float) -> None:
        """So much sound came."""
        self.pushed_s += duration_s

    def note(self, text: str) -> None:
        """Send a text message, before pictures that wait."""
        self._notes.append(text)
        self._wake.set()

    def interrupt(self) -> None:
        """Forget what was not sent; what is still being made for the old epoch is forgotten when it comes."""
        self.epoch += 1
        self._media.clear()
        self.shown_frame = self.sent_frame
        self.note(text_of("interrupted", epoch=self.epoch))

    def shown(self, frame: int) -> None:
        """The client has shown all pictures before this number."""
        self.shown_frame = max(self.shown_frame, min(frame, self.sent_frame))
        self._wake.set()

    def say_goodbye(self, code: int, kind: str, text: str, **more: object) -> None:
        """End: an error message and the close code; the first reason stands."""
        if self._goodbye is None:
            self.note(text_of("error", code=kind, text=text, **more))
            self._goodbye = Goodbye(code, kind)
            self._media.clear()
            self._wake.set()

    def fail(self, text: str) -> None:
        """The stream cannot go on."""
        self.say_goodbye(CLOSE_FAILED, "failed", text)

    def reattach(self) -> None:
        """Another connection listens now; what was on its way to the old one is lost."""
        self.attached, self.heard_at = True, time.monotonic()
        if self._goodbye is None:
            self._notes.clear()  # `resumed` comes first, and tells what they did
        self.shown_frame = self.sent_frame
        self._wake.set()

    @property
    def is_flooded(self) -> bool:
        """Whether more was said to it than it has done or answered: it listens again when it has."""
        return self.n_ordered - self.n_obeyed >= MOST_ORDERS or len(self._notes) >= MOST_NOTES

    @property
    def unspoken_s(self) -> float:
        """Sound that came and is not spoken yet."""
        return self.pushed_s - self.obeyed_s + self.waiting_s

    @property
    def is_ending(self) -> bool:
        """Whether the last thing to be sent is known."""
        return self._goodbye is not None

    @property
    def is_busy(self) -> bool:
        """Whether somebody listens who has not been sent all that is to be said."""
        unsent = self.frames_made > self.frames_delivered or any(not piece.idle for piece in self._media)
        return self.attached and (self.unspoken_s > 0 or unsent)

    async def next_out(self) -> str | Media | Goodbye:
        """What is to be sent next; waits for it."""
        while True:
            self._wake.clear()
            if self._notes:
                return self._notes.popleft()
            if self._goodbye is not None:
                return self._goodbye
            if self._media and self._may_send():
                piece = self._media.popleft()
                self.sent_frame = piece.end_frame
                return replace(piece, dropped=self.dropped)
            await self._wake.wait()

    def _may_send(self) -> bool:
        in_flight_s = (self.sent_frame - self.shown_frame) / GRID_FPS
        return not self.says_shown or in_flight_s < IN_FLIGHT_S
