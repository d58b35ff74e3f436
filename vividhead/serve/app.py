"""The server's addresses: the page, the WebSocket, and what watchers ask."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import cv2
from fastapi import FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse

from vividhead.audit.inspect.guard import Access
from vividhead.flashhead.wire import PATH
from vividhead.serve.connection import serve_socket
from vividhead.serve.guard import RTC_PATH, Guard
from vividhead.serve.lobby import Lobby, RefusedError

if TYPE_CHECKING:
    from vividhead.serve.rtc import Peers

STATIC = {
    "/": ("index.html", "text/html"),
    "/app.js": ("app.js", "text/javascript"),
    "/client.js": ("client.js", "text/javascript"),
    "/player.js": ("player.js", "text/javascript"),
    "/unpack.js": ("unpack.js", "text/javascript"),
    "/capture.js": ("capture.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
}


def make_app(lobby: Lobby, access: Access) -> FastAPI:
    """The application; it starts the lobby's host with the event loop and stops it with it."""

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        lobby.host.start()
        looking = asyncio.create_task(lobby.look_around())
        try:
            yield
        finally:
            looking.cancel()
            if peers is not None:
                await peers.close()
            lobby.close()
            await asyncio.to_thread(lobby.host.stop)
            lobby.portraits.close()

    app = FastAPI(title="VividHead", openapi_url=None, docs_url=None, redoc_url=None, lifespan=living)
    peers = _add_webrtc(app, lobby)
    app.add_middleware(Guard, access=access, origins=lobby.serving.origins)
    for path, (name, kind) in STATIC.items():
        app.add_api_route(path, _static(name, kind), methods=["GET"])

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        alive = lobby.host.silent_s != float("inf")
        return JSONResponse({"alive": alive}, 200 if alive else 500)

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        why = lobby.why_not_ready()
        if why is None:
            return JSONResponse({"ready": True, "places": lobby.host.capacity - lobby.host.n_open})
        headers = {} if why.retry_s is None else {"Retry-After": str(max(1, round(why.retry_s)))}
        return JSONResponse({"ready": False, "code": why.code, "text": str(why)}, 503, headers)

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(lobby.figures.text(lobby.gauges()), media_type="text/plain; version=0.0.4")

    @app.get("/v1/about")
    async def about() -> dict[str, Any]:
        return lobby.hello()

    @app.get("/v1/portraits/{name}")
    async def portrait(name: str) -> Response:
        if name not in lobby.portraits.named:
            raise HTTPException(404, "there is no such portrait")
        bgr_HWC = cv2.cvtColor(lobby.portraits.named[name].picture_HWC, cv2.COLOR_RGB2BGR)
        return Response(bytes(cv2.imencode(".png", bgr_HWC)[1]), media_type="image/png")

    @app.websocket(PATH)
    async def stream(socket: WebSocket) -> None:
        await serve_socket(socket, lobby)

    return app


def _add_webrtc(app: FastAPI, lobby: Lobby) -> "Peers | None":
    """Answer WebRTC offers, where the extra is installed; else say so."""
    if find_spec("aiortc") is None:

        @app.post(RTC_PATH)
        async def no_offers() -> JSONResponse:
            return JSONResponse({"code": "no_webrtc", "text": "the server needs pip install 'vividhead[webrtc]'"}, 501)

        return None
    from vividhead.serve.rtc import Peers, parsed_offer

    peers = Peers(lobby)

    @app.post(RTC_PATH)
    async def offer(request: Request) -> JSONResponse:
        client = request.client.host if request.client else "unknown"
        try:
            sdp, portrait = parsed_offer(await request.body())
            return JSONResponse({"type": "answer", "sdp": await peers.answer(client, sdp, portrait)})
        except RefusedError as fault:
            body = {"code": fault.code, "text": str(fault), **({"retry_s": fault.retry_s} if fault.retry_s else {})}
            headers = {"Retry-After": str(max(1, round(fault.retry_s)))} if fault.retry_s else {}
            return JSONResponse(body, 503 if fault.retry_s else 400, headers)

    return peers


def _static(name: str, kind: str) -> Callable[[], Response]:
    data = (files("vividhead.serve") / "static" / name).read_bytes()

    def answer() -> Response:
        return Response(data, media_type=kind)

    return answer
