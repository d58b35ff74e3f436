"""What a connection speaks over: a WebSocket, or what behaves like one."""

from collections.abc import MutableMapping
from typing import Any, Protocol


class Line(Protocol):
    """Messages both ways, as Starlette's WebSocket has them."""

    async def receive(self) -> MutableMapping[str, Any]:
        """The next message: `text` or `bytes`, or of type `websocket.disconnect`."""

    async def send_text(self, data: str) -> None:
        """Raises WebSocketDisconnect or RuntimeError where the other side has gone, as the next two do."""

    async def send_bytes(self, data: bytes) -> None:
        """Send."""

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """End."""
