"""The units of a cache: which there are, which are still to be done, and what becomes of a finished attempt."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vividhead.contain import Fault, Outcome
from vividhead.flashhead.latents.table import FAILED
from vividhead.flashhead.latents.unit import MEMBERS, STAGE, LatentUnit
from vividhead.ledger import Ledger
from vividhead.records import GRID_FPS

if TYPE_CHECKING:
    import pyarrow

GROUP_S = 120.0
"""Clips of one shard up to so much footage make a unit: 150 MB for Lite, seconds of a GPU, lost when one is killed."""
ATTEMPTS = 3
Told = Callable[[str], None]


def groups(rows: "pyarrow.Table") -> list[LatentUnit]:
    """Clips as they lie in the shards, up to two minutes of one shard together; the same for the same manifest."""
    columns = ["clip_id", "n_frames", "shard", "mp4_sha256"]
    columns += [f"{member}_{what}" for member in MEMBERS for what in ("offset", "bytes", "sha256")]
    listed = rows.select(list(dict.fromkeys(columns))).to_pylist()
    listed.sort(key=lambda row: (row["shard"], row["mp4_offset"]))
    parts: list[list[dict[str, Any]]] = []
    numbers: Counter[str] = Counter()
    keys: list[str] = []
    used = 0
    for row in listed:
        if not parts or parts[-1][0]["shard"] != row["shard"] or used + row["n_frames"] > GROUP_S * GRID_FPS:
            stem = row["shard"].removesuffix(".tar")
            keys.append(f"{stem}-{numbers[stem]:03d}")
            numbers[stem] += 1
            parts.append([])
            used = 0
        parts[-1].append(row)
        used += row["n_frames"]
    return [
        LatentUnit(key=key, rows=tuple(part), seconds=sum(row["n_frames"] for row in part) / GRID_FPS)
        for key, part in zip(keys, parts, strict=True)
    ]


def left_over(ledger: Ledger, units: Sequence[LatentUnit], retry_failed: bool) -> list[LatentUnit]:
    """Units without a commit, or whose shard is not as it says."""
    todo = []
    for unit in units:
        record = ledger.read(STAGE, unit.key)
        if record is not None and (_is_damaged(ledger, record) or (retry_failed and _has_failed(record))):
            ledger.forget(STAGE, unit.key)
            record = None
        if record is None:
            todo.append(unit)
    return todo


def _is_damaged(ledger: Ledger, record: dict[str, Any]) -> bool:
    if "latents_shard" not in record:
        return False
    path = ledger.root.parent / "shards" / record["latents_shard"]
    return not path.is_file() or path.stat().st_size != record["latents_shard_bytes"]


def _has_failed(record: dict[str, Any]) -> bool:
    return any(row["status"] == FAILED for row in record["rows"])


@dataclass(slots=True)
class Settler:
    """What becomes of a finished attempt, and what is shown of it."""

    ledger: Ledger
    units: Sequence[LatentUnit]
    todo: Sequence[LatentUnit]
    told: Told
    attempts: Counter[str] = field(default_factory=Counter)
    done_s: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def __call__(self, unit: LatentUnit, outcome: Outcome) -> list[LatentUnit]:
        if isinstance(outcome, Fault):
            self.attempts[unit.key] += 1
            if self.attempts[unit.key] < ATTEMPTS:
                return [unit]
        if outcome is not None:
            code = f"failed.{outcome.kind}" if isinstance(outcome, Fault) else outcome.code
            rows = [{**_named(row), "status": FAILED, "code": code, "detail": outcome.detail} for row in unit.rows]
            self.ledger.commit(STAGE, unit.key, {"rows": rows}, {})
        self.done_s += unit.seconds
        self.told(self.text())
        return []

    def text(self) -> str:
        """How far it has come, how fast, how long it will take."""
        total_s, here_s = sum(u.seconds for u in self.units), sum(u.seconds for u in self.todo)
        took_s = max(1e-3, time.monotonic() - self.began)
        left_s = (here_s - self.done_s) * took_s / max(self.done_s, 1e-3)
        minutes = (total_s - here_s + self.done_s) / 60
        rate = self.done_s / took_s
        return f"{minutes:.1f} of {total_s / 60:.1f} min of clips, {rate:.3g} times real time, {left_s:.0f} s left"


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("clip_id", "n_frames", "mp4_sha256")}
