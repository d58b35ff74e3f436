"""What a WebRTC peer sees and hears, by one clock: every 40 ms one picture and exactly its 640 samples.

Both tracks read from the same ticks and count from the same moment, so they cannot drift apart. Where nothing has come
in time, the last picture stays and there is silence.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray

from vividhead.flashhead.wire import Media
from vividhead.media.live import AudioFrame, VideoFrame, picture_frame, sound_frame
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

TICK_S = 1 / GRID_FPS
BLOCKS = 2
"""Sound goes out in blocks of 20 ms, two to a picture, as Opus wants it."""
REMEMBERED = 50
"""Ticks kept for the track that is behind; one that nobody reads misses what is older."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Forty milliseconds."""

    i420_HW: NDArray[np.uint8]
    pcm_S: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class _Due:
    frame: int
    idle: bool
    tick: Tick


class Playout:
    """Plays what comes, in real time. Belongs to the event loop."""

    def __init__(self, side_px: int, shown: Callable[[int], None]) -> None:
        """Begin with black; `shown` hears up to which picture all were shown."""
        self._picture_HW = np.full((side_px * 3 // 2, side_px), 128, np.uint8)
        self._picture_HW[:side_px] = 16
        self._shown, self._epoch = shown, 0
        self._due: deque[_Due] = deque()
        self._played: deque[Tick] = deque(maxlen=REMEMBERED)
        self._n_played = 0
        self._began_at: float | None = None
        self._in_speech = False
        self.gaps = 0
        """Ticks in the midst of speech for which nothing had come."""

    def add(self, media: Media) -> None:
        """Take pictures (I420) and their sound: speech replaces rest that was not played."""
        if media.epoch != self._epoch:
            return
        if not media.idle:
            self._due = deque(due for due in self._due if not due.idle)
        sound_TS = media.pcm_S.reshape(len(media.pictures), SAMPLES_PER_FRAME)
        for at, (data, pcm_S) in enumerate(zip(media.pictures, sound_TS, strict=True)):
            picture_HW = np.frombuffer(data, np.uint8).reshape(-1, media.side_px)
            self._due.append(_Due(media.start_frame + at, media.idle, Tick(picture_HW, pcm_S)))
        self._in_speech = not media.idle and not media.last

    def silence(self, epoch: int) -> None:
        """Nothing more is shown or heard of what came before this epoch."""
        self._epoch, self._in_speech = epoch, False
        self._due.clear()

    async def at(self, number: int) -> tuple[int, Tick]:
        """Tick `number`, when it is time for it, or the oldest that is still known; and its number."""
        await self.until(number * TICK_S)
        while self._n_played <= number:
            self._played.append(self._next())
            self._n_played += 1
        number = max(number, self._n_played - len(self._played))
        return number, self._played[number - self._n_played]

    async def until(self, at_s: float) -> None:
        """Wait for a moment of this clock, which begins when it is first asked."""
        if self._began_at is None:
            self._began_at = time.monotonic()
        wait_s = self._began_at + at_s - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def _next(self) -> Tick:
        if not self._due:
            self.gaps += self._in_speech
            return Tick(self._picture_HW, np.zeros(SAMPLES_PER_FRAME, np.int16))
        due = self._due.popleft()
        self._picture_HW = due.tick.i420_HW
        self._shown(due.frame + 1)
        return due.tick


class PictureTrack(MediaStreamTrack):
    """Its pictures."""

    kind = "video"

    def __init__(self, playout: Playout) -> None:
        """Of this playout."""
        super().__init__()
        self._playout, self._number = playout, 0

    async def recv(self) -> VideoFrame:
        """The next, in its time."""
        if self.readyState != "live":
            raise MediaStreamError
        number, tick = await self._playout.at(self._number)
        self._number = number + 1
        return picture_frame(tick.i420_HW, number)


class SoundTrack(MediaStreamTrack):
    """Its sound."""

    kind = "audio"

    def __init__(self, playout: Playout) -> None:
        """Of this playout."""
        super().__init__()
        self._playout, self._block = playout, 0

    async def recv(self) -> AudioFrame:
        """The next 20 ms, in their time."""
        if self.readyState != "live":
            raise MediaStreamError
        asked, part = divmod(self._block, BLOCKS)
        number, tick = await self._playout.at(asked)
        part = part if number == asked else 0
        block, size = number * BLOCKS + part, SAMPLES_PER_FRAME // BLOCKS
        await self._playout.until(block * TICK_S / BLOCKS)
        self._block = block + 1
        return sound_frame(tick.pcm_S[part * size : (part + 1) * size], block * size, SAMPLE_RATE_HZ)
