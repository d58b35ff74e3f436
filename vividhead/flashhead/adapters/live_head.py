"""The client for programs on asyncio: sound goes in as it comes, pictures with their sound come out one by one."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed

from vividhead.errors import VividHeadError
from vividhead.flashhead.client import TalkingHead
from vividhead.flashhead.wire import Media
from vividhead.records import SAMPLES_PER_FRAME

TELLS_EVERY = 6
"""Pictures between two words to the server of what was shown."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Forty milliseconds."""

    frame: int
    picture_HWC: NDArray[np.uint8]
    """RGB."""
    pcm_S: NDArray[np.int16]
    """16 kHz mono."""
    idle: bool
    last: bool
    """Whether nothing that was pushed is left unsaid after this."""


class LiveHead:
    """One stream. `opening` makes the connection, as `lambda: connect(address, shown=True)`; it runs in a thread."""

    def __init__(self, opening: Callable[[], TalkingHead]) -> None:
        """Nothing is opened yet."""
        self._opening = opening
        self._head: TalkingHead | None = None
        self._sender = ThreadPoolExecutor(1, "head-sender")
        self._ready: deque[Moment] = deque()
        self._news = asyncio.Event()
        self._over = False
        self._fault: VividHeadError | None = None
        self._epoch = 0

    async def start(self) -> None:
        """Open the stream. Raises ServerRefusedError or OSError."""
        self._loop = asyncio.get_running_loop()
        self._head = await asyncio.to_thread(self._opening)
        self._epoch = self._head.epoch
        threading.Thread(target=self._listen, args=(self._head,), name="head-listener", daemon=True).start()

    async def push(self, samples_S: NDArray[np.int16], rate_hz: int) -> None:
        """Let it speak this; waits while the server has as much as it takes."""
        epoch = self._epoch

        def send(head: TalkingHead) -> None:
            if epoch == self._epoch:
                head.push(samples_S, rate_hz)

        await self._send(send)

    async def flush(self) -> None:
        """End the utterance."""
        await self._send(TalkingHead.flush)

    async def interrupt(self) -> None:
        """Be silent at once."""
        if self._head is None or self._over:
            return
        self._epoch += 1
        self._ready.clear()
        await asyncio.to_thread(self._quietly, TalkingHead.interrupt)  # not behind sound that waits to be taken

    async def close(self) -> None:
        """End the stream."""
        if self._head is not None:
            await asyncio.to_thread(self._head.close)
        self._end()
        self._sender.shutdown(wait=False)

    async def __aiter__(self) -> AsyncIterator[Moment]:
        """Everything to be shown, rest too, until the stream ends. Raises ServerRefusedError with the reason."""
        while True:
            while not self._ready:
                if self._fault is not None:
                    raise self._fault
                if self._over:
                    return
                self._news.clear()
                await self._news.wait()
            moment = self._ready.popleft()
            yield moment
            if moment.frame % TELLS_EVERY == 0 and not self._over:
                self._sender.submit(self._quietly, partial(TalkingHead.shown, frame=moment.frame + 1))

    async def _send(self, send: Callable[[TalkingHead], None]) -> None:
        if not self._over:
            await self._loop.run_in_executor(self._sender, self._quietly, send)

    def _quietly(self, send: Callable[[TalkingHead], None]) -> None:
        """What cannot be sent any more is not missed: the listener knows why."""
        assert self._head is not None
        try:
            send(self._head)
        except ConnectionClosed:
            return

    def _listen(self, head: TalkingHead) -> None:
        fault = None
        try:
            while (media := head.next_media()) is not None:
                self._loop.call_soon_threadsafe(self._take, media.epoch, media.idle, moments_of(media))
        except VividHeadError as found:
            fault = found
        except RuntimeError:
            return  # the event loop is closed, and with it everyone who listened
        self._loop.call_soon_threadsafe(self._end, fault)

    def _take(self, epoch: int, idle: bool, moments: list[Moment]) -> None:
        if epoch != self._epoch:
            return
        if not idle:
            self._ready = deque(moment for moment in self._ready if not moment.idle)
        self._ready.extend(moments)
        self._news.set()

    def _end(self, fault: VividHeadError | None = None) -> None:
        self._over, self._fault = True, self._fault or fault
        self._news.set()


def moments_of(media: Media) -> list[Moment]:
    """A message's pictures (JPEG or WebP), decoded, each with its sound."""
    found = []
    for at, data in enumerate(media.pictures):
        bgr_HWC = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if bgr_HWC is None:
            raise VividHeadError(f"picture {media.start_frame + at} of the stream cannot be decoded as {media.codec}")
        found.append(Moment(
            media.start_frame + at, np.asarray(cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB), np.uint8),
            media.pcm_S[at * SAMPLES_PER_FRAME : (at + 1) * SAMPLES_PER_FRAME], media.idle,
            media.last and at == len(media.pictures) - 1,
        ))  # fmt: skip
    return found
