"""WebRTC: an aiortc peer on this machine sees and hears a stream, in step, speaks to it, and silences it."""

import asyncio
import base64
import http.client
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from tests.flashhead.stubs import tiny_flashhead
from tests.serve.server import PATIENCE_S, Served, eventually, serving, words
from vividhead.flashhead.generate.stream import Chunk, Stream
from vividhead.flashhead.wire import Media, Pcm, parse_text, pcm_bytes, text_of
from vividhead.serve.guard import RTC_PATH

aiortc = pytest.importorskip("aiortc", reason="needs the webrtc extra")
av = pytest.importorskip("av")
from vividhead.serve.microphone import Microphone  # noqa: E402 - after the library that it needs
from vividhead.serve.playout import PictureTrack, Playout, SoundTrack  # noqa: E402


def post(served: Served, body: object, **headers: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", served.server.port, timeout=PATIENCE_S)
    try:
        named = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        connection.request("POST", RTC_PATH, json.dumps(body), named)
        answer = connection.getresponse()
        data = answer.read()
        found = {k.lower(): v for k, v in answer.getheaders()}
        return answer.status, found, json.loads(data) if "json" in found.get("content-type", "") else {}
    finally:
        connection.close()


class Peer:
    """An aiortc client."""

    def __init__(self) -> None:
        self.rtc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.channel = self.rtc.createDataChannel("vividhead.v1")
        self.said: list[Any] = []
        self.bright: list[tuple[float, bool]] = []
        """When in the track's own time, in seconds, and whether the picture is bright."""
        self.loud: list[tuple[float, bool]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.channel.on("message", lambda message: self.said.append(parse_text(message)))
        self.rtc.on("track", lambda track: self.tasks.append(asyncio.create_task(self.watch(track))))

    async def watch(self, track: Any) -> None:
        first = None
        while True:
            try:
                frame = await track.recv()
            except aiortc.mediastreams.MediaStreamError:
                return
            first = frame.pts if first is None else first
            at_s = float((frame.pts - first) * frame.time_base)
            if track.kind == "video":
                self.bright.append((at_s, frame.to_ndarray(format="gray").mean() > 127))
            else:
                self.loud.append((at_s, bool(np.abs(frame.to_ndarray().astype(int)).max() > 500)))

    async def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end, (self.said, self.bright[-3:], self.loud[-3:])
            await asyncio.sleep(0.01)

    async def heard(self, kind: str) -> Any:
        await self.until(lambda: any(said.type == kind for said in self.said))
        return next(said for said in self.said if said.type == kind)

    def tell(self, kind: str, **fields: Any) -> None:
        self.channel.send(text_of(kind, **fields))

    def speak(self, seconds: float) -> None:
        for part_S in np.array_split((words(seconds) * 32767).astype(np.int16), 16):
            self.channel.send(pcm_bytes(part_S, 16000))
        self.tell("flush")


@asynccontextmanager
async def connected(served: Served, microphone: Any = None, **start: Any) -> AsyncIterator[Peer]:
    peer = Peer()
    try:
        peer.rtc.addTransceiver("video", direction="recvonly")
        peer.rtc.addTransceiver(microphone or "audio", direction="sendrecv" if microphone else "recvonly")
        await peer.rtc.setLocalDescription(await peer.rtc.createOffer())
        status, _, answer = await asyncio.to_thread(
            post, served, {"type": "offer", "sdp": peer.rtc.localDescription.sdp}
        )
        assert status == 200, answer
        await peer.rtc.setRemoteDescription(aiortc.RTCSessionDescription(answer["sdp"], "answer"))
        await peer.heard("hello")
        peer.tell("start", **start)
        yield peer
    finally:
        await peer.rtc.close()
        for task in peer.tasks:
            task.cancel()
        await asyncio.gather(*peer.tasks, return_exceptions=True)


@pytest.fixture
def lit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server whose pictures are white in speech and black at rest."""
    torch.manual_seed(0)
    with serving(model=tiny_flashhead()) as server:
        honest = server.engine.next_chunks

        def next_chunks(streams: list[Stream]) -> list[Chunk | None]:
            return [
                chunk and replace(chunk, frames_THWC=np.full_like(chunk.frames_THWC, 0 if chunk.idle else 255))
                for chunk in honest(streams)
            ]

        monkeypatch.setattr(server.engine, "next_chunks", next_chunks)
        yield server


def test_pictures_and_sound_arrive_in_step_an_interrupt_silences_and_stop_frees_the_place(lit: Served) -> None:
    async def story() -> None:
        async with connected(lit, seed=3) as peer:
            started = await peer.heard("started")
            assert started.fields["seed"] == 3 and started.fields["video"] == "i420"
            await peer.until(lambda: len(peer.bright) > 5 and len(peer.loud) > 5)
            assert not any(is_on for _, is_on in (*peer.bright, *peer.loud))
            peer.speak(8.0)
            await peer.until(lambda: any(is_on for _, is_on in peer.bright) and any(is_on for _, is_on in peer.loud))
            seen_s, heard_s = (next(at_s for at_s, is_on in track if is_on) for track in (peer.bright, peer.loud))
            assert abs(seen_s - heard_s) <= 0.08

            peer.tell("interrupt")
            await peer.heard("interrupted")
            at_s = peer.loud[-1][0]
            await peer.until(lambda: not any(is_on for _, is_on in peer.loud[-3:]))
            assert peer.loud[-1][0] - at_s < 1.5  # of the six seconds that were left

            peer.tell("stop")
            assert (await peer.heard("error")).fields["code"] == "stopped"
            await asyncio.to_thread(eventually, lambda: lit.lobby.host.n_open == 0)

    asyncio.run(story())


class Beeper(aiortc.MediaStreamTrack):  # type: ignore[misc]
    """A microphone that hears 1.2 s of noise, then is muted."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._n, self._began_at, self.on = 0, time.monotonic(), False
        self._sound_S = (words(1.2, 48000) * 32767).astype(np.int16)

    async def recv(self) -> Any:
        await asyncio.sleep(max(0.0, self._began_at + self._n / 48000 - time.monotonic()))
        part_S = self._sound_S[:960] if self.on else np.zeros(0, np.int16)
        self._sound_S = self._sound_S[part_S.size :]
        frame = av.AudioFrame.from_ndarray(np.pad(part_S, (0, 960 - part_S.size))[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, self._n, Fraction(1, 48000)
        self._n += 960
        return frame


def test_a_microphone_is_spoken_and_muting_it_ends_the_utterance(lit: Served) -> None:
    async def story() -> None:
        microphone = Beeper()
        async with connected(lit, microphone) as peer:
            await peer.heard("started")
            microphone.on = True
            await peer.until(lambda: any(is_on for _, is_on in peer.loud) and any(is_on for _, is_on in peer.bright))
            await peer.until(lambda: not any(is_on for _, is_on in peer.bright[-10:]))  # it rests again

    asyncio.run(story())


def test_offers_that_cannot_be_are_refused_with_their_reason(served: Served) -> None:
    assert post(served, {})[0] == post(served, {"type": "offer", "sdp": 3})[0] == 400
    status, _, answer = post(served, {"type": "offer", "sdp": "v=0\r\nm=nonsense\r\n"})
    assert status == 400 and answer["code"] == "bad_message"
    status, _, answer = post(served, {"type": "offer", "sdp": "v=0", "portrait": "!!"})
    assert status == 400 and answer["code"] == "bad_portrait"
    assert post(served, {}, Origin="https://evil.example")[0] == 403
    assert post(served, {}, Host="evil.example")[0] == 421
    assert post(served, {}, Content_Type="text/plain")[0] == 415
    assert served.get(RTC_PATH)[0] == 405
    assert served.get("/healthz")[0] == 200


def test_a_full_server_says_so_at_the_offer_and_the_data_channel_has_the_same_rules() -> None:
    async def story(served: Served) -> None:
        async with connected(served, nonsense=1) as peer:
            assert (await peer.heard("error")).fields["code"] == "bad_message"
        with served.connect():
            status, headers, answer = await asyncio.to_thread(post, served, {"type": "offer", "sdp": "v=0"})
            assert status == 503 and answer["code"] == "full" and int(headers["retry-after"]) >= 1

    with serving(capacity=1) as served:
        asyncio.run(story(served))


def test_a_portrait_comes_with_the_offer_and_needs_the_same_consent() -> None:
    from vividhead.serve.options import Serving

    async def story(served: Served) -> None:
        peer = Peer()
        peer.rtc.addTransceiver("video", direction="recvonly")
        await peer.rtc.setLocalDescription(await peer.rtc.createOffer())
        body = {"type": "offer", "sdp": peer.rtc.localDescription.sdp, "portrait": base64.b64encode(b"none").decode()}
        _, _, answer = await asyncio.to_thread(post, served, body)
        await peer.rtc.setRemoteDescription(aiortc.RTCSessionDescription(answer["sdp"], "answer"))
        assert (await peer.heard("error")).fields["code"] == "bad_portrait"
        await peer.rtc.close()

    with serving(Serving(port=0, uploads=False)) as served:
        asyncio.run(story(served))


def media(start_frame: int, count: int, *, idle: bool = False, epoch: int = 0, last: bool = False) -> Media:
    pcm_S = np.repeat(np.arange(start_frame, start_frame + count, dtype=np.int16), 640)
    pictures = [np.full((24, 16), start_frame + at, np.uint8).tobytes() for at in range(count)]
    return Media(
        codec="i420", pictures=pictures, pcm_S=pcm_S, epoch=epoch, start_frame=start_frame, side_px=16, idle=idle,
        last=last,
    )  # fmt: skip


def test_both_tracks_play_the_same_ticks_at_the_same_time() -> None:
    async def story() -> None:
        shown: list[int] = []
        playout = Playout(16, shown.append)
        pictures, sound = PictureTrack(playout), SoundTrack(playout)
        playout.add(media(50, 3, idle=True))
        playout.add(media(10, 4))  # speech replaces rest
        playout.add(media(99, 4, epoch=1))  # of an epoch that has not begun
        for tick in range(6):
            picture = await pictures.recv()
            blocks = [await sound.recv() for _ in range(2)]
            assert picture.pts * picture.time_base == blocks[0].pts * blocks[0].time_base == Fraction(tick, 25)
            assert blocks[1].pts * blocks[1].time_base == Fraction(tick, 25) + Fraction(1, 50)
            expected = 10 + tick if tick < 4 else 13  # the last picture stays, in silence
            assert (picture.to_ndarray()[:16] == expected).all()
            assert all((block.to_ndarray() == (expected if tick < 4 else 0)).all() for block in blocks)
        assert shown == [11, 12, 13, 14] and playout.gaps == 2
        playout.add(media(14, 4))
        playout.silence(1)
        assert (await pictures.recv()).to_ndarray()[0, 0] == 13 and playout.gaps == 2

    asyncio.run(story())


def test_a_track_that_nobody_reads_costs_no_memory_and_goes_on_at_the_present() -> None:
    async def story() -> None:
        playout = Playout(16, lambda frame: None)
        pictures, sound = PictureTrack(playout), SoundTrack(playout)
        playout._began_at = time.monotonic() - 3600
        for _ in range(200):
            picture = await pictures.recv()
        block = await sound.recv()
        assert picture.pts * picture.time_base == Fraction(199, 25)
        assert block.pts * block.time_base == Fraction(150, 25) and len(playout._played) == 50

    asyncio.run(story())


def test_a_microphone_is_pushed_in_pieces_and_a_muted_one_is_not() -> None:
    pushed: list[Pcm] = []
    flushes: list[int] = []
    microphone = Microphone(pushed.append, lambda: flushes.append(len(pushed)))
    quiet_S, loud_S = np.full(960, 3, np.int16), np.full(960, 900, np.int16)
    for _ in range(100):
        microphone.take(quiet_S, 48000)
    assert not pushed and not flushes
    for block_S in [loud_S] * 8 + [quiet_S] * 20 + [loud_S] * 4:  # a pause belongs to the utterance
        microphone.take(block_S, 48000)
    assert [piece.samples_S.size for piece in pushed] == [3840] * 8 and not flushes
    for _ in range(100):
        microphone.take(quiet_S, 48000)
    microphone.end()
    assert len(flushes) == 1 and len(pushed) == flushes[0]
