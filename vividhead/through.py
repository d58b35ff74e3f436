"""Which segments a run has brought to their end, so that the next one need not read all their records to see it.

    ledger/through/<basis>.jsonl      a line for each segment: what its end rests on, seconds kept, clips encoded

Only a memory: a line counts while every commit that it rests on is there, and without the file all is found out
again. `basis` is the digest of filters, scores, encoding and revocations; files of another basis are removed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vividhead.ledger import Ledger, storage_error


@dataclass(frozen=True, slots=True)
class Ended:
    """How a segment ended."""

    kept_s: float
    clip_ids: tuple[str, ...]
    """Clips that are kept, and encoded."""


class Through:
    """What is known of ended segments. Use as a context manager, by the one who holds the dataset's lock."""

    def __init__(self, ledger: Ledger, basis: str) -> None:
        """Read what runs of this basis left."""
        self._path = ledger.root / "through" / f"{basis}.jsonl"
        self._known: dict[str, Ended] = {}
        self._file: IO[str] | None = None
        if self._path.is_file():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                self._read(line)

    def _read(self, line: str) -> None:
        try:
            name, kept_s, clip_ids = json.loads(line)
            self._known[str(name)] = Ended(float(kept_s), tuple(map(str, clip_ids)))
        except (ValueError, TypeError):
            return  # torn by a killed run: that segment is looked at anew

    def __enter__(self) -> "Through":
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for other in self._path.parent.iterdir():
                if other != self._path:
                    other.unlink()
            self._file = self._path.open("a", buffering=1, encoding="utf-8")
            self._file.write("\n")  # ends a line that a killed run left open
        except OSError as fault:
            raise storage_error(fault, self._path) from fault
        return self

    def __exit__(self, *ended: object) -> None:
        if self._file is not None:
            self._file.close()

    def get(self, name: str) -> Ended | None:
        """How the segment of this name ended, as far as is known."""
        return self._known.get(name)

    def add(self, name: str, kept_s: float, clip_ids: Sequence[str]) -> None:
        """Remember it, unless it is known."""
        if self._file is None or name in self._known:
            return
        try:
            self._file.write(json.dumps([name, kept_s, list(clip_ids)]) + "\n")
        except OSError as fault:
            raise storage_error(fault, self._path) from fault


def forget_all(dataset: Path) -> None:
    """Remove what was remembered: it names clips."""
    folder = dataset / "ledger" / "through"
    for path in folder.glob("*.jsonl"):
        path.unlink()
