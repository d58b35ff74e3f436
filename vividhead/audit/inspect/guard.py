"""Who may ask, and what a browser may do with the answer.

A page on the web can make a browser send requests to this machine, and can give its own name this machine's address
(DNS rebinding). So the Host must be one of ours, what changes something must come from our own page, and whoever does
not sit at this machine needs the token.
"""

import ipaddress
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}  # fmt: skip
COOKIE = "vividhead_token"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
MOST_BODY_BYTES = 100_000


def is_loopback(host: str) -> bool:
    """Can only this machine reach a server on this address?"""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask: from which names, with which token."""

    hosts: frozenset[str] | None
    """Names that the Host header may have, without port; None: any, as then the token is asked for."""
    token: str | None

    def knows(self, given: str | None) -> bool:
        """Is this the token?"""
        return self.token is None or (given is not None and secrets.compare_digest(given.encode(), self.token.encode()))


class Guard:
    """Refuses who may not ask; puts the headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        """Stand before `app`."""
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the app answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refused = self._refused(Request(scope))
        await (refused or self._app)(scope, receive, with_headers)

    def _refused(self, request: Request) -> PlainTextResponse | RedirectResponse | None:
        host = request.headers.get("host", "")
        if self._access.hosts is not None and name_of(host) not in self._access.hosts:
            return PlainTextResponse("This name is not one of this server's.", 421)
        if request.method not in ("GET", "HEAD"):
            origin = request.headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != host:
                return PlainTextResponse("Only the inspector's own page may change something.", 403)
            if request.headers.get("content-type", "").split(";")[0] != "application/json":
                return PlainTextResponse("JSON is expected.", 415)
            length = request.headers.get("content-length", "")
            if not length.isdigit() or int(length) > MOST_BODY_BYTES:
                return PlainTextResponse(f"At most {MOST_BODY_BYTES} bytes, with their length.", 413)
        return without_token(request, self._access, COOKIE, "inspect", by_address=request.method == "GET")


def without_token(
    asked: HTTPConnection, access: Access, cookie: str, verb: str, *, by_address: bool
) -> PlainTextResponse | RedirectResponse | None:
    """The answer to who does not bring the token in a cookie or header; None where all is well.

    Who brings it in the address, where that counts, gets the cookie and is sent on, so that it stands in no history.
    """
    if access.token is None:
        return None
    given = asked.query_params.get("token")
    if given is not None and by_address and access.knows(given):
        answer = RedirectResponse("/", 303)
        answer.set_cookie(cookie, given, httponly=True, samesite="strict")
        return answer
    bearer = asked.headers.get("authorization", "").removeprefix("Bearer ")
    if access.knows(asked.cookies.get(cookie)) or access.knows(bearer):
        return None
    return PlainTextResponse(f"A token is needed: open the address that `vividhead {verb}` printed.", 401)


def name_of(host: str) -> str:
    """The Host header without its port."""
    return host.lower() if host.endswith("]") else host.lower().rsplit(":", 1)[0] if ":" in host else host.lower()
