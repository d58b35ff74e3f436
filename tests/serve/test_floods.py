"""Clients that send too much, take too little or come too often: they cost their own stream and nobody else's."""

import asyncio
import contextlib
import threading
import time
from typing import Any, cast

import numpy as np
import pytest
import torch
from websockets.sync.client import connect as open_socket

from tests.flashhead.stubs import tiny_flashhead
from tests.serve.server import PATIENCE_S, Served, eventually, face, heard, serving, words
from vividhead.flashhead.client import ServerRefusedError, TalkingHead
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.wire import PATH, Media, parse_text
from vividhead.serve import connection, host, session
from vividhead.serve.figures import Figures
from vividhead.serve.host import Host
from vividhead.serve.lobby import RefusedError
from vividhead.serve.options import Serving
from vividhead.serve.session import Session


def test_one_address_gets_no_more_streams_by_asking_all_at_once() -> None:
    found: list[TalkingHead | str] = []
    with serving(Serving(port=0, streams_per_client=2), capacity=8) as server:

        def ask() -> None:
            try:
                found.append(server.connect())
            except ServerRefusedError as fault:
                found.append(fault.code)

        askers = [threading.Thread(target=ask) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(PATIENCE_S)
        heads = [head for head in found if isinstance(head, TalkingHead)]
        assert len(heads) == 2 and {code for code in found if isinstance(code, str)} == {"too_many"}
        for head in heads:
            head.close()
        eventually(lambda: not server.lobby._sessions)
        assert not server.lobby._opening and not server.lobby._arrived
        with server.connect() as head:
            assert head.next_media(PATIENCE_S) is not None


def test_connections_that_begin_nothing_are_limited_by_address(served: Served) -> None:
    allowed = 2 * served.lobby.serving.streams_per_client
    with contextlib.ExitStack() as stack:
        asked = [open_socket(served.address + PATH, proxy=None, compression=None) for _ in range(allowed + 1)]
        said = [parse_text(str(stack.enter_context(socket).recv(PATIENCE_S))) for socket in asked]
        assert [message.type for message in said].count("hello") == allowed
        assert [message.fields["code"] for message in said if message.type == "error"] == ["too_many"]
    eventually(lambda: not served.lobby._arrived)


def test_a_stream_that_is_opened_as_its_client_gives_up_is_closed() -> None:
    engine = Engine(tiny_flashhead(), capacity=1)
    driver = Host(engine, Figures(), chunk_s=0.05, quality=80, label="")

    async def given_up() -> None:
        wanted = Session(loop=asyncio.get_running_loop(), client="x", codec="jpeg", backlog_s=3.0)
        opening = asyncio.create_task(driver.open(wanted, face().picture_HWC))
        await asyncio.sleep(0)
        driver._commands.get_nowait()()  # the thread opens it, and the loop will hear so
        asyncio.get_running_loop().call_soon(opening.cancel)  # after that, and before the task goes on
        with pytest.raises(asyncio.CancelledError):
            await opening
        driver._obey(0)

    asyncio.run(given_up())
    assert driver.n_open == 0 and not engine._streams
    for lane in driver._lanes:
        lane.shutdown()


def test_whatever_fails_while_a_stream_is_opened_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the device's memory is full")

    with serving() as server, server.connect() as well:
        with monkeypatch.context() as patched:
            patched.setattr(server.engine, "open", broken)
            with pytest.raises(ServerRefusedError, match="failed"):
                server.connect()
        well.say(words(1), 16000)
        assert sum(len(m.pictures) for m in heard(well)) == 25
        with server.connect() as other:
            assert other.next_media(PATIENCE_S) is not None
    assert "the device's memory is full" in caplog.text


def test_a_command_that_fails_ends_its_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server, server.connect() as well, server.connect() as sick:
        stream = server.lobby._sessions[sick.key].stream
        assert stream is not None

        def broken() -> None:
            raise RuntimeError("a resampler of its own mind")

        monkeypatch.setattr(stream, "flush", broken)
        sick.flush()
        with pytest.raises(ServerRefusedError, match="failed"):
            heard(sick)
        well.say(words(1), 16000)
        assert sum(len(m.pictures) for m in heard(well)) == 25


def test_who_sends_many_commands_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Host(Engine(tiny_flashhead()), Figures(), chunk_s=0.05, quality=80, label="")
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    done = []

    def slow() -> None:
        now[0] += host.OBEYS_S / 2
        done.append(now[0])

    for _ in range(50):
        driver._commands.put(slow)
    driver._obey(0)
    assert 1 <= len(done) <= 4, "then it looks for what is due"
    for lane in driver._lanes:
        lane.shutdown()


def test_who_sends_faster_than_it_is_obeyed_is_not_read_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server, server.connect() as flood:
        victim = server.lobby._sessions[flood.key]
        go_on, held = threading.Event(), threading.Event()
        most = [0]

        def wait() -> None:
            held.set()
            go_on.wait(PATIENCE_S)

        server.lobby.host._commands.put(wait)
        assert held.wait(PATIENCE_S)
        for _ in range(500):
            flood.flush()
        flood.ping(1)
        eventually(lambda: victim.n_ordered - victim.n_obeyed >= session.MOST_ORDERS)
        most[0] = victim.n_ordered - victim.n_obeyed
        go_on.set()
        eventually(lambda: flood.next_media(PATIENCE_S) is not None and any(n.type == "pong" for n in flood.notes))
        assert most[0] == session.MOST_ORDERS and victim.n_obeyed == 500


def test_a_client_that_takes_nothing_keeps_no_place_and_its_answers_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Serving(port=0, resume_s=0.1)) as server:
        with server.connect() as deaf:
            victim = server.lobby._sessions[deaf.key]
            monkeypatch.setattr(connection, "STALLS_S", 3.0)
            (line,) = server.server.server_state.connections
            cast(Any, line).writable.clear()  # as asyncio does where a peer's buffers are full
            for at in range(500):
                deaf.ping(at)
            eventually(lambda: len(victim._notes) == session.MOST_NOTES or server.lobby.host.n_open == 0)
            assert len(victim._notes) <= session.MOST_NOTES
            eventually(lambda: server.lobby.host.n_open == 0)


def test_pictures_that_are_encoded_too_slowly_are_made_later_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "MOST_ENCODING_CHUNKS", 1)
    engine = Engine(tiny_flashhead(), capacity=2)
    driver = Host(engine, Figures(), chunk_s=0.05, quality=80, label="")
    behind = Session(loop=asyncio.new_event_loop(), client="x", codec="jpeg", backlog_s=3.0)
    behind.stream = engine.open(face().picture_HWC, 0, as_it_is=True)
    driver._sessions.append(behind)
    behind.stream.push_pcm(words(3))
    made = []
    for _ in range(3):
        waits_s = driver._work()
        made.append(behind.frames_made)
    assert made == [24, 24, 24] and 0 < waits_s < 0.1
    behind.frames_delivered = 24  # the event loop has got them
    driver._work()
    assert behind.frames_made == 48
    for lane in driver._lanes:
        lane.shutdown()
    behind.loop.close()


def test_what_is_dropped_is_counted_where_watchers_see_it() -> None:
    async def dropped() -> Figures:
        figures = Figures()
        slow = Session(loop=asyncio.get_running_loop(), client="x", codec="jpeg", backlog_s=0.08, figures=figures)
        for k in range(4):
            slow.deliver([
                Media(
                    codec="jpeg", pictures=[b"x"], pcm_S=np.zeros(640, np.int16), epoch=0, start_frame=k, side_px=16,
                    idle=False, last=False,
                )
            ])  # fmt: skip
        assert slow.dropped == 2
        return figures

    assert asyncio.run(dropped()).of("pictures_dropped") == 2


def test_who_resumes_hears_of_that_first() -> None:
    with serving() as server:
        head = server.connect()
        head.drop()
        left = server.lobby._sessions[head.key]
        eventually(lambda: not left.attached)
        left.note('{"type": "pong"}')
        with server.connect(resume=head.key) as again:
            assert again.key == head.key and "frame" in again.started


def test_a_server_told_to_end_waits_for_nobody_who_has_gone() -> None:
    with serving(Serving(port=0, resume_s=1000.0, drain_s=1000.0)) as server:
        head = server.connect()
        head.drop()
        eventually(lambda: not server.lobby._sessions[head.key].attached)
        began = time.monotonic()
        server.server._loop.call_soon_threadsafe(server.server.drain)  # type: ignore[union-attr]
        eventually(lambda: server.server.should_exit)
        assert time.monotonic() - began < PATIENCE_S
        with pytest.raises(RefusedError):
            server.lobby.resumed(head.key, "127.0.0.1")


def test_an_origin_that_is_no_address_is_a_foreign_page(served: Served) -> None:
    assert served.get("/v1/about", Origin="http://[")[0] == 403


@pytest.mark.parametrize("video", ([[]], [{}], [None, 3]))
def test_a_list_of_anything_is_no_list_of_codecs(served: Served, video: object) -> None:
    with open_socket(served.address + PATH, proxy=None, compression=None) as socket:
        socket.recv(PATIENCE_S)
        socket.send('{"type": "start", "video": ' + str(video).replace("None", "null") + "}")
        assert parse_text(str(socket.recv(PATIENCE_S))).fields["code"] == "bad_message"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
