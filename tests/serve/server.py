"""A server over a tiny model on a free port of this machine, and clients of it."""

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.flashhead.stubs import tiny_flashhead
from vividhead.audit.inspect.guard import LOOPBACK_NAMES, Access
from vividhead.flashhead.client import TalkingHead, connect
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.model.flashhead import FlashHead
from vividhead.flashhead.wire import Media
from vividhead.serve.figures import Figures
from vividhead.serve.host import Host
from vividhead.serve.lobby import Lobby
from vividhead.serve.options import Serving
from vividhead.serve.portraits import Portraits, Prepared
from vividhead.serve.running import DrainingServer, server_for

PATIENCE_S = 120.0
LOOPBACK = Access(frozenset(LOOPBACK_NAMES), None)


@dataclass(frozen=True)
class Served:
    """A running server."""

    server: DrainingServer
    lobby: Lobby
    engine: Engine

    @property
    def address(self) -> str:
        return f"ws://127.0.0.1:{self.server.port}"

    def connect(self, **options: object) -> TalkingHead:
        return connect(self.address, timeout_s=PATIENCE_S, **options)  # type: ignore[arg-type]

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


def face(seed: int = 0, side_px: int = 16) -> Prepared:
    return Prepared(np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3), np.uint8), f"{seed:064x}")


def words(seconds: float, rate_hz: int = 16000, seed: int = 0) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate_hz)).astype(np.float32)
    return found


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for a state."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def heard(head: TalkingHead) -> list[Media]:
    return list(head.spoken(PATIENCE_S))


@contextlib.contextmanager
def serving(
    settings: Serving | None = None,
    *,
    capacity: int = 4,
    access: Access = LOOPBACK,
    say_text: Callable[[str], tuple[NDArray[np.float32], int]] | None = None,
    model: FlashHead | None = None,
) -> Iterator[Served]:
    settings = settings or Serving(port=0)
    model = model or tiny_flashhead()
    engine, figures = Engine(model, capacity), Figures()
    host = Host(engine, figures, chunk_s=0.05, quality=settings.quality, label=settings.label)
    portraits = Portraits(model.config.stream.side_px, settings.portrait_pixels)
    portraits.named["demo"] = face(0, model.config.stream.side_px)
    lobby = Lobby(host, portraits, model, settings, figures, say_text)
    server = server_for(lobby, access)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    try:
        yield Served(server, lobby, engine)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
