"""A publisher on the loopback: serves bytes by path, and can cut, refuse, ignore ranges or change its files."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Publisher:
    """What is served and how; `asked` lists (path, Range header) of every request."""

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    """Body bytes of the next answers before the connection is closed; an answer for each."""
    statuses: list[int] = field(default_factory=list)
    """Error codes of the next answers."""
    redirects: dict[str, str] = field(default_factory=dict)
    knows_ranges: bool = True
    tells_length: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""


def _handler(publisher: Publisher) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            publisher.asked.append((self.path, wanted))
            if publisher.statuses:
                return self._empty(publisher.statuses.pop(0))
            if self.path in publisher.redirects:
                return self._empty(302, publisher.redirects[self.path])
            if self.path not in publisher.files:
                return self._empty(404)
            whole = publisher.files[self.path]
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and publisher.knows_ranges else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
            if publisher.tells_length:
                self.send_header("Content-Length", str(len(whole) - start))
            self.end_headers()
            body = whole[start:]
            self.wfile.write(body[: publisher.cuts.pop(0)] if publisher.cuts else body)
            return None

        def _empty(self, status: int, location: str | None = None) -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def publishing() -> Iterator[Publisher]:
    """Serve until the block ends."""
    publisher = Publisher()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(publisher)) as server:
        publisher.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield publisher
        finally:
            server.shutdown()
            thread.join()
