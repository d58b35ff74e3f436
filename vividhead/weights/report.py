"""What `vividhead weights` shows: every model with what is there of it, and how far a download has come."""

import sys
import time
from pathlib import Path
from typing import TextIO

from vividhead.live_line import LiveLine
from vividhead.weights.files import File, Model
from vividhead.weights.folder import fault_in, home, human
from vividhead.weights.registry import MODELS

COMMERCIAL = {True: "yes", False: "NO", None: "not settled"}
"""What is said of `Licence.commercial`."""


def table(folder: Path | None = None) -> list[str]:
    """One line for each known model: what is there, its size and licence, and what needs it."""
    root = folder or home()
    rows = [("", "model", "size", "licence", "commercial use", "needed by")]
    for known in MODELS:
        licence, used = known.licence, ", ".join(known.used_by)
        size = human(known.size_bytes)
        rows.append((_state(known, root), known.name, size, licence.name, COMMERCIAL[licence.commercial], used))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"in {root} (size and header looked at; `vividhead weights verify` reads all bytes)", *lines]


def listing(folder: Path | None = None) -> list[dict[str, object]]:
    """The same with every file, for scripts."""
    root = folder or home()
    return [_listed(known, root) for known in MODELS]


def _listed(known: Model, root: Path) -> dict[str, object]:
    folder = root / known.folder
    return {
        "name": known.name,
        "role": known.role,
        "state": _state(known, root),
        "folder": str(folder),
        "bytes": known.size_bytes,
        "licence": known.licence.name,
        "commercial_use": known.licence.commercial,
        "licence_note": known.licence.note,
        "needed_by": list(known.used_by),
        "files": [
            {
                "name": file.name,
                "state": _file_state(file, folder),
                "bytes": file.size_bytes,
                "sha256": file.sha256,
                "address": file.address or (known.archive.address if known.archive else ""),
            }
            for file in known.files
        ],
    }


def _state(known: Model, root: Path) -> str:
    """`present`, `absent`, `wrong` (cut short or another file) or `part` (some files are there)."""
    states = {_file_state(file, root / known.folder) for file in known.files}
    return "wrong" if "wrong" in states else "part" if len(states) > 1 else states.pop()


def _file_state(file: File, folder: Path) -> str:
    path = folder / file.name
    if not path.is_file():
        return "absent"
    return "wrong" if fault_in(path, file.size_bytes) else "present"


class Meter:
    """How far a download has come, and how fast."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        """Write to `stream`."""
        self._line = LiveLine(stream)
        self._file, self._began, self._began_bytes = "", 0.0, 0

    def __call__(self, file: str, done: int, total: int) -> None:
        """Hear that `done` of `total` bytes of `file` are there."""
        now = time.monotonic()
        if file != self._file:
            self._file, self._began, self._began_bytes = file, now, done
            return
        rate = (done - self._began_bytes) / max(now - self._began, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        text = f"{file}: {human(done)} of {human(total)}, {human(int(rate))} a second{left}"
        self._line(text, last=done == total)

    def say(self, line: str) -> None:
        """Write a line of its own."""
        self._line.say(line)
