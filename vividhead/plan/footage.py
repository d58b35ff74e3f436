"""How much footage there is, from headers alone: no packet is read, so sixty thousand files take minutes, not days."""

import math
from dataclasses import dataclass
from pathlib import Path

from vividhead.errors import MediaError, UsageError
from vividhead.ingest import find
from vividhead.media import header_duration_s
from vividhead.records import Listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """All that is listed."""

    files: int
    unreadable: int
    """Files that cannot be opened as media; they take no part in what follows."""
    duration_s: float
    """Of the readable ones. A file whose header does not say how long it is counts by its bytes, as the others do."""
    guessed_s: float
    """Part of it that is such a guess."""
    bytes: int


@dataclass(frozen=True, slots=True)
class File:
    """One that can be read."""

    listed: Listed
    duration_s: float


@dataclass(frozen=True, slots=True)
class There:
    """The summary, and the files behind it."""

    summary: Footage
    files: tuple[File, ...]


def footage_at(where: str) -> There:
    """Look at every header. Raises UsageError where nothing can be read."""
    listed = find(where)
    looked = [_looked(entry) for entry in listed]
    readable = [(entry, *about) for entry, about in zip(listed, looked, strict=True) if about is not None]
    if not readable:
        raise UsageError(f"{where}: none of {len(listed)} files can be opened as footage")
    known_s = math.fsum(duration_s for _, _, duration_s in readable if duration_s is not None)
    known_bytes = sum(size for _, size, duration_s in readable if duration_s is not None)
    if not known_bytes:
        raise UsageError(f"{where}: no header says how long its file is; remux one of them, or curate without a plan")
    files, guessed_s = [], 0.0
    for entry, size, told_s in readable:
        guess_s = known_s * size / known_bytes if told_s is None else 0.0
        files.append(File(entry, guess_s if told_s is None else told_s))
        guessed_s += guess_s
    summary = Footage(
        files=len(listed), unreadable=len(listed) - len(readable), duration_s=known_s + guessed_s, guessed_s=guessed_s,
        bytes=sum(size for _, size, _ in readable),
    )  # fmt: skip
    return There(summary, tuple(files))


def _looked(entry: Listed) -> tuple[int, float | None] | None:
    """Bytes, and what the header says of the seconds; None for a file that cannot be opened."""
    path = Path(entry.uri)
    try:
        return path.stat().st_size, header_duration_s(path)
    except (MediaError, OSError):
        return None
