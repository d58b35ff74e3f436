"""WebRTC: the same streams, places and rules over a peer connection.

peer ─ POST /rtc/offer ─▶ answer;  its microphone ─▶ speech;  tracks of picture and sound ◀─ Playout ◀─ Session
peer ◀─ data channel `vividhead.v1` ─▶ the WebSocket's text messages: hello, start, interrupt, say, error, …
"""

import asyncio
import base64
import json
import logging
from collections.abc import Mapping

import aioice.ice
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)  # fmt: skip
from aiortc.mediastreams import MediaStreamError

from vividhead.flashhead.wire import Codec, Media, Pcm, PortraitFile, Said
from vividhead.media.live import AudioFrame, mono_of
from vividhead.serve.connection import BEGIN_S, Connection
from vividhead.serve.lobby import Lobby, RefusedError
from vividhead.serve.microphone import Microphone
from vividhead.serve.playout import PictureTrack, Playout, SoundTrack
from vividhead.serve.rtc_channel import Channel
from vividhead.serve.session import Session

logger = logging.getLogger(__name__)

BEHIND_S = 3.0
"""Sound of a microphone that waits to be spoken; more is not taken, as it would only be later and later."""


class Peers:
    """Everyone who is connected by WebRTC. Belongs to the event loop."""

    def __init__(self, lobby: Lobby) -> None:
        """Let peers into this lobby."""
        self._lobby = lobby
        self._tasks: dict[asyncio.Task[None], str] = {}
        _listen_only_on(lobby.serving.host)

    async def answer(self, client: str, sdp: str, portrait: bytes | None) -> str:
        """An answer to an offer; `portrait` is a picture's file. Raises RefusedError."""
        if refused := self._lobby.why_not_ready():
            self._lobby.figures.count("streams_refused")
            raise refused
        if list(self._tasks.values()).count(client) >= self._lobby.serving.streams_per_client:
            raise RefusedError("too_many", "your address has as many connections open as it may", 10.0)
        peer = Peer(self._lobby, client, portrait)
        task = asyncio.create_task(peer.serve())  # it counts from now on, however long the answer takes
        self._tasks[task] = client
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        try:
            return await peer.answer(sdp)
        except Exception as fault:  # what a library finds wrong with a stranger's text has no type of its own
            logger.info("an offer that cannot be answered", exc_info=True)
            task.cancel()
            await peer.close()
            self._lobby.figures.count("bad_messages")
            raise RefusedError("bad_message", f"this offer cannot be answered: {fault}") from fault

    async def close(self) -> None:
        """Send everyone away."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Peer:
    """One peer connection."""

    def __init__(self, lobby: Lobby, client: str, portrait: bytes | None) -> None:
        """No server beyond this one is asked for anything: candidates are this machine's own addresses."""
        self._rtc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channel: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._connection = RtcConnection(lobby, client, portrait)
        self._rtc.on("datachannel", self._took)
        self._rtc.on("track", self._connection.hear)
        self._rtc.on("connectionstatechange", self._changed)

    async def answer(self, sdp: str) -> str:
        """Take the offer."""
        await self._rtc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        kinds = {transceiver.kind for transceiver in self._rtc.getTransceivers()}
        for track in (SoundTrack(self._connection.playout), PictureTrack(self._connection.playout)):
            if track.kind in kinds:
                self._rtc.addTrack(track)
        await self._rtc.setLocalDescription(await self._rtc.createAnswer())
        return self._rtc.localDescription.sdp

    async def serve(self) -> None:
        """Talk until either side ends."""
        try:
            line = Channel(await asyncio.wait_for(self._channel, BEGIN_S), self._over)
            await self._connection.serve_on(line)
        except TimeoutError:
            logger.info("a peer opened no data channel")
        finally:
            await self.close()

    async def close(self) -> None:
        """Let go of it."""
        self._connection.hang_up()
        await self._rtc.close()

    def _took(self, channel: RTCDataChannel) -> None:
        if not self._channel.done():
            self._channel.set_result(channel)

    def _changed(self) -> None:
        if self._rtc.connectionState in ("failed", "closed"):
            self._over.set()


class RtcConnection(Connection):
    """A peer's stream: pictures and sound go to tracks, and sound comes from one."""

    codec_here: Codec | None = "i420"
    plays_here = True

    def __init__(self, lobby: Lobby, client: str, portrait: bytes | None) -> None:
        """Of a peer that has not opened its data channel yet."""
        super().__init__(client, lobby)
        self.playout = Playout(lobby.side_px, self._showed)
        self._portrait_file = portrait
        self._session: Session | None = None
        self._ears: asyncio.Task[None] | None = None
        self._microphone = Microphone(self._speak, self._flush)

    def hear(self, track: MediaStreamTrack) -> None:
        """Take a track of the peer; what it says before the stream begins is not heard."""
        if track.kind == "audio" and self._ears is None:
            self._ears = asyncio.create_task(self._listen(track))

    def hang_up(self) -> None:
        """Hear no more."""
        if self._ears is not None:
            self._ears.cancel()

    async def _begin(self) -> Session:
        if self._portrait_file is not None:
            await self._take_portrait(self._portrait_file)
        return await super()._begin()

    async def _talk(self, session: Session) -> None:
        self.playout.silence(session.epoch)
        self._session = session
        await super()._talk(session)

    async def _send(self, media: Media) -> None:
        self.playout.add(media)

    async def _obey(self, session: Session, heard: Pcm | PortraitFile | Said) -> bool:
        goes_on = await super()._obey(session, heard)
        if isinstance(heard, Said) and heard.type == "interrupt":
            self.playout.silence(session.epoch)
        return goes_on

    def _showed(self, frame: int) -> None:
        if self._session is not None:
            self._session.shown(frame)

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                break
            if isinstance(frame, AudioFrame) and self._session is not None:
                self._microphone.take(mono_of(frame), frame.sample_rate)
        self._microphone.end()

    def _speak(self, sound: Pcm) -> None:
        assert self._session is not None
        if self._session.unspoken_s < BEHIND_S:
            self._lobby.host.push(self._session, sound)

    def _flush(self) -> None:
        assert self._session is not None
        self._lobby.host.flush(self._session)


def _listen_only_on(host: str) -> None:
    """Candidates are addresses that the server listens on: aiortc takes all of the machine's, and knows no choice."""
    anywhere = host in ("", "0.0.0.0", "::")  # noqa: S104 - asked for by the operator, and only looked at here
    addresses = ["127.0.0.1" if host == "localhost" else host.strip("[]")]
    if not anywhere:
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: addresses


def parsed_offer(data: bytes) -> tuple[str, bytes | None]:
    """The offer and the portrait in a request's JSON. Raises RefusedError."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as fault:
        raise RefusedError("bad_message", "an offer is JSON") from fault
    if not isinstance(body, Mapping) or body.get("type") != "offer" or not isinstance(body.get("sdp"), str):
        raise RefusedError("bad_message", "an offer is a JSON object with `type` offer, `sdp`, and maybe `portrait`")
    portrait = body.get("portrait")
    if portrait is None:
        return body["sdp"], None
    try:
        return body["sdp"], base64.b64decode(portrait, validate=True)
    except (TypeError, ValueError) as fault:
        raise RefusedError("bad_portrait", "a portrait in an offer is a picture's file in base64") from fault
