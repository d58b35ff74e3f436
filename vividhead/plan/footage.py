"""How much footage there is, from headers alone: no packet is read, so sixty thousand files take minutes, not days."""

import math
import os
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
    listed, found, sizes, unknown = find(where), [], 0, 0
    durations: list[float | None] = []
    for entry in listed:
        path = Path(entry.uri)
        try:
            durations.append(header_duration_s(path))
        except MediaError:
            continue
        found.append(entry)
        sizes += os.stat(path).st_size
    if not found:
        raise UsageError(f"{where}: none of {len(listed)} files can be opened as footage")
    byte_counts = [os.stat(entry.uri).st_size for entry in found]
    known_s = math.fsum(d for d in durations if d is not None)
    known_bytes = sum(size for size, d in zip(byte_counts, durations, strict=True) if d is not None)
    if not known_bytes:
        raise UsageError(f"{where}: no header says how long its file is; remux one of them, or curate without a plan")
    files, guessed_s = [], 0.0
    for entry, size, duration_s in zip(found, byte_counts, durations, strict=True):
        if duration_s is None:
            duration_s = known_s * size / known_bytes
            guessed_s += duration_s
        files.append(File(entry, duration_s))
    summary = Footage(
        files=len(listed), unreadable=len(listed) - len(found), duration_s=known_s + guessed_s, guessed_s=guessed_s,
        bytes=sum(byte_counts),
    )  # fmt: skip
    return There(summary, tuple(files))
