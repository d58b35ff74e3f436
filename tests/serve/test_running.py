"""The command as a person starts and stops it, and its benchmark."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch

from tests.serve.server import PATIENCE_S, heard, serving, words
from vividhead.cli import main
from vividhead.flashhead.client import connect
from vividhead.serve.bench import ADDRESS, Listener, _measured, listen, speech_like, table


def test_one_command_serves_a_face_that_speaks_and_sigterm_ends_it_well() -> None:
    command = [sys.executable, "-m", "vividhead.cli", "serve", "--random-weights", "--port", "0", "--streams", "1"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as run:
        try:
            assert run.stderr is not None
            said = []
            for line in run.stderr:
                said.append(line.rstrip())
                if found := ADDRESS.match(said[-1]):
                    break
            assert any("RANDOM WEIGHTS" in line for line in said)
            with connect(f"ws{found[1]}", timeout_s=PATIENCE_S) as head:
                assert head.hello["random_weights"] and head.hello["model"] == "nano"
                head.say(words(1), 16000)
                assert sum(len(m.pictures) for m in heard(head)) == 25
            run.send_signal(signal.SIGTERM)
            rest = run.stderr.read()
            assert run.wait(PATIENCE_S) == 0
        finally:
            run.kill()
    assert '"event": "opened"' in rest and '"event": "closed"' in rest and "Traceback" not in rest


def test_without_a_model_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    assert main(["serve"]) == 2
    assert "--random-weights" in capsys.readouterr().err


def test_a_port_in_use_is_told_before_a_model_is_read(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--checkpoint", str(tmp_path / "none"), "--port", str(port)]) == 2
    assert f"nobody can listen at 127.0.0.1, port {port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("http://127.0.0.1:80/", "://127.0.0.1:80"),
        ("http://[::]:80/?token=a_b", "://[::]:80"),
        ("nano: 1 streams", None),
    ],
)
def test_the_address_is_found_in_what_the_server_says(line: str, address: str | None) -> None:
    found = ADDRESS.match(line)
    assert (found[1] if found else None) == address


def test_the_benchmark_listens_as_a_player_does() -> None:
    torch.manual_seed(0)
    with serving() as server:
        figures = _measured(os.getpid(), server.address, 2, 0.1) | {"server": "tiny: 4 streams"}
    assert figures["speech_pictures"] == 200 and figures["refused"] == figures["skew_samples"] == 0
    assert figures["messages"] == 2 * (4 * 4 + 1) and figures["answer_ms"]["p50"] > 0
    assert figures["memory_mb"]["peak"] > 50 and "2 clients" in table(figures)


def test_the_benchmark_tells_who_was_refused() -> None:
    with serving(capacity=1) as server, server.connect():
        listener = Listener()
        listen(server.address, 0, time.monotonic() + 5, listener)
    assert listener.refused.startswith("full") and not listener.answers_s


def test_the_benchmark_s_sound_has_syllables() -> None:
    sound_S = speech_like(2.0, 0)
    assert sound_S.size == 32000 and abs(sound_S[5000:7000]).max() == 0 and sound_S[1000:3000].std() > 0.05
