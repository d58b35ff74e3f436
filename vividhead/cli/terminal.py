"""What the command line prints, and the type of its verbs."""

import argparse
import sys
import time
from typing import TYPE_CHECKING, TextIO, TypeAlias

from vividhead.plain import utf8

if TYPE_CHECKING:
    Verbs: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse offers no public name for it


def say(text: str) -> None:
    """One or more lines to standard error."""
    print(utf8(text), file=sys.stderr)  # noqa: T201 - the command line is the one place that prints


def show(text: str) -> None:
    """One or more lines to standard output."""
    print(utf8(text))  # noqa: T201 - the command line is the one place that prints


class LiveLine:
    """One line about long work: redrawn in place on a terminal, a new one every ten seconds in a log."""

    def __init__(self, stream: TextIO, silent: bool = False) -> None:
        """Write to `stream`, or nothing if `silent`."""
        self._stream, self._live = stream, stream.isatty()
        self._every_s = float("inf") if silent else 0.2 if self._live else 10.0
        self._shown = time.monotonic() if not self._live else 0.0
        self._open = False

    def __call__(self, text: str) -> None:
        """Show `text` unless another was shown a moment ago."""
        now = time.monotonic()
        if now - self._shown < self._every_s:
            return
        self._shown, self._open = now, self._live
        self._stream.write(f"\r\x1b[2K{text}" if self._live else f"{text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the last text standing."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
