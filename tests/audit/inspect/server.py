"""The inspector on a free port of this machine, and requests to it as they come over the wire."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from vividhead.audit.inspect.app import make_app
from vividhead.audit.inspect.guard import LOOPBACK_NAMES, Access
from vividhead.audit.tables import Tables

LOOPBACK = Access(frozenset(LOOPBACK_NAMES), None)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Inspector:
    port: int

    def ask(self, path: str, body: Any = None, *, method: str | None = None, **headers: str) -> Answer:
        """GET, or POST where there is a body; header names with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            named = {"Content-Type": "application/json", **named}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method or ("GET" if data is None else "POST"), path, data, named)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@contextlib.contextmanager
def inspecting(dataset: Path, access: Access = LOOPBACK) -> Iterator[Inspector]:
    server = uvicorn.Server(uvicorn.Config(make_app(Tables(dataset), access), port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    try:
        yield Inspector(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
