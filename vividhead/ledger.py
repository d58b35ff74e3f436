"""What is done: one atomic commit for each (stage, unit), beside the data. The only truth for resume.

    ledger/<stage>/<key>.json        the commit: written last, by rename; there, whole, or not there at all
    ledger/<stage>/<key>.<name>      its large parts, written before; the commit holds their sha256

A key is made of the digests of everything that made the unit's result, so the same key means the same bytes, and
a late second commit changes nothing.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vividhead.errors import DatasetError, StorageError

LOCK = ".lock"
"""In a dataset: held by who writes, and names who did last."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either there whole or not at all, also after a power cut.

    Raises StorageError naming the folder when the disk is full or may not be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as fault:
        with contextlib.suppress(OSError):
            part.unlink()
        raise storage_error(fault, path) from fault


def storage_error(fault: OSError, path: Path) -> StorageError:
    """The same fault in words, with the way out."""
    what = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EROFS: "read-only"}
    why = what.get(fault.errno or 0, fault.strerror or str(fault))
    do = "make room" if fault.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"
    return StorageError(f"cannot write {path}: {why}. What is committed is kept: {do} and run the same command again")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Ledger:
    """The commits of one dataset. Safe for many readers and writers: files appear whole, by rename."""

    def __init__(self, dataset: Path) -> None:
        """Open the ledger of the dataset folder `dataset` (which need not exist yet)."""
        self.root = dataset / "ledger"

    def read(self, stage: str, key: str) -> dict[str, Any] | None:
        """The commit's record, or None when the unit is not done."""
        try:
            return json.loads((self.root / stage / f"{key}.json").read_bytes())  # type: ignore[no-any-return]
        except FileNotFoundError:
            return None
        except ValueError as fault:
            path = self.root / stage / f"{key}.json"
            raise DatasetError(
                f"{path} is damaged ({fault}); delete that file and run the same command again"
            ) from fault

    def commit(self, stage: str, key: str, record: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
        """Make the unit done. `parts` are stored first; `record` must be plain JSON values."""
        digests = {}
        for name, data in sorted(parts.items()):
            write_atomically(self.root / stage / f"{key}.{name}", data)
            digests[name] = hashlib.sha256(data).hexdigest()
        text = json.dumps({**record, "parts": digests}, allow_nan=False, ensure_ascii=True, sort_keys=True)
        write_atomically(self.root / stage / f"{key}.json", text.encode())

    def part(self, stage: str, key: str, name: str) -> Path:
        """Where a commit's part lies."""
        return self.root / stage / f"{key}.{name}"

    def keys(self, stage: str, prefix: str = "") -> list[str]:
        """Keys of the committed units of a stage, sorted."""
        folder = self.root / stage
        if not folder.is_dir():
            return []
        return sorted(p.name[:-5] for p in folder.glob(f"{prefix}*.json") if not p.name.startswith("."))

    def names(self, stage: str) -> set[str]:
        """Names of all files of a stage, commits and parts: one reading of the folder for any number of questions."""
        folder = self.root / stage
        return set(os.listdir(folder)) if folder.is_dir() else set()  # noqa: PTH208 - a path each is dear by the million

    def forget(self, stage: str, key: str) -> None:
        """Take a commit back: the record first, then its parts."""
        (self.root / stage / f"{key}.json").unlink(missing_ok=True)
        for part in (self.root / stage).glob(f"{key}.*"):
            part.unlink(missing_ok=True)

    def forget_failures(self) -> int:
        """Take all failures back, so that their units are tried anew; returns how many."""
        count = 0
        for path in sorted(self.root.glob("*/*.json")):
            stage, key = path.parent.name, path.name.removesuffix(".json")
            if path.name.startswith(".") or b'"failed"' not in path.read_bytes():
                continue  # the word is much sooner looked for than a record read
            if "failed" in (self.read(stage, key) or {}):
                self.forget(stage, key)
                count += 1
        return count

    def sweep(self) -> int:
        """Remove what killed writers left half written in the dataset; returns how many files. Hold the lock."""
        count = 0
        for folder, _, names in os.walk(self.root.parent):
            for name in names:
                if name.startswith(".") and name.endswith(".part"):
                    Path(folder, name).unlink(missing_ok=True)
                    count += 1
        return count


@contextlib.contextmanager
def sole_writer(dataset: Path) -> Iterator[None]:
    """Hold the dataset's lock, or raise DatasetError naming who holds it. Freed by the system if we are killed."""
    path = dataset / LOCK
    try:
        dataset.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except FileExistsError as fault:
        raise DatasetError(f"{dataset} is a file, not a folder; choose another --out") from fault
    except OSError as fault:
        raise storage_error(fault, path) from fault
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
        os.close(handle)
        raise DatasetError(f"{dataset} is being written by {holder}; wait for it, or choose another --out") from fault
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(handle)
