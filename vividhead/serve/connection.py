"""One WebSocket: hello, a stream opened or resumed, then messages both ways until either side ends."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from vividhead.errors import UsageError
from vividhead.flashhead.generate.engine import MAX_SEED, MIN_SEED
from vividhead.flashhead.generate.portrait import PortraitError
from vividhead.flashhead.wire import (
    CLOSE_DONE,
    CLOSE_FAILED,
    CLOSE_FULL,
    CLOSE_REFUSED,
    CLOSE_RESTART,
    CODECS,
    SUBPROTOCOL,
    VERSION,
    Codec,
    Media,
    Pcm,
    PortraitFile,
    Said,
    WireError,
    media_bytes,
    parse_text,
    parse_up,
    text_of,
)  # fmt: skip
from vividhead.serve.line import Line
from vividhead.serve.lobby import Lobby, RefusedError
from vividhead.serve.portraits import Prepared
from vividhead.serve.session import Goodbye, Session

logger = logging.getLogger(__name__)

BEGIN_S = 30.0
"""Who connects says what it wants within so long."""
STALLS_S = 20.0
"""A client that takes nothing for so long has gone, whatever its connection says."""
BREATH_S = 0.01
"""Until a client that sends too much is looked at again."""
MOST_LETTERS = 500
"""Of a text to be said."""
_START = {"version", "portrait", "seed", "video", "shown", "consent"}
_CLOSE_CODES = {
    "full": CLOSE_FULL,
    "too_many": CLOSE_FULL,
    "in_use": CLOSE_FULL,
    "draining": CLOSE_RESTART,
    "failed": CLOSE_FAILED,
}


async def serve_socket(socket: WebSocket, lobby: Lobby) -> None:
    """Serve a handshake until its connection has ended."""
    offered = socket.headers.get("sec-websocket-protocol", "")
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in [o.strip() for o in offered.split(",")] else None)
    await Connection(socket.client.host if socket.client else "unknown", lobby).serve_on(socket)


class Connection:
    """A client that is connected."""

    codec_here: Codec | None = None
    """How pictures are wanted, where the client is not asked."""
    plays_here = False
    """Whether this side knows what was shown, not the client."""

    def __init__(self, client: str, lobby: Lobby) -> None:
        """Serve whoever is at this address."""
        self._client, self._lobby = client, lobby
        self._line: Line
        self._sent_portrait: Prepared | None = None
        self._saying: asyncio.Task[None] | None = None

    async def serve_on(self, line: Line) -> None:
        """All of it; returns when the connection has ended."""
        self._line = line
        try:
            with self._lobby.at_the_door(self._client):
                await self._line.send_text(text_of("hello", **self._lobby.hello()))
                session = await asyncio.wait_for(self._begin(), BEGIN_S)
        except (WebSocketDisconnect, RuntimeError):
            return  # it went away before it began
        except TimeoutError:
            await self._refuse("idle", f"neither start nor resume came within {BEGIN_S:g} s")
            return
        except RefusedError as fault:
            await self._refuse(fault.code, str(fault), fault.retry_s)
            return
        except PortraitError as fault:
            await self._refuse("bad_portrait", fault.detail)
            return
        except (WireError, UsageError) as fault:
            self._lobby.figures.count("bad_messages")
            await self._refuse("bad_message", str(fault))
            return
        await self._talk(session)

    async def _refuse(self, code: str, text: str, retry_s: float | None = None) -> None:
        more = {} if retry_s is None else {"retry_s": retry_s}
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._line.send_text(text_of("error", code=code, text=text, **more))
            await self._line.close(_CLOSE_CODES.get(code, CLOSE_REFUSED), code)

    async def _begin(self) -> Session:
        """The session that the client asks for."""
        while True:
            heard = await self._heard()
            match heard:
                case PortraitFile():
                    await self._take_portrait(heard.data)
                case Said(type="ping"):
                    await self._line.send_text(text_of("pong", **_echo(heard.fields)))
                case Said(type="start"):
                    return await self._started(heard.fields)
                case Said(type="resume"):
                    return await self._resumed(heard.fields)
                case _:
                    raise WireError("a connection begins with `start` or `resume`, and a portrait before `start`")

    async def _take_portrait(self, file: bytes) -> None:
        if not self._lobby.serving.uploads:
            raise RefusedError("bad_portrait", "this server takes no portraits; choose one of its own")
        self._sent_portrait = await self._lobby.portraits.prepared(file)

    async def _started(self, fields: Mapping[str, Any]) -> Session:
        if unknown := set(fields) - _START:
            raise WireError(f"start has no field {sorted(unknown)[0]!r}; it has {', '.join(sorted(_START))}")
        if fields.get("version", VERSION) != VERSION:
            raise WireError(f"version {fields['version']!r} of the protocol: this server speaks {VERSION}")
        seed = fields.get("seed", random.getrandbits(32))
        if type(seed) is not int or not MIN_SEED <= seed <= MAX_SEED:
            raise WireError(f"a seed is a whole number, {MIN_SEED} … {MAX_SEED}")
        offered = fields.get("video", ["jpeg"])
        if not isinstance(offered, list) or not (usable := [kind for kind in offered if kind in list(CODECS)]):
            raise WireError(f"video is a list with {' or '.join(CODECS)}")
        consent, shown = fields.get("consent", False), fields.get("shown", False)
        if type(consent) is not bool or type(shown) is not bool:
            raise WireError("consent and shown are true or false")
        session = Session(
            loop=asyncio.get_running_loop(), client=self._client, backlog_s=self._lobby.serving.backlog_s,
            codec=self.codec_here or usable[0], says_shown=shown or self.plays_here, seed=seed, consent=consent,
        )  # fmt: skip
        portrait = self._portrait(fields.get("portrait"), consent)
        await self._lobby.admit(session, portrait)
        session.note(text_of(
            "started", key=session.key, seed=seed, video=session.codec, portrait_sha256=session.portrait_sha256,
            epoch=0,
        ))  # fmt: skip
        return session

    def _portrait(self, name: object, consent: bool) -> Prepared:
        """The one that was sent, or the server's of this name, or its first."""
        named = self._lobby.portraits.named
        if name is None and self._sent_portrait is not None:
            if self._lobby.serving.require_consent and not consent:
                text = "say with consent: true that you have the right to let this person speak"
                raise RefusedError("no_consent", text)
            return self._sent_portrait
        if name is None and named:
            return next(iter(named.values()))
        if isinstance(name, str) and name in named:
            return named[name]
        raise RefusedError("bad_portrait", f"send a portrait before start, or choose of: {', '.join(named) or 'none'}")

    async def _resumed(self, fields: Mapping[str, Any]) -> Session:
        key = fields.get("key")
        if not isinstance(key, str) or set(fields) != {"key"}:
            raise WireError("resume has a `key`, the one that started told")
        session = self._lobby.resumed(key, self._client, by_rtc=self.plays_here)
        session.note(text_of("resumed", key=key, epoch=session.epoch, frame=session.sent_frame))
        return session

    async def _talk(self, session: Session) -> None:
        writes = asyncio.create_task(self._write(session))
        reads = asyncio.create_task(self._read(session))
        try:
            await asyncio.wait({writes, reads}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writes, reads, self._saying):
                if task is not None:
                    task.cancel()
            ended = await asyncio.gather(writes, reads, return_exceptions=True)
            for fault in ended:
                if isinstance(fault, Exception):
                    logger.error("a connection ended by a fault of ours", exc_info=fault)
            self._lobby.leave(session, for_good=True in ended)

    async def _write(self, session: Session) -> bool:
        """Send until the goodbye; True then."""
        while True:
            out = await session.next_out()
            try:
                async with asyncio.timeout(STALLS_S):
                    if isinstance(out, Goodbye):
                        await self._line.close(out.code, out.reason)
                        return True
                    if isinstance(out, Media):
                        await self._send(out)
                        self._lobby.figures.count("pictures_sent", len(out.pictures))
                    else:
                        await self._line.send_text(out)
            except (WebSocketDisconnect, RuntimeError, TimeoutError):
                return False

    async def _send(self, media: Media) -> None:
        await self._line.send_bytes(media_bytes(media))

    async def _read(self, session: Session) -> bool:
        """Obey until the client goes; True where it said `stop`, so that it will not come back."""
        try:
            while True:
                while session.is_flooded:
                    await asyncio.sleep(BREATH_S)
                if not await self._obey(session, await self._heard()):
                    session.say_goodbye(CLOSE_DONE, "stopped", "as you asked")
                    await asyncio.Event().wait()  # until the goodbye was sent
        except WireError as fault:
            self._lobby.figures.count("bad_messages")
            session.say_goodbye(CLOSE_REFUSED, "bad_message", str(fault))
            await asyncio.Event().wait()
        except (WebSocketDisconnect, RuntimeError):
            pass
        return False

    async def _obey(self, session: Session, heard: Pcm | PortraitFile | Said) -> bool:
        """Do one thing; False for `stop`."""
        host = self._lobby.host
        match heard:
            case Pcm():
                self._push(session, heard)
            case Said(type="flush"):
                host.flush(session)
            case Said(type="interrupt"):
                if self._saying is not None:
                    self._saying.cancel()
                session.interrupt()
                host.interrupt(session)
            case Said(type="shown", fields={"frame": int(frame)}):
                session.shown(frame)
            case Said(type="say", fields={"text": str(text)}):
                session.heard_at = time.monotonic()
                self._begin_to_say(session, text)
            case Said(type="ping"):
                session.note(text_of("pong", **_echo(heard.fields)))
            case Said(type="stop"):
                return False
            case PortraitFile():
                raise WireError("a portrait comes before start; open another stream for another face")
            case _:
                raise WireError(f"a message of type {heard.type[:20]!r} with these fields is none of version 1")
        return True

    def _push(self, session: Session, sound: Pcm) -> None:
        limit_s = self._lobby.serving.waiting_s
        if session.unspoken_s + sound.duration_s > limit_s:
            raise WireError(f"more than {limit_s:g} s of sound wait to be spoken: push it as it is shown")
        self._lobby.host.push(session, sound)

    def _begin_to_say(self, session: Session, text: str) -> None:
        if self._lobby.say_text is None:
            session.note(text_of("warning", code="no_voice", text="this server has no voice: install vividhead[demo]"))
        elif not text.strip() or len(text) > MOST_LETTERS or not text.isprintable():
            session.note(text_of("warning", code="bad_text", text=f"1 … {MOST_LETTERS} letters on one line are said"))
        elif self._saying is not None and not self._saying.done():
            session.note(text_of("warning", code="busy", text="the text before is still being read"))
        else:
            self._saying = asyncio.create_task(self._say(session, text))

    async def _say(self, session: Session, text: str) -> None:
        say_text = self._lobby.say_text
        assert say_text is not None
        epoch = session.epoch
        try:
            samples_S, rate_hz = await asyncio.to_thread(say_text, text)
        except UsageError as fault:
            session.note(text_of("warning", code="no_voice", text=str(fault)))
            return
        if session.epoch != epoch:
            return
        spoken = Pcm(np.clip(np.rint(samples_S * 32767), -32768, 32767).astype(np.int16), rate_hz)
        try:
            self._push(session, spoken)
        except WireError as fault:
            session.note(text_of("warning", code="busy", text=str(fault)))
            return
        self._lobby.host.flush(session)

    async def _heard(self) -> Pcm | PortraitFile | Said:
        """The next message. Raises WireError, or WebSocketDisconnect where there is none any more."""
        message = await self._line.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        data = message.get("bytes")
        return parse_up(data) if data is not None else parse_text(message["text"])


def _echo(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a ping holds as `at` comes back with the pong, if it is a number."""
    at = fields.get("at")
    return {"at": at} if isinstance(at, int | float) and abs(at) < 1e18 else {}
