"""One line about long work, on a terminal and in a log."""

import io

import pytest

from vividhead import live_line
from vividhead.live_line import LiveLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_the_line_redrawn_and_what_follows_begins_anew() -> None:
    stream = Terminal()
    with LiveLine(stream) as line:
        line("one")
        line("too soon")
        line("last", last=True)
    stream.write("an error\n")
    assert stream.getvalue() == "\r\x1b[2Kone\r\x1b[2Klast\nan error\n"


def test_a_line_that_stays_ends_the_one_that_changes() -> None:
    stream = Terminal()
    line = LiveLine(stream)
    line("half")
    line.say("done")
    line.close()
    assert stream.getvalue() == "\r\x1b[2Khalf\ndone\n"


def test_a_fault_in_the_work_leaves_the_line_ended() -> None:
    stream = Terminal()
    with pytest.raises(ZeroDivisionError), LiveLine(stream) as line:
        line("half")
        raise ZeroDivisionError
    assert stream.getvalue().endswith("half\n")


def test_a_log_gets_a_line_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(live_line.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    line = LiveLine(stream)
    for second in range(25):
        clock[0] = 100.0 + second
        line(f"{second} s")
    line("the end", last=True)
    line.close()
    assert stream.getvalue() == "10 s\n20 s\n"


def test_silence_is_silent() -> None:
    stream = Terminal()
    with LiveLine(stream, silent=True) as line:
        line("one", last=True)
    assert stream.getvalue() == ""
