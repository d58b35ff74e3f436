"""The dataset as it is now: when another process changed it, it is read anew before the next answer.

What was revoked since must not be shown, and shards that were rewritten hold their clips elsewhere. So every request
looks at a handful of files first (their inode, time and size: tens of microseconds).
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vividhead.audit.clips import own_policy
from vividhead.audit.inspect.media import ClipSight
from vividhead.audit.inspect.store import Store
from vividhead.audit.tables import Tables
from vividhead.labels import Label, read_labels
from vividhead.policy import Policy
from vividhead.revoked import FOLDER as REVOKED

Stamp = tuple[tuple[str, int, int, int], ...]
_WATCHED = ("run.toml", "sources.parquet", "clips.parquet", "manifest.parquet")


@dataclass(slots=True)
class View:
    """One state of the dataset, as long as a request needs it."""

    tables: Tables
    store: Store
    sight: ClipSight
    own: Policy
    labels: list[Label]
    stamp: Stamp
    users: int = 0


class Current:
    """Gives each request the newest view. A dataset in an object store is read once: it is not looked at again."""

    def __init__(self, tables: Tables) -> None:
        """Read the dataset; raises a VividHeadError where that cannot be done."""
        self._lock = threading.RLock()
        self._where: str | Path = tables.where
        self.folder = tables.folder
        self._view = self._read()

    @contextlib.contextmanager
    def looked(self) -> Iterator[View]:
        """The dataset as it is now. Raises DatasetError while it is in between two states: ask again."""
        with self._lock:
            if self._stamp() != self._view.stamp:
                old, self._view = self._view, self._read()
                if not old.users:
                    old.store.close()
            view = self._view
            view.users += 1
        try:
            yield view
        finally:
            with self._lock:
                view.users -= 1
                if view is not self._view and not view.users:
                    view.store.close()

    def close(self) -> None:
        """Free the table. No request may be at work."""
        self._view.store.close()

    def _read(self) -> View:
        stamp = self._stamp()  # before anything is read: what changes meanwhile is read anew
        tables = Tables(self._where)
        own = own_policy(tables)
        labels = read_labels(self.folder) if self.folder is not None else []
        store = Store(tables)
        store.note(labels)
        return View(tables, store, ClipSight(tables), own, labels, stamp)

    def _stamp(self) -> Stamp:
        if self.folder is None:
            return ()
        receipts = sorted((self.folder / REVOKED).glob("[0-9]*.json"))
        found: list[tuple[str, int, int, int]] = []
        for path in (*(self.folder / name for name in _WATCHED), *receipts):
            with contextlib.suppress(FileNotFoundError):
                about: Any = path.stat()
                found.append((path.name, about.st_ino, about.st_mtime_ns, about.st_size))
        return tuple(found)
