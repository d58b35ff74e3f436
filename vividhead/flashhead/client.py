"""A small client of `vividhead serve`, for programs: sound in, pictures with their sound out.

    with connect("ws://127.0.0.1:8770", portrait=Path("face.png").read_bytes()) as head:
        head.say(samples_S, 48000)
        for media in head.spoken():
            show(media.pictures, media.pcm_S)

Blocking, over the package `websockets`. A thread may call `say`, `flush` and `interrupt` while another listens.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket
from websockets.typing import Subprotocol

from vividhead.errors import VividHeadError
from vividhead.flashhead.wire import (
    PATH,
    SUBPROTOCOL,
    Media,
    Said,
    parse_media,
    parse_text,
    pcm_bytes,
    portrait_bytes,
    text_of,
)  # fmt: skip
from vividhead.records import GRID_FPS

PIECE_S = 0.5
NOBODY_LISTENS_S = 60.0
"""Sound is spoken in its own time: who has heard nothing more for so long does not listen."""
MAX_MEDIA_BYTES = 64 << 20


class ServerRefusedError(VividHeadError):
    """The server ended the stream. `code` is the protocol's; `retry_s` says when to try again, where that helps."""

    def __init__(self, code: str, text: str, retry_s: float | None = None) -> None:
        """As the server said it."""
        self.code, self.retry_s = code, retry_s
        super().__init__(f"{code}: {text}")


class TalkingHead:
    """One stream of a server; made by `connect`."""

    def __init__(self, socket: ClientConnection, hello: Mapping[str, Any], started: Mapping[str, Any]) -> None:
        """Take over a connection on which a stream was opened."""
        self._socket = socket
        self.hello, self.started = hello, started
        self.epoch = int(started["epoch"])
        """Of the pictures that count: older ones are not given out."""
        self.notes: list[Said] = []
        """Text messages other than errors, as they came: interrupted, pong, warning."""
        self._room = threading.Condition()
        self._pushed_s = self._spoken_s = 0.0
        self._dropped = 0
        self._awaits_text = False
        self._over = False

    @property
    def key(self) -> str:
        """What `connect(…, resume=key)` asks for after the connection broke."""
        return str(self.started["key"])

    def push(self, samples_S: NDArray[np.float32] | NDArray[np.int16], rate_hz: int) -> None:
        """Send mono sound, float -1 … 1 or 16-bit; waits while the server has half of what it takes.

        Where the sound is longer (30 s, unless `hello` says otherwise), another thread must listen meanwhile: raises
        VividHeadError where nobody does.
        """
        if np.issubdtype(samples_S.dtype, np.floating):
            samples_S = np.clip(np.rint(samples_S * 32767), -32768, 32767).astype(np.int16)
        piece = max(1, round(PIECE_S * rate_hz))
        limit_s = float(self.hello["limits"]["waiting_s"]) / 2
        for at in range(0, samples_S.size, piece):
            part_S = samples_S[at : at + piece].astype(np.int16)
            with self._room:
                if not self._room.wait_for(
                    lambda: self._over or self._pushed_s - self._spoken_s < limit_s, NOBODY_LISTENS_S
                ):
                    raise VividHeadError(
                        f"{limit_s:g} s of sound wait and nobody listens: take what is spoken in another thread, "
                        "or push no more than that ahead"
                    )
                self._pushed_s += part_S.size / rate_hz
            self._send(pcm_bytes(part_S, rate_hz))

    def say(self, samples_S: NDArray[np.float32] | NDArray[np.int16], rate_hz: int) -> None:
        """Send an utterance: sound and its end."""
        self.push(samples_S, rate_hz)
        self.flush()

    def say_text(self, text: str) -> None:
        """Let the server's own voice say this, where it has one."""
        self._awaits_text = True
        self.tell("say", text=text)

    def flush(self) -> None:
        """End the utterance."""
        self.tell("flush")

    def interrupt(self) -> None:
        """Be silent at once: nothing of what was said before is given out any more."""
        with self._room:
            self.epoch += 1
            self._pushed_s = self._spoken_s = 0.0
            self._awaits_text = False
            self._room.notify_all()
        self.tell("interrupt")

    def ping(self, at: float) -> None:
        """Ask for a pong that holds this number."""
        self.tell("ping", at=at)

    def shown(self, frame: int) -> None:
        """Tell that all pictures before this number were shown."""
        self.tell("shown", frame=frame)

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a text message. Raises ServerRefusedError where the connection has ended."""
        self._send(text_of(kind, **fields))

    def _send(self, message: str | bytes) -> None:
        try:
            self._socket.send(message)
        except ConnectionClosed as fault:
            raise ServerRefusedError("closed", f"the connection has ended: {fault}") from fault

    def next_media(self, timeout_s: float | None = None) -> Media | None:
        """The next pictures of this epoch; None after a goodbye. Raises TimeoutError and ServerRefusedError."""
        while True:
            try:
                message = self._socket.recv(timeout_s)
            except ConnectionClosed:
                self._end()
                return None
            if isinstance(message, bytes):
                media = parse_media(message)
                if media.epoch != self.epoch:
                    continue
                self._count(media)
                return media
            said = parse_text(message)
            if said.type == "error":
                self._end()
                if said.fields["code"] == "stopped":
                    return None
                raise _refused(said)
            self.notes.append(said)

    def _count(self, media: Media) -> None:
        """How much of what was pushed has been spoken; an utterance's last picture may be longer than its sound."""
        with self._room:
            spoken_s = (media.dropped - self._dropped) / GRID_FPS + (0.0 if media.idle else media.duration_s)
            self._spoken_s = min(self._pushed_s, self._spoken_s + spoken_s)
            self._dropped = media.dropped
            self._awaits_text &= media.idle or not media.last
            self._room.notify_all()

    def spoken(self, timeout_s: float = 60.0) -> Iterator[Media]:
        """What is said, without rest, up to the end of all that was pushed and flushed."""
        while (media := self.next_media(timeout_s)) is not None:
            if not media.idle:
                yield media
            if media.last and (not media.idle or self._all_spoken):
                return

    @property
    def _all_spoken(self) -> bool:
        """Whether all that was pushed came back: where it ends with a chunk, its flush finds nothing left to mark."""
        with self._room:
            return not self._awaits_text and 0 < self._pushed_s < self._spoken_s + 1 / GRID_FPS

    def drop(self) -> None:
        """Go without a goodbye: the stream can be resumed for a while."""
        self._end()
        self._socket.close_socket()

    def close(self) -> None:
        """End the stream and the connection."""
        self._end()
        try:
            self.tell("stop")
        except ServerRefusedError:
            return
        self._socket.close()

    def _end(self) -> None:
        with self._room:
            self._over = True
            self._room.notify_all()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def connect(
    address: str,
    *,
    portrait: bytes | str | None = None,
    seed: int | None = None,
    video: tuple[str, ...] = ("jpeg",),
    consent: bool = False,
    shown: bool = False,
    resume: str | None = None,
    token: str | None = None,
    timeout_s: float = 60.0,
) -> TalkingHead:
    """Open a stream at `ws://host:port`, or resume one whose connection broke.

    `portrait` is a picture file's bytes, a name that the server knows, or None for the server's first. With `shown`
    you promise to call `shown`, and little is sent ahead of it. Raises ServerRefusedError and OSError.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with contextlib.ExitStack() as stack:
            socket = stack.enter_context(open_socket(
                address.rstrip("/") + PATH, subprotocols=[Subprotocol(SUBPROTOCOL)], additional_headers=headers,
                compression=None, max_size=MAX_MEDIA_BYTES, open_timeout=timeout_s, proxy=None,
            ))  # fmt: skip
            hello = _told(socket, timeout_s)
            if resume is not None:
                socket.send(text_of("resume", key=resume))
            else:
                _ask(socket, portrait, seed, video, consent, shown)
            head = TalkingHead(socket, hello, _told(socket, timeout_s))
            stack.pop_all()  # the head closes the connection from here on
            return head
    except InvalidHandshake as fault:
        raise ServerRefusedError("handshake", str(fault)) from fault


def _ask(
    socket: ClientConnection, portrait: bytes | str | None, seed: int | None, video: tuple[str, ...], consent: bool,
    shown: bool,
) -> None:  # fmt: skip
    if isinstance(portrait, bytes):
        socket.send(portrait_bytes(portrait))
    named = {"portrait": portrait} if isinstance(portrait, str) else {}
    seeded = {} if seed is None else {"seed": seed}
    socket.send(text_of("start", video=list(video), consent=consent, shown=shown, **named, **seeded))


def _told(socket: ClientConnection, timeout_s: float) -> Mapping[str, Any]:
    try:
        message = socket.recv(timeout_s)
    except ConnectionClosed as fault:
        raise ServerRefusedError("closed", f"the server closed the connection: {fault}") from fault
    said = parse_text(message if isinstance(message, str) else message.decode(errors="replace"))
    if said.type == "error":
        raise _refused(said)
    return said.fields


def _refused(said: Said) -> ServerRefusedError:
    fields = said.fields
    return ServerRefusedError(str(fields.get("code")), str(fields.get("text")), fields.get("retry_s"))
