"""A run as seen from outside while it goes on: what its ledger holds so far, without taking its lock."""

import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from vividhead.ledger import LOCK

STAGES = ("ingest", "scan", "measure", "more", "pack")
_HOLDER = re.compile(r"process (\d+) on (.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AtWork:
    """What is committed, and who commits."""

    units: dict[str, int]
    """Stage → units in the ledger, failed ones among them."""
    newest_s_ago: float | None
    """Seconds since the newest commit; None without one."""
    holder: str | None
    """`process PID on HOST`, as far as can be known; None where the last one is gone."""

    @property
    def has_begun(self) -> bool:
        """Is there anything in the ledger?"""
        return any(self.units.values())


def at_work(dataset: Path) -> AtWork:
    """Count the ledger's units. A folder without a ledger has none."""
    units, newest = dict.fromkeys(STAGES, 0), 0.0
    for stage in STAGES:
        folder = dataset / "ledger" / stage
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    units[stage] += 1
                    newest = max(newest, _changed(entry))
    return AtWork(
        units=units, newest_s_ago=max(0.0, time.time() - newest) if newest else None, holder=_holder(dataset)
    )  # fmt: skip


def _changed(entry: "os.DirEntry[str]") -> float:
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:  # taken back meanwhile
        return 0.0


def _holder(dataset: Path) -> str | None:
    """Who is named in the lock, unless that process was on this machine and is gone.

    Asking the system for the lock would take it for an instant, in which a run that begins would be refused.
    """
    try:
        text = (dataset / LOCK).read_text(errors="replace").strip()
    except OSError:
        return None
    named = _HOLDER.fullmatch(text)
    if named is None:
        return None
    if named[2] == socket.gethostname() and not _lives(int(named[1])):
        return None
    return text


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def shown(found: AtWork, before: AtWork | None = None, since_s: float = 0.0) -> str:
    """One line; with what was `before`, units a minute."""
    counts = "  ".join(f"{stage} {count}" for stage, count in found.units.items() if count)
    line = counts or "nothing committed yet"
    if before is not None and since_s > 0:
        made = sum(found.units.values()) - sum(before.units.values())
        line += f" · {60 * made / since_s:.1f} units/min"
    if found.newest_s_ago is not None:
        line += f" · newest {found.newest_s_ago:.0f} s ago"
    return f"{line} · {found.holder or 'nobody at work'}"
