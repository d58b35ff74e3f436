"""What was fetched: a `weights.json` beside the files, so that a later change is noticed where no digest is published.

{"files": {"config.json": {"bytes": 357, "sha256": "…", "mtime_ns": …, "from": "https://…", "fetched": "2026-…"}}}
"""

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from vividhead.errors import StorageError
from vividhead.plain import from_plain

RECORD = "weights.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One file as it was when it was fetched."""

    bytes: int
    sha256: str
    mtime_ns: int
    source: str
    fetched: str
    """UTC, ISO 8601."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path: Path) -> str:
    """SHA-256 of a model file for a manifest: from its record if it has not been touched since, else computed."""
    known, stat = recorded(path), path.stat()
    if known and (known.bytes, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
        return known.sha256
    return sha256_of(path)


def recorded(path: Path) -> Fetched | None:
    """What was noted of this file when it was fetched; None if it was not, or if the note cannot be read."""
    return _read(path.parent).get(path.name)


def record(path: Path, sha256: str, source: str) -> None:
    """Note a file that has just taken its name; whoever calls holds the folder's lock."""
    stat = path.stat()
    fetched = datetime.now(UTC).isoformat(timespec="seconds")
    entry = Fetched(bytes=stat.st_size, sha256=sha256, mtime_ns=stat.st_mtime_ns, source=source, fetched=fetched)
    files = {name: asdict(known) for name, known in sorted((_read(path.parent) | {path.name: entry}).items())}
    target = path.with_name(RECORD)
    part = target.with_name(f".{RECORD}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")
        into_place(part, target)
    except OSError as fault:
        with contextlib.suppress(OSError):
            part.unlink()
        raise StorageError(f"cannot write {target}: {fault.strerror}") from fault


def into_place(part: Path, target: Path) -> None:
    """Give a whole file its name, so that the name outlives a power cut."""
    for path in (part, target.parent):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if path == part:
            part.replace(target)


def _read(folder: Path) -> dict[str, Fetched]:
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
        return {str(name): from_plain(Fetched, entry) for name, entry in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
