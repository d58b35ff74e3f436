"""A WebRTC data channel as a line that a `Connection` speaks over."""

import asyncio
import contextlib
from collections.abc import MutableMapping
from typing import Any

from aiortc import RTCDataChannel

from vividhead.flashhead.wire import MAX_PCM_BYTES, UP_BYTES

MOST_WAITING_MESSAGES = 200
GOODBYE_S = 2.0
"""The last words are given so long to be sent."""


class Channel:
    """A data channel as a line for a `Connection`."""

    def __init__(self, channel: RTCDataChannel, over: asyncio.Event) -> None:
        """Speak over `channel`, which is of no use after `over`."""
        self._channel, self._over = channel, over
        self._heard: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        channel.on("message", self._take)
        channel.on("close", over.set)

    def _take(self, message: str | bytes) -> None:
        if self._heard.qsize() >= MOST_WAITING_MESSAGES or len(message) > MAX_PCM_BYTES + UP_BYTES:
            self._over.set()
            return
        self._heard.put_nowait({"type": "heard", "text" if isinstance(message, str) else "bytes": message})

    async def receive(self) -> MutableMapping[str, Any]:
        """The next message, or that there will be none."""
        heard, over = asyncio.ensure_future(self._heard.get()), asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({heard, over}, return_when=asyncio.FIRST_COMPLETED)
            return heard.result() if heard.done() else {"type": "websocket.disconnect"}
        finally:
            heard.cancel()
            over.cancel()

    async def send_text(self, data: str) -> None:
        """Send. Raises RuntimeError where that is no longer possible."""
        self._send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send. Raises RuntimeError where that is no longer possible."""
        self._send(data)

    def _send(self, data: str | bytes) -> None:
        if self._over.is_set() or self._channel.readyState != "open":
            raise RuntimeError("the data channel is closed")
        self._channel.send(data)

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Wait until what was said has gone out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                while self._channel.bufferedAmount and not self._over.is_set():
                    await asyncio.sleep(0.02)
        self._channel.close()
