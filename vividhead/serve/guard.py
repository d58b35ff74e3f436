"""Who may connect. As the inspector's guard (DNS rebinding, foreign pages, tokens), and for WebSockets too.

A browser sends a WebSocket's handshake from any page to any host, with cookies, and shows the page the answers: so the
Origin must be our own, or one that was named. Programs send none; off this machine they need the token.
"""

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vividhead.audit.inspect.guard import HEADERS, Access, name_of, without_token
from vividhead.flashhead.wire import MAX_PORTRAIT_BYTES

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
RTC_PATH = "/rtc/offer"
MOST_OFFER_BYTES = MAX_PORTRAIT_BYTES * 4 // 3 + (1 << 16)
"""An offer, and a portrait in base64."""
COOKIE = "vividhead_serve_token"
OPEN_PATHS = ("/healthz", "/readyz")
"""For those who watch the server: they tell nothing worth a token."""


class Guard:
    """Stands before the app."""

    def __init__(self, app: ASGIApp, access: Access, origins: tuple[str, ...]) -> None:
        """Let in who `access` knows, and of foreign pages those of `origins`."""
        self._app, self._access, self._origins = app, access, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the app answer."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refused = self._refused(HTTPConnection(scope), scope)
        if scope["type"] == "websocket":
            if refused is None:
                await self._app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": "refused"})  # before accept: HTTP 403
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, "Content-Security-Policy": POLICY}.items():
                    headers[name] = value
            await send(message)

        await (refused or self._app)(scope, receive, with_headers)

    def _refused(self, asked: HTTPConnection, scope: Scope) -> PlainTextResponse | RedirectResponse | None:
        host = asked.headers.get("host", "")
        if self._access.hosts is not None and name_of(host) not in self._access.hosts:
            return PlainTextResponse("This name is not one of this server's.", 421)
        origin = asked.headers.get("origin")
        if origin is not None and origin not in self._origins and _host_of(origin) != host.lower():
            return PlainTextResponse("This page may not use this server.", 403)
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            if scope["method"] != "POST" or asked.url.path != RTC_PATH:
                return PlainTextResponse("Nothing is changed by requests.", 405)
            if asked.headers.get("content-type", "").split(";")[0] != "application/json":
                return PlainTextResponse("JSON is expected.", 415)  # no other page can send that unasked
            length = asked.headers.get("content-length", "")
            if not length.isdigit() or int(length) > MOST_OFFER_BYTES:
                return PlainTextResponse(f"At most {MOST_OFFER_BYTES} bytes, with their length.", 413)
        if asked.url.path in OPEN_PATHS:
            return None
        return without_token(asked, self._access, COOKIE, "serve", by_address=scope["type"] == "http")


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # as of an address that begins like IPv6
        return None
