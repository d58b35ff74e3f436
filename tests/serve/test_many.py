"""Many streams: places, slow listeners, one that is sick, and the end."""

import asyncio
import contextlib
import json
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from tests.flashhead.stubs import tiny_flashhead
from tests.serve.server import PATIENCE_S, eventually, face, heard, serving, words
from vividhead.errors import VividHeadError
from vividhead.flashhead.client import ServerRefusedError, TalkingHead
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.generate.stream import Chunk, Stream
from vividhead.flashhead.wire import Media, Pcm, pcm_bytes
from vividhead.serve import session as session_module
from vividhead.serve.figures import Figures
from vividhead.serve.host import Host, measured_capacity
from vividhead.serve.lobby import RefusedError
from vividhead.serve.options import Serving
from vividhead.serve.session import LEAD_S, PlayClock, Session


def test_beyond_its_places_a_server_refuses_and_says_when_to_come_back() -> None:
    with serving(capacity=1) as server:
        with server.connect() as first:
            with pytest.raises(ServerRefusedError) as refused:
                server.connect()
            assert refused.value.code == "full" and refused.value.retry_s is not None and refused.value.retry_s > 0
            status, headers, body = server.get("/readyz")
            assert status == 503 and int(headers["retry-after"]) >= 1 and json.loads(body)["code"] == "full"
            first.say(words(1), 16000)
            assert sum(len(m.pictures) for m in heard(first)) == 25
        eventually(lambda: server.get("/readyz")[0] == 200)
        with server.connect() as second:
            assert second.next_media(PATIENCE_S) is not None
        assert "vividhead_streams_refused_total 1" in server.get("/metrics")[2].decode()


def test_one_address_gets_so_many_streams() -> None:
    with serving(Serving(port=0, streams_per_client=1)) as server, server.connect():
        with pytest.raises(ServerRefusedError, match="too_many"):
            server.connect()


def test_a_lost_connection_holds_its_place_only_for_a_while() -> None:
    with serving(Serving(port=0, resume_s=0.2), capacity=1) as server:
        server.connect().drop()
        eventually(lambda: server.lobby.host.n_open == 0)


def test_a_stream_to_which_nobody_speaks_is_closed() -> None:
    with serving(Serving(port=0, idle_s=0.3)) as server, server.connect() as head:
        with pytest.raises(ServerRefusedError, match="idle"):
            while head.next_media(PATIENCE_S) is not None:
                pass


def test_a_slow_listener_gets_the_newest_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "IN_FLIGHT_S", 0.3)
    with serving(Serving(port=0, backlog_s=2.5)) as server:
        with server.connect(shown=True) as slow, server.connect(seed=2) as quick:
            slow.say(words(5), 16000)
            found = []
            session = server.lobby._sessions[slow.key]
            eventually(lambda: session.dropped > 20)
            assert sum(m.duration_s for m in session._media) <= 2.5
            quick.say(words(1), 16000)
            assert sum(len(m.pictures) for m in heard(quick)) == 25
            while (media := slow.next_media(PATIENCE_S)) is not None:
                found.append(media)
                slow.shown(media.end_frame)
                if media.last and not media.idle:
                    break
            missing = found[-1].end_frame - sum(len(m.pictures) for m in found)  # dropped, or rest that made way
            assert 20 < found[-1].dropped == session.dropped <= missing
            assert all(m.pcm_S.size == 640 * len(m.pictures) for m in found)


def test_one_sick_stream_is_closed_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as server:
        with server.connect(seed=1) as well, server.connect(seed=2) as sick:
            ill = server.lobby._sessions[sick.key].stream
            honest = server.engine.next_chunks

            def next_chunks(streams: list[Stream]) -> list[Chunk | None]:
                if ill in streams:
                    raise RuntimeError("a tensor of the wrong shape")
                return honest(streams)

            monkeypatch.setattr(server.engine, "next_chunks", next_chunks)
            said = words(3)
            well.say(said, 16000)
            sick.say(said, 16000)
            with pytest.raises(ServerRefusedError, match="failed"):
                heard(sick)
            pcm_S = np.concatenate([m.pcm_S for m in heard(well)])
            assert np.abs(pcm_S - np.rint(said * 32767)).max() <= 2
            eventually(lambda: server.lobby.host.n_open == 1)
            assert "vividhead_streams_failed_total 1" in server.get("/metrics")[2].decode()
    assert "a tensor of the wrong shape" in caplog.text


def test_pictures_that_cannot_be_encoded_end_their_stream_with_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> list[Media]:
        raise ValueError("a codec of its own mind")

    monkeypatch.setattr("vividhead.serve.host.messages", broken)
    with serving() as server, server.connect() as head:
        head.say(words(1), 16000)
        with pytest.raises(ServerRefusedError, match="failed"):
            heard(head)
        eventually(lambda: server.lobby.host.n_open == 0)
        assert server.lobby.figures.of("streams_failed") >= 1
    assert "a codec of its own mind" in caplog.text


def test_no_stream_is_opened_that_cannot_be_written_down(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    with serving(Serving(port=0, audit_log=log)) as server:
        with server.connect():
            log.unlink()
            log.mkdir()  # as a disk that is full from now on
        eventually(lambda: server.lobby.host.n_open == 0)
        with pytest.raises(ServerRefusedError, match="failed"):
            server.connect()
        eventually(lambda: server.lobby.host.n_open == 0)
        log.rmdir()
        with server.connect() as head:
            head.say(words(1), 16000)
            assert sum(len(m.pictures) for m in heard(head)) == 25


def draining(head: TalkingHead, found: list[Media]) -> str:
    try:
        for media in iter(lambda: head.next_media(PATIENCE_S), None):
            found.append(media)
    except ServerRefusedError as fault:
        return fault.code
    return "closed"


def test_told_to_end_the_server_finishes_what_is_being_said_and_takes_nobody_new() -> None:
    with serving() as server:
        head = server.connect()
        head.say(words(3), 16000)
        eventually(lambda: server.lobby._sessions[head.key].pushed_s == 3)
        server.server.handle_exit(signal.SIGTERM, None)
        eventually(lambda: server.lobby.draining)
        with pytest.raises(ServerRefusedError, match="draining"):
            server.connect()
        found: list[Media] = []
        assert draining(head, found) == "draining"
        assert sum(len(m.pictures) for m in found if not m.idle) == 75
        eventually(lambda: server.server.should_exit)
        with pytest.raises(ServerRefusedError, match="ended"):
            head.flush()
        head.close()


def made_session(host: Host, engine: Engine, seed: int) -> Session:
    found = Session(loop=asyncio.new_event_loop(), client="x", codec="jpeg", backlog_s=3.0, seed=seed)
    found.stream = engine.open(face(seed).picture_HWC, seed, as_it_is=True)
    host._sessions.append(found)
    return found


def test_what_was_made_before_an_interrupt_is_forgotten_when_it_comes() -> None:
    async def delivered() -> list[int]:
        found = Session(loop=asyncio.get_running_loop(), client="x", codec="jpeg", backlog_s=3.0)
        found.interrupt()
        for epoch in (0, 1):
            piece = Media(
                codec="jpeg", pictures=[b"x"], pcm_S=np.zeros(640, np.int16), epoch=epoch, start_frame=0, side_px=16,
                idle=False, last=False,
            )  # fmt: skip
            found.deliver([piece])
        return [piece.epoch for piece in found._media]

    assert asyncio.run(delivered()) == [1]


def test_a_stream_is_resumed_from_the_address_that_it_was_opened_from() -> None:
    with serving() as server, server.connect() as head:
        with pytest.raises(RefusedError) as refused:
            server.lobby.resumed(head.key, "192.0.2.7")
        assert refused.value.code == "gone"
        with pytest.raises(RefusedError) as refused:
            server.lobby.resumed(head.key, "127.0.0.1")
        assert refused.value.code == "in_use"


def test_speech_is_made_before_rest_and_what_is_due_at_once_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tiny_flashhead(), capacity=4)
    host = Host(engine, Figures(), chunk_s=0.05, quality=80, label="")
    resting, one, two = (made_session(host, engine, seed) for seed in range(3))
    for speaker in (one, two):
        assert speaker.stream is not None
        speaker.stream.push_pcm(words(1))
    asked: list[list[Stream]] = []
    honest = engine.next_chunks
    monkeypatch.setattr(engine, "next_chunks", lambda streams: asked.append(list(streams)) or honest(streams))
    for _ in range(3):
        host._work()
    assert asked[0] == [one.stream, two.stream]
    assert asked[-1] == [resting.stream]
    for session in (resting, one, two):
        session.loop.close()
    for lane in host._lanes:
        lane.shutdown()


def test_the_clock_makes_speech_two_chunks_ahead_and_rest_just_in_time() -> None:
    def chunk(idle: bool) -> Chunk:
        empty = np.zeros((24, 2, 2, 3), np.uint8)
        return Chunk(frames_THWC=empty, pcm_S=np.zeros(24 * 640, np.float32), start_frame=0, epoch=0, idle=idle)

    clock = PlayClock(ends_at=100.0)
    assert clock.is_due(100.0, speaking=False, rest_lead_s=0.2) and clock.is_due(100.0, speaking=True, rest_lead_s=0.2)
    assert clock.add(chunk(idle=True), 100.0) == 0 and clock.ends_at == pytest.approx(100.96)
    assert not clock.is_due(100.7, speaking=False, rest_lead_s=0.2)
    assert clock.wait_s(100.7, speaking=False, rest_lead_s=0.2) == pytest.approx(0.06)
    assert clock.is_due(100.1, speaking=True, rest_lead_s=0.2), "speech waits for no rest"
    assert clock.add(chunk(idle=False), 100.1) == 0 and clock.ends_at == pytest.approx(101.06)
    clock.add(chunk(idle=False), 100.2)
    assert clock.ends_at == pytest.approx(102.02) and clock.is_due(102.02 - LEAD_S, speaking=True, rest_lead_s=0.2)
    assert not clock.is_due(102.0 - LEAD_S, speaking=True, rest_lead_s=0.2)
    assert clock.add(chunk(idle=False), 103.0) == pytest.approx(0.98), "it came too late"
    clock.lacks_sound = True
    assert not clock.is_due(200.0, speaking=True, rest_lead_s=0.2)
    clock.forget(200.0)
    assert clock.is_due(200.0, speaking=True, rest_lead_s=0.2)


def test_capacity_is_the_largest_batch_that_is_made_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tiny_flashhead(), capacity=8)
    now = [0.0]
    honest = engine.next_chunks

    def next_chunks(streams: list[Stream]) -> list[Chunk | None]:
        now[0] += 0.2 * len(streams)
        return honest(streams)

    monkeypatch.setattr(engine, "next_chunks", next_chunks)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    assert measured_capacity(engine, 8) == (3, pytest.approx(0.2))  # 4 take 0.8 s of 0.96, of which 0.77 are allowed
    assert measured_capacity(engine, 2)[0] == 2
    assert not engine._streams


def test_sound_that_comes_faster_than_it_is_spoken_is_bounded() -> None:
    with serving(Serving(port=0, waiting_s=4.0)) as server, server.connect() as head:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(20):
                head._socket.send(pcm_bytes(words(1).astype(np.int16), 16000))
        with pytest.raises(ServerRefusedError, match=r"more than 4 s"):
            heard(head)


def test_the_client_waits_while_the_server_has_enough() -> None:
    with serving(Serving(port=0, waiting_s=4.0)) as server, server.connect() as head:
        talk = threading.Thread(target=head.say, args=(words(10), 16000))
        talk.start()
        assert sum(len(m.pictures) for m in heard(head)) == 250
        talk.join(PATIENCE_S)


def test_a_client_that_pushes_and_does_not_listen_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vividhead.flashhead.client.NOBODY_LISTENS_S", 0.1)
    with serving(Serving(port=0, waiting_s=4.0)) as server, server.connect() as head:
        with pytest.raises(VividHeadError, match="nobody listens"):
            head.say(words(5), 16000)


def test_an_utterance_that_is_ended_after_its_last_picture_came_has_an_end() -> None:
    with serving() as server, server.connect() as head:
        head.push(words(0.96), 16000)  # a chunk and nothing more
        spoken = 0
        while spoken < 24:
            media = head.next_media(PATIENCE_S)
            assert media is not None
            spoken += 0 if media.idle else len(media.pictures)
        head.flush()
        told = threading.Thread(target=heard, args=(head,), daemon=True)
        told.start()
        told.join(PATIENCE_S)
        assert not told.is_alive()


def test_who_generated_what_is_written_down(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    with serving(Serving(port=0, audit_log=log)) as server:
        with server.connect(seed=11) as head:
            head.say(words(1), 16000)
            heard(head)
        eventually(lambda: len(log.read_text().splitlines()) == 2)
    opened, closed = (json.loads(line) for line in log.read_text().splitlines())
    assert (opened["event"], closed["event"]) == ("opened", "closed") and opened["stream"] == closed["stream"]
    assert opened["portrait_sha256"] == face().sha256 and opened["seed"] == 11 and opened["client"] == "127.0.0.1"
    assert closed["pictures"] >= 25 and opened["pictures"] == 0


def test_a_command_after_the_end_does_nothing() -> None:
    with serving() as server:
        head = server.connect()
        session = server.lobby._sessions[head.key]
        head.close()
        eventually(lambda: session.closed)
        server.lobby.host.push(session, Pcm(np.zeros(16, np.int16), 16000))
        with server.connect() as other:
            assert other.next_media(PATIENCE_S) is not None


def test_of_what_waits_too_long_rest_is_dropped_before_speech() -> None:
    def media(start: int, *, idle: bool) -> Media:
        return Media(
            codec="jpeg", pictures=[b""] * 25, pcm_S=np.zeros(25 * 640, np.int16), epoch=0, start_frame=start,
            side_px=16, idle=idle, last=False,
        )  # fmt: skip

    async def story() -> None:
        session = Session(loop=asyncio.get_running_loop(), client="", codec="jpeg", backlog_s=3.0)
        session.deliver([media(0, idle=False), media(25, idle=False), media(50, idle=True), media(75, idle=True)])
        assert [(m.start_frame, m.idle) for m in session._media] == [(0, False), (25, False), (75, True)]
        session.deliver([media(100, idle=False), media(125, idle=False)])
        assert [m.start_frame for m in session._media] == [25, 100, 125] and session.dropped == 50

    asyncio.run(story())
