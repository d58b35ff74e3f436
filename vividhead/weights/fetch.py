"""Bring a model's files into the weights folder: licence first, part files, size and digest, then the name."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vividhead.errors import StorageError, UsageError, VividHeadError
from vividhead.weights.fetched import into_place, record, recorded, sha256_of
from vividhead.weights.files import File, Model
from vividhead.weights.folder import fault_in, home, human, licence_line
from vividhead.weights.registry import model
from vividhead.weights.sources import Progress, part_of, source_of

_ROOM_BYTES = 50_000_000  # left free beside what is fetched

Tell = Callable[[str], None]


def fetch(
    names: Sequence[str],
    to: Path | None = None,
    source: str | None = None,
    accept_licence: bool = False,
    tell: Tell = lambda line: None,
    progress: Progress = lambda file, done, total: None,
) -> list[Path]:
    """Fetch what is missing of some models under `to` (default: the weights folder) and return their folders.

    `source` is a local folder, or an http(s) address, to take the files from instead of the publisher's; they are
    held against the same sizes and digests. A file takes its name only when it is whole; a cut download goes on where
    it was. Raises UsageError, before anything is fetched, until every licence that restricts use is accepted, and
    VividHeadError where a file is not the published one.
    """
    models = [model(name) for name in names]
    for wanted in models:
        _agree(wanted, accept_licence, tell)
    return [_fetch(wanted, to or home(), source, tell, progress) for wanted in models]


def _agree(wanted: Model, accept_licence: bool, tell: Tell) -> None:
    """Say the licence, and refuse one that restricts use until it is accepted."""
    tell(f"{wanted.name}: {wanted.role}, {human(wanted.size_bytes)}, {licence_line(wanted)}")
    if wanted.licence.note:
        tell(f"{wanted.name}: {wanted.licence.note}")
    if not wanted.licence.commercial and not accept_licence:
        raise UsageError(f"{wanted.name}: {licence_line(wanted)}; add --accept-licence if you agree to its terms")


def _fetch(wanted: Model, root: Path, source: str | None, tell: Tell, progress: Progress) -> Path:
    folder = root / wanted.folder
    with _locked(folder):
        missing = [file for file in wanted.files if not _in_place(folder / file.name, file, tell)]
        if missing:
            _check_room(folder, wanted, missing)
        where = source_of(wanted, source, progress)
        for file in missing:
            path = folder / file.name
            came_from = where.bring(file, part_of(path))
            sha256 = file.sha256 or sha256_of(part_of(path))
            into_place(part_of(path), path)
            record(path, sha256, came_from)
            held = "sha256 as published" if file.sha256 else f"no digest is published; {sha256} is recorded"
            tell(f"{file.name}: {human(path.stat().st_size)}, {held}")
        if wanted.archive:
            part_of(folder / wanted.archive.name).unlink(missing_ok=True)
    return folder


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second fetch out of the folder; the lock goes with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as fault:
        raise StorageError(f"cannot make {folder}: {fault.strerror}") from fault
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        os.close(handle)
        raise VividHeadError(f"another fetch is writing to {folder}; wait for it") from fault
    try:
        yield
    finally:
        os.close(handle)


def _in_place(path: Path, file: File, tell: Tell) -> bool:
    """Whether the published file is already there; raises for a whole file that is not ours to replace."""
    if not path.is_file():
        return False
    size, note = path.stat().st_size, recorded(path)
    sha256 = file.sha256 or (note.sha256 if note else None)
    if size == file.size_bytes and sha256 in (None, sha256_of(path)):
        tell(f"{file.name}: already there")
        return True
    fault = fault_in(path, file.size_bytes)
    if fault and size < file.size_bytes:
        tell(f"{path} {fault}: it is replaced")
        return False
    raise VividHeadError(f"{path} is there and is not the published file; move it away, or name another folder by --to")


def _check_room(folder: Path, wanted: Model, missing: list[File]) -> None:
    """Refuse before the first byte where the disk cannot hold what is to come."""
    coming = [*missing, wanted.archive] if wanted.archive else missing
    parts = [part_of(folder / file.name) for file in coming]
    needed = sum(file.size_bytes for file in coming) - sum(part.stat().st_size for part in parts if part.exists())
    free = shutil.disk_usage(folder).free
    if free < needed + _ROOM_BYTES:
        raise StorageError(f"{folder} has {human(free)} free, {wanted.name} needs {human(needed + _ROOM_BYTES)}")
