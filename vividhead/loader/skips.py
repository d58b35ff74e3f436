"""What is noted of a window that cannot be read: a line of JSON, and once for each clip a warning."""

import json
import logging
from pathlib import Path

from vividhead.errors import MediaError
from vividhead.ledger import storage_error

logger = logging.getLogger(__name__)


class SkipLog:
    """Appends a row for each skipped window; several processes may share the file, rows never mix."""

    def __init__(self, path: Path | None) -> None:
        """Without a path only warnings are given. Raises StorageError where the file cannot be written."""
        self.path = path
        self._warned: set[str] = set()
        if path is not None:
            self._append(path, "")

    def note(self, fault: MediaError, *, clip_id: str, start_frame: int, epoch: int, position: int, rank: int) -> None:
        """One window was passed over."""
        row = {
            "clip_id": clip_id, "start_frame": start_frame, "epoch": epoch, "position": position, "rank": rank,
            "code": fault.code, "detail": fault.detail,
        }  # fmt: skip
        if self.path is not None:
            self._append(self.path, json.dumps(row, ensure_ascii=False) + "\n")
        if clip_id not in self._warned:
            self._warned.add(clip_id)
            logger.warning("windows of clip %s are skipped: %s", clip_id, fault)

    def _append(self, path: Path, line: str) -> None:
        try:
            with path.open("ab", buffering=0) as file:
                file.write(line.encode(errors="backslashreplace"))
        except OSError as fault:
            raise storage_error(fault, path) from fault
