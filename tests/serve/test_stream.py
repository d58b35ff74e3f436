"""Sound goes up, pictures with exactly their sound come down, over a real server and a real socket."""

import json

import cv2
import numpy as np
import pytest
import torch

from tests.flashhead.stubs import tiny_flashhead
from tests.serve.server import PATIENCE_S, Served, eventually, face, heard, serving, words
from vividhead.flashhead.client import ServerRefusedError
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.wire import Media


def sound_of(found: list[Media]) -> np.ndarray:
    return np.concatenate([media.pcm_S for media in found])


def test_what_was_said_comes_back_with_a_picture_for_each_640_samples(served: Served) -> None:
    said = words(2.5)
    with served.connect(seed=3) as head:
        head.say(said, 16000)
        found = heard(head)
    assert sum(len(m.pictures) for m in found) == 63  # 2.5 s are 62.5 pictures
    expected = np.rint(np.pad(said, (0, 63 * 640 - said.size)) * 32767)
    assert np.abs(sound_of(found) - expected).max() <= 2
    assert all(m.pcm_S.size == 640 * len(m.pictures) and m.epoch == 0 for m in found)
    assert [m.start_frame for m in found[1:]] == [m.end_frame for m in found[:-1]]
    assert [m.last for m in found] == [False] * (len(found) - 1) + [True]


def test_pictures_are_those_that_the_engine_makes(served: Served) -> None:
    with served.connect(seed=5, video=("webp",)) as head:
        rest = head.next_media(PATIENCE_S)
        assert head.started["video"] == "webp" and rest is not None and rest.idle and rest.start_frame == 0
        assert not rest.pcm_S.any()
    stream = Engine(tiny_flashhead()).open(face().picture_HWC, 5, as_it_is=True)
    chunk = stream.next_chunk()
    assert chunk is not None
    for data, picture_HWC in zip(rest.pictures, chunk.frames_THWC, strict=False):
        shown_HWC = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        smooth_HWC = cv2.blur(picture_HWC, (8, 8)).astype(int)
        assert np.abs(cv2.blur(shown_HWC, (8, 8)).astype(int) - smooth_HWC).mean() < 12


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000])
def test_sound_of_any_rate_keeps_its_length(served: Served, rate_hz: int) -> None:
    with served.connect() as head:
        head.say(words(1.2, rate_hz), rate_hz)
        assert sum(len(m.pictures) for m in heard(head)) in (30, 31)


def test_interrupt_leaves_nothing_of_what_was_said(served: Served) -> None:
    with served.connect() as head:
        head.say(words(8, seed=1), 16000)
        while (media := head.next_media(PATIENCE_S)) is not None and media.idle:
            pass
        head.interrupt()
        after = words(1, seed=2)
        head.say(after, 16000)
        found = heard(head)
        assert {m.epoch for m in found} == {1}
        assert np.abs(sound_of(found)[: after.size] - np.rint(after * 32767)).max() <= 2
        assert [note.fields["epoch"] for note in head.notes if note.type == "interrupted"] == [1]


def test_speech_replaces_rest_that_was_not_sent_and_time_goes_on(served: Served) -> None:
    with served.connect() as head:
        rest = head.next_media(PATIENCE_S)
        head.say(words(1), 16000)
        found = heard(head)
        assert rest is not None and rest.idle and found[0].start_frame >= rest.end_frame
        assert found[0].start_frame % 24 == 0  # speech begins a chunk


def test_a_broken_connection_resumes_where_it_was(served: Served) -> None:
    head = served.connect(seed=7)
    first = head.next_media(PATIENCE_S)
    assert first is not None
    head.drop()
    session = served.lobby._sessions[head.key]
    eventually(lambda: not session.attached)
    with served.connect(resume=head.key) as again:
        assert again.started["key"] == head.key and again.started["epoch"] == 0
        again.say(words(1), 16000)
        found = heard(again)
        assert found[0].start_frame >= first.end_frame and served.lobby._sessions[head.key].seed == 7


def test_a_stream_that_is_gone_cannot_be_resumed_and_one_in_use_not_taken(served: Served) -> None:
    with pytest.raises(ServerRefusedError, match="start anew"):
        served.connect(resume="nonsense")
    with served.connect() as head, pytest.raises(ServerRefusedError, match="another connection"):
        served.connect(resume=head.key)


def test_stop_frees_the_place(served: Served) -> None:
    head = served.connect()
    assert served.lobby.host.n_open >= 1
    head.close()
    eventually(lambda: head.key not in served.lobby._sessions)


def test_typed_text_is_spoken_where_there_is_a_voice() -> None:
    torch.manual_seed(0)
    with serving(say_text=lambda text: (words(len(text) / 10), 16000)) as server:
        with server.connect() as head:
            assert head.hello["say"]
            head.say(words(1), 16000)
            heard(head)
            head.say_text("ten letter")
            assert sum(len(m.pictures) for m in heard(head)) == 25


def test_a_server_without_a_voice_says_so(served: Served) -> None:
    with served.connect() as head:
        head.say_text("hello")
        head.ping(1.5)
        eventually(lambda: head.next_media(PATIENCE_S) is not None and len(head.notes) >= 2)
        assert [(n.type, n.fields.get("code"), n.fields.get("at")) for n in head.notes] == [
            ("warning", "no_voice", None), ("pong", None, 1.5),
        ]  # fmt: skip


def test_two_clients_are_served_at_once_each_with_its_own_words(served: Served) -> None:
    one, two = words(2, seed=1), words(2, seed=2)
    with served.connect(seed=1) as a, served.connect(seed=2) as b:
        a.say(one, 16000)
        b.say(two, 16000)
        for head, said in ((a, one), (b, two)):
            assert np.abs(sound_of(heard(head)) - np.rint(said * 32767)).max() <= 2


def test_the_page_and_its_parts_are_served_and_ask_nobody_else(served: Served) -> None:
    status, headers, page = served.get("/")
    assert status == 200 and "default-src 'none'" in headers["content-security-policy"]
    scripts = page
    for path in ("/app.js", "/client.js", "/player.js", "/unpack.js", "/capture.js", "/style.css"):
        status, _, body = served.get(path)
        assert status == 200
        scripts += body
    assert b"http://" not in scripts.replace(b"ws://127.0.0.1:8770", b"") and b"https://" not in scripts
    status, headers, portrait = served.get("/v1/portraits/demo")
    assert status == 200 and headers["content-type"] == "image/png" and portrait.startswith(b"\x89PNG")
    assert served.get("/v1/portraits/other")[0] == 404


def test_health_readiness_and_figures(served: Served) -> None:
    assert served.get("/healthz")[0] == served.get("/readyz")[0] == 200
    assert json.loads(served.get("/v1/about")[2])["version"] == 1
    text = served.get("/metrics")[2].decode()
    assert "vividhead_pictures_sent_total" in text and "vividhead_capacity 4" in text
