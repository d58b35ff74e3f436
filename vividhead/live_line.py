"""One line about long work: redrawn in place on a terminal, a new one every ten seconds in a log."""

import time
from types import TracebackType
from typing import Self, TextIO

LIVE_EVERY_S, LINE_EVERY_S = 0.2, 10.0


class LiveLine:
    """Shows how far work has come; leaving it ends the line, so that what is written next begins anew."""

    def __init__(self, stream: TextIO, silent: bool = False) -> None:
        """Write to `stream`, or nothing if `silent`."""
        self._stream, self._live, self._silent = stream, stream.isatty(), silent
        self._every_s = LIVE_EVERY_S if self._live else LINE_EVERY_S
        self._shown = time.monotonic() if not self._live else 0.0
        self._open = False

    def __call__(self, text: str, last: bool = False) -> None:
        """Show `text` unless another was shown a moment ago; the `last` one is shown on a terminal in any case."""
        now = time.monotonic()
        too_soon = now - self._shown < self._every_s and not (last and self._live)
        if self._silent or too_soon:
            return
        self._shown, self._open = now, self._live
        self._stream.write(f"\r\x1b[2K{text}" if self._live else f"{text}\n")
        self._stream.flush()

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self.close()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the text standing and begin a new line."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
