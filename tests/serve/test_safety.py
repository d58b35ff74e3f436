"""Who may connect, and what hostile messages do: nothing."""

import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect as open_socket

from tests.serve.server import PATIENCE_S, Served, heard, serving, words
from vividhead.audit.inspect.guard import Access
from vividhead.flashhead.client import ServerRefusedError
from vividhead.flashhead.wire import PATH, parse_text
from vividhead.serve import portraits
from vividhead.serve.encode import labelled
from vividhead.serve.options import Serving


def handshake(served: Served, **headers: str) -> bool:
    """Whether a WebSocket with these headers is let in."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with open_socket(served.address + PATH, additional_headers=named, proxy=None) as socket:
            return parse_text(str(socket.recv(PATIENCE_S))).type == "hello"
    except InvalidHandshake:
        return False


def test_only_our_own_page_and_programs_may_connect(served: Served) -> None:
    own = served.address.replace("ws://", "http://")
    assert handshake(served) and handshake(served, Origin=own)
    assert not handshake(served, Origin="https://evil.example")
    assert not handshake(served, Origin="null")
    assert not handshake(served, Origin=own.replace("127.0.0.1", "evil.example"))
    assert served.get("/", Host="evil.example")[0] == 421
    assert served.get("/v1/about", Origin="https://evil.example")[0] == 403


def test_pages_that_were_named_may_connect_too() -> None:
    with serving(Serving(port=0, origins=("https://friend.example",))) as server:
        assert handshake(server, Origin="https://friend.example")
        assert not handshake(server, Origin="https://friend.example.evil.example")


def test_with_a_token_nobody_gets_in_without_it() -> None:
    with serving(access=Access(None, "secret")) as server:
        assert not handshake(server) and not handshake(server, Authorization="Bearer wrong")
        assert handshake(server, Authorization="Bearer secret")
        assert handshake(server, Cookie="vividhead_serve_token=secret")
        assert server.get("/")[0] == 401 and server.get("/metrics")[0] == 401
        status, headers, _ = server.get("/?token=secret")
        assert status == 303 and "vividhead_serve_token=secret" in headers["set-cookie"]
        assert server.get("/healthz")[0] == 200
        with server.connect(token=TOKEN) as head:
            assert head.next_media(PATIENCE_S) is not None
        with pytest.raises(ServerRefusedError, match="handshake"):
            server.connect(token=TOKEN[::-1])


def png(width: int, height: int) -> bytes:
    """A small file that says it is so large a picture."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(b"\0" * 1000)) + part(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"not a picture", "not a PNG"), (png(60000, 60000), "megapixels"), (png(5000, 4000), "megapixels"),
     (png(300, 300), "damaged"), (b"GIF89a" + bytes(100), "not a PNG")],
)  # fmt: skip
def test_portraits_that_are_none_are_refused_before_they_are_decoded(served: Served, data: bytes, said: str) -> None:
    with pytest.raises(ServerRefusedError, match=said) as refused:
        served.connect(portrait=data)
    assert refused.value.code == "bad_portrait"


def test_a_message_beyond_all_limits_ends_the_connection_and_nothing_else(served: Served) -> None:
    with open_socket(served.address + PATH, proxy=None, compression=None) as socket:
        socket.recv(PATIENCE_S)
        with pytest.raises(ConnectionClosed):
            socket.send(b"\x02" * (9 << 20))
            socket.recv(PATIENCE_S)
    with served.connect() as head:
        assert head.next_media(PATIENCE_S) is not None


def test_who_sends_a_portrait_declares_the_right_to_it_where_asked(astronaut: bytes) -> None:
    with serving(Serving(port=0, require_consent=True)) as server:
        with pytest.raises(ServerRefusedError, match="no_consent"):
            server.connect(portrait=astronaut)
        with server.connect(portrait=astronaut, consent=True) as head:
            assert head.next_media(PATIENCE_S) is not None
        with server.connect(portrait="demo") as head:
            assert head.hello["consent"] and head.next_media(PATIENCE_S) is not None


def test_a_server_can_refuse_all_portraits_but_its_own(astronaut: bytes) -> None:
    with serving(Serving(port=0, uploads=False)) as server:
        with pytest.raises(ServerRefusedError, match="takes no portraits"):
            server.connect(portrait=astronaut)


def test_a_picture_without_a_face_is_refused_with_what_to_do(served: Served) -> None:
    grey = bytes(cv2.imencode(".png", np.full((400, 400, 3), 127, np.uint8))[1])
    with pytest.raises(ServerRefusedError, match="no face"):
        served.connect(portrait=grey)


def test_what_mediapipe_says_of_itself_is_not_shown_and_all_else_is(
    served: Served, astronaut: bytes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = portraits.prepare_portrait

    def prepare_portrait(*given: Any) -> Any:
        os.write(2, b"another thread's words\n")
        return honest(*given)

    monkeypatch.setattr(portraits, "prepare_portrait", prepare_portrait)
    changed = bytes(cv2.imencode(".jpg", cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR))[1])
    with served.connect(portrait=changed) as head:
        assert head.next_media(PATIENCE_S) is not None
    assert capfd.readouterr().err == "another thread's words\n"


@pytest.fixture(scope="module")
def astronaut() -> bytes:
    data = pytest.importorskip("skimage.data")
    return bytes(cv2.imencode(".png", cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))[1])


TOKEN = "secret"  # noqa: S105 - of a server that lives for one test
TYPES = ["start", "resume", "flush", "interrupt", "say", "shown", "ping", "stop", "hello", "error", ""]
FIELDS = ["version", "portrait", "seed", "video", "shown", "consent", "key", "text", "frame", "at", "type", "\ud800"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TEXTS = st.one_of(
    st.text(max_size=30).filter(lambda text: text.isprintable()),
    st.builds(
        lambda kind, fields: json.dumps({**fields, "type": kind}),
        st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
    ),
    st.sampled_from(['{"type":"start"}', '{"type":"flush"}', '{"type":"interrupt"}', '{"type":"start","seed":1e999}']),
)  # fmt: skip
BYTES = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda kind, version, zero, rate, body: struct.pack("<BBHI", kind, version, zero, rate) + body,
        st.sampled_from([1, 2, 0x81]), st.sampled_from([0, 1, 2]), st.sampled_from([0, 0, 0, 7]),
        st.sampled_from([0, 1, 3999, 4000, 16000, 44101, 384000, 2**32 - 1]), st.binary(max_size=400),
    ),
)  # fmt: skip


@settings(max_examples=60)
@given(begins=st.booleans(), messages=st.lists(TEXTS | BYTES, max_size=8))
def test_hostile_messages_end_at_most_their_own_connection(
    served: Served, begins: bool, messages: list[str | bytes]
) -> None:
    failed = served.lobby.figures.of("streams_failed")
    with open_socket(served.address + PATH, proxy=None, compression=None, close_timeout=1) as socket:
        socket.recv(PATIENCE_S)
        try:
            if begins:
                socket.send('{"type": "start"}')
            for message in messages:
                socket.send(message)
            socket.send('{"type": "stop"}')
            while True:
                said = socket.recv(PATIENCE_S)
                assert isinstance(said, bytes) or parse_text(said).type in {
                    "started", "interrupted", "pong", "warning", "error",
                }  # fmt: skip
        except ConnectionClosed as fault:
            assert fault.rcvd is not None and fault.rcvd.code in (1000, 1008, 1013), fault
    assert served.lobby.figures.of("streams_failed") == failed
    assert served.get("/healthz")[0] == 200


def test_after_all_that_the_server_serves(served: Served) -> None:
    with served.connect() as head:
        head.say(words(1), 16000)
        assert sum(len(m.pictures) for m in heard(head)) == 25


def test_a_label_is_seen_in_its_corner_and_nowhere_else() -> None:
    picture_HWC = np.full((128, 128, 3), 127, np.uint8)
    marked_HWC = labelled(picture_HWC, "AI generated")
    changed_HW = (marked_HWC != picture_HWC).any(axis=2)
    assert changed_HW[100:].mean() > 0.1 and not changed_HW[:100].any()
    assert (marked_HWC[100:] > 200).any() and (picture_HWC == 127).all()
    assert labelled(picture_HWC, "") is picture_HWC


@pytest.mark.parametrize(
    "wrong",
    [{"port": 70000}, {"streams": 0}, {"quality": 0}, {"label": "x" * 41}, {"waiting_s": 0}, {"streams_per_client": 0}],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    from vividhead.errors import UsageError

    with pytest.raises(UsageError):
        Serving(**wrong)


def test_the_audit_log_is_on_where_others_can_reach_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vividhead.cli import main
    from vividhead.serve import running

    found: list[Serving] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "run", lambda model, serving, say: found.append(serving))
    assert main(["serve", "--random-weights", "--host", "::"]) == 0
    assert main(["serve", "--random-weights"]) == 0
    assert found[0].audit_log is not None and found[0].require_consent
    assert running.access_for(found[0]).token and running.access_for(found[0]).hosts is None
    assert found[1].audit_log is None and running.access_for(found[1]).token is None


def test_a_log_that_cannot_be_written_is_told_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from vividhead.cli import main

    assert main(["serve", "--random-weights", "--audit-log", str(tmp_path / "none" / "log.jsonl")]) == 2
    assert "cannot be written" in capsys.readouterr().err
