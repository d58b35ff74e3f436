"""A run is asked to stop once; whoever insists interrupts it, and one Ctrl-C that comes twice is one."""

import os
import signal
import threading
from pathlib import Path

import pytest

from vividhead.flashhead.train import stopping
from vividhead.flashhead.train.ranks import Place
from vividhead.flashhead.train.stopping import stop_asked


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_and_its_handler_is_gone_afterwards(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_asked(tmp_path / "stop", Place()) as stop:
        assert not stop.agreed()
        os.kill(os.getpid(), number)
        assert stop.agreed() and stop.is_agreed
    assert signal.getsignal(number) is before


def test_the_same_ctrl_c_twice_asks_once_and_a_later_one_interrupts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stop_asked(tmp_path / "stop", Place()) as stop:
        interrupt()
        interrupt()  # as torchrun passes it on
        assert stop.agreed()
        monkeypatch.setattr(stopping, "SAME_CTRL_C_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            interrupt()


def test_a_file_asks_too_but_not_one_of_before(tmp_path: Path) -> None:
    file = tmp_path / "stop"
    file.touch()
    with stop_asked(file, Place()) as stop:
        assert not file.exists() and not stop.agreed()
        file.touch()
        assert stop.agreed()


def test_in_a_thread_signals_stay_as_they_are(tmp_path: Path) -> None:
    """Ray runs ranks on threads."""
    before, seen = signal.getsignal(signal.SIGINT), []

    def run() -> None:
        with stop_asked(tmp_path / "stop", Place()) as stop:
            seen.append((signal.getsignal(signal.SIGINT), stop.agreed()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(before, False)]
