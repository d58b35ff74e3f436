"""A model made ready, its room measured, and the server run until it is told to stop."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import uvicorn
from numpy.typing import NDArray

from vividhead.audit.inspect.guard import LOOPBACK_NAMES, Access, is_loopback
from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.wire import MAX_PORTRAIT_BYTES, UP_BYTES
from vividhead.serve.app import make_app
from vividhead.serve.figures import Figures
from vividhead.serve.host import Host, measured_capacity
from vividhead.serve.lobby import Lobby
from vividhead.serve.options import Serving
from vividhead.serve.portraits import Portraits

if TYPE_CHECKING:
    from vividhead.flashhead.model.flashhead import FlashHead

MOST_STREAMS_CPU, MOST_STREAMS_GPU = 8, 48
"""How far the measurement goes where nobody says."""


def make_lobby(model: "FlashHead", serving: Serving, say: Callable[[str], None]) -> Lobby:
    """Warm the model up, measure how many streams it holds, prepare the portraits; `say` is told what was found."""
    most = serving.streams or (MOST_STREAMS_GPU if model.device.type == "cuda" else MOST_STREAMS_CPU)
    engine, figures = Engine(model, capacity=most), Figures()
    if model.device.type == "cuda":
        engine.warm_up()
    holds, chunk_s = measured_capacity(engine, most)
    engine.capacity = holds
    wanted = "" if serving.streams in (None, holds) else f" (of {serving.streams} asked for)"
    say(f"{model.config.name}: {holds} streams{wanted}; a chunk takes {chunk_s * 1000:.0f} ms")
    portraits = Portraits(model.config.stream.side_px, serving.portrait_pixels)
    try:
        portraits.read(serving.portraits)
    except VividHeadError:
        portraits.close()
        raise
    host = Host(engine, figures, chunk_s=chunk_s, quality=serving.quality, label=serving.label)
    return Lobby(host, portraits, model, serving, figures, _voice())


def check_audit_log(path: Path) -> None:
    """Raise UsageError where it cannot be written: better than refusing every stream later."""
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as fault:
        raise UsageError(f"--audit-log {path} cannot be written: {fault.strerror}") from fault


def check_port(host: str, port: int) -> None:
    """Raise UsageError where nobody could listen: better than after the model was made ready and measured."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as place:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind((host, port))
    except OSError as fault:
        why = fault.strerror or str(fault)
        raise UsageError(f"nobody can listen at {host}, port {port}: {why}; --port 0 takes any that is free") from fault


def access_for(serving: Serving) -> Access:
    """This machine alone needs no token; others do, and one is drawn where none was given."""
    if is_loopback(serving.host):
        return Access(frozenset({*LOOPBACK_NAMES, serving.host.lower()}), serving.token)
    return Access(None, serving.token or secrets.token_urlsafe(24))


def server_for(lobby: Lobby, access: Access, started: Callable[[int], None] = lambda port: None) -> "DrainingServer":
    """A server that is not running yet; `started` hears the port."""
    serving = lobby.serving
    config = uvicorn.Config(
        make_app(lobby, access), host=serving.host, port=serving.port, log_level="warning", access_log=False,
        server_header=False, ws="websockets-sansio", ws_max_size=MAX_PORTRAIT_BYTES + UP_BYTES,
        ws_per_message_deflate=False, timeout_graceful_shutdown=5,
    )  # fmt: skip
    return DrainingServer(config, lobby, started)


def run(model: "FlashHead", serving: Serving, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then let what is being said be finished; a second signal does not wait."""
    lobby, access = make_lobby(model, serving, say), access_for(serving)

    def started(port: int) -> None:
        shown = f"[{serving.host}]" if ":" in serving.host else serving.host
        say(f"http://{shown}:{port}/{f'?token={quote(access.token)}' if access.token else ''}")

    server_for(lobby, access, started).run()


class DrainingServer(uvicorn.Server):
    """Stops taking streams when told to end, and ends when the last word was said."""

    def __init__(self, config: uvicorn.Config, lobby: Lobby, started: Callable[[int], None]) -> None:
        """Serve `lobby`."""
        super().__init__(config)
        self._lobby, self._told = lobby, started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: object = None) -> None:
        """Begin to listen."""
        await super().startup(None)
        self._loop = asyncio.get_running_loop()
        if self.started:
            self._told(self.port)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.servers[0].sockets[0].getsockname()[1])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """At the first signal drain, at the second end."""
        if self._loop is None or self._lobby.draining:
            self.should_exit = self.force_exit = True
        else:
            self._loop.call_soon_threadsafe(self.drain)

    def drain(self) -> None:
        """Finish what is being said, then end."""
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._drained())

    async def _drained(self) -> None:
        await self._lobby.drain()
        self.should_exit = True


def _voice() -> Callable[[str], tuple[NDArray[np.float32], int]] | None:
    """Typed text is spoken by espeak-ng where the demo extra is installed."""
    if find_spec("espeakng_loader") is None:
        return None
    from vividhead.testing.speech import speak

    def say(text: str) -> tuple[NDArray[np.float32], int]:
        spoken = speak(text)
        return spoken.samples_S, spoken.rate_hz

    return say


def demo_portrait() -> Path | None:
    """The photograph behind the demo's face, as scikit-image brings it in its wheel; None where it is not installed."""
    found = find_spec("skimage")
    path = None if found is None or found.origin is None else Path(found.origin).parent / "data" / "astronaut.png"
    return path if path is not None and path.is_file() else None


def leave_a_core() -> None:
    """Compute on all cores but one, which encodes and sends; threads that wait for one another waste shared cores."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - 1))


def log_to_stderr() -> None:
    """Structured logs: one JSON object on a line for each stream that opens or closes."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("vividhead.serve").addHandler(handler)
    logging.getLogger("vividhead.serve").setLevel(logging.INFO)
