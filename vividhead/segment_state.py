"""What the ledger knows of a segment: its spans, clips and measurements, the later ones merged into the first."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vividhead.cascade import is_known
from vividhead.ledger import Ledger
from vividhead.measure import Measured
from vividhead.pipeline import Pipeline
from vividhead.plain import from_plain
from vividhead.records import Clip, Measurement, Segment, Source
from vividhead.scan import Scan
from vividhead.units import LOOKS, Failure, measure_key, scan_key


@dataclass(slots=True)
class SegmentState:
    """Everything the ledger knows of one segment."""

    segment: Segment
    source: Source
    scan: Scan | None = None
    measured: Measured | None = None
    rows: dict[str, dict[str, Measurement]] = field(default_factory=dict)
    """clip_id → score → row; the newest answer of each."""
    array_parts: list[tuple[str, str, frozenset[tuple[str, str]]]] = field(default_factory=list)
    """Stage and key of commits with arrays, and the (clip_id, score) that each measured by the present version."""
    failure: Failure | None = None
    clip_failures: dict[str, Failure] = field(default_factory=dict)
    """clip_id → why what was still missing of it, scores or media, could not be made."""

    @property
    def clips(self) -> Sequence[Clip]:
        return self.measured.clips if self.measured is not None else ()


def load_segment(
    ledger: Ledger,
    segment: Segment,
    source: Source,
    pipeline: Pipeline,
    *,
    looks: bool = True,
    more: Sequence[str] | None = None,
) -> SegmentState:
    """Read a segment's commits and merge later measurements into the first.

    Without `looks` those are left out: they are most of a record. `more` names the later commits, where that is known.
    """
    state = SegmentState(segment, source)
    record = ledger.read("scan", scan_key(segment, pipeline))
    if record is None or _failed(state, record):
        return state
    state.scan = from_plain(Scan, record["scan"])
    base = measure_key(segment, pipeline)
    record = ledger.read("measure", base)
    if record is None or _failed(state, record):
        return state
    if not looks:
        record["measured"]["looks"] = ()
    elif "looks" not in record["measured"]:
        record["measured"]["looks"] = json.loads(ledger.part("measure", base, LOOKS).read_bytes())
    state.measured = from_plain(Measured, record["measured"])
    state.array_parts.append(("measure", base, _known(state.measured.measurements)))
    for row in state.measured.measurements:
        state.rows.setdefault(row.clip_id, {})[row.score] = row
    for key in ledger.keys("more", f"{base}.") if more is None else more:
        record = ledger.read("more", key)
        if record is None or "failed" in record:
            continue
        rows = [from_plain(Measurement, data) for data in record["measurements"]]
        state.array_parts.append(("more", key, _known(rows)))
        for row in rows:
            if not is_known(state.rows[row.clip_id].get(row.score)):
                state.rows[row.clip_id][row.score] = row
    return state


def by_segment(keys: Iterable[str]) -> dict[str, list[str]]:
    """Keys of `more` units by the measure unit that they add to, each in order."""
    out: dict[str, list[str]] = {}
    for key in keys:
        out.setdefault(key.rsplit(".", 1)[0], []).append(key)
    return out


def _known(rows: Iterable[Measurement]) -> frozenset[tuple[str, str]]:
    return frozenset((row.clip_id, row.score) for row in rows if is_known(row))


def _failed(state: SegmentState, record: Mapping[str, Any]) -> bool:
    if "failed" in record:
        state.failure = from_plain(Failure, record["failed"])
    return "failed" in record


class Segments(Mapping[str, SegmentState]):
    """A run's segments, each read from the ledger when it is asked for: a day of clips fits into memory, a year not."""

    def __init__(self, read: Callable[[Segment, Source], SegmentState]) -> None:
        self._read = read
        self.placed: dict[str, tuple[Segment, Source]] = {}

    def __getitem__(self, segment_id: str) -> SegmentState:
        return self._read(*self.placed[segment_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self.placed)

    def __len__(self) -> int:
        return len(self.placed)
