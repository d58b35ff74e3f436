"""Judging all clips of a dataset at once, column by column. `policy.judge` is the specification: a test compares.

N clips, R rules of the policy.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.tables import Tables
from vividhead.errors import DatasetError
from vividhead.policy import Policy, Rule
from vividhead.revoked import Tombstone

KINDS = ("", "low", "high", "unmeasurable", "failed", "skipped")
"""How a rule is broken, by number; 0 is not broken."""
PASSED, LOW, HIGH, UNMEASURABLE, FAILED, SKIPPED = range(len(KINDS))
STATUSES = ("measured", "unmeasurable", "failed", "skipped")
TEXTS = ("status", "code", "detail")
"""Columns with few different words, read as dictionaries."""
ROWS_AT_ONCE = 1 << 16
"""Clips whose measurements and reasons are in memory at a time."""
ABSENT = len(STATUSES)
"""Number of the status of a clip that the score has no row of."""

Kinds = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ScoreColumns:
    """One score's table, a row for each clip in the order of clips.parquet."""

    score: str
    table: pa.Table
    """status, and what else was read; null where the clip has no row."""
    _values: dict[str, tuple[NDArray[np.float64], Mask]] = field(default_factory=dict, compare=False, repr=False)

    def part(self, rows: slice) -> "ScoreColumns":
        """The same of some clips."""
        begin, end, _ = rows.indices(len(self.table))
        return ScoreColumns(self.score, self.table.slice(begin, end - begin))

    @cached_property
    def status_N(self) -> NDArray[np.int8]:
        """Number in `STATUSES`, or `ABSENT`."""
        return coded(self.table["status"], STATUSES, ABSENT)

    def values_N(self, field: str) -> tuple[NDArray[np.float64], Mask]:
        """The field's values, NaN where there is none, and where there is none."""
        if field not in self._values:
            self._values[field] = self._values_of(field)
        return self._values[field]

    def _values_of(self, field: str) -> tuple[NDArray[np.float64], Mask]:
        if field not in self.table.column_names:
            return np.full(len(self.table), np.nan), np.ones(len(self.table), np.bool_)
        column = self.table[field]
        null_N = column.is_null().to_numpy() if column.null_count else np.zeros(len(column), np.bool_)
        return column.to_numpy(), null_N


def coded(column: pa.ChunkedArray, words: Sequence[str], otherwise: int) -> NDArray[np.int8]:
    """The number of each text in `words`; a dictionary's words are looked up once, not in every row."""
    known = pa.array(words, pa.string())
    if not pa.types.is_dictionary(column.type):
        return np.asarray(compute.index_in(column, known).fill_null(otherwise), np.int8)
    parts = [np.zeros(0, np.int8)]
    for chunk in column.chunks:
        numbers = compute.index_in(chunk.dictionary.cast(pa.string()), known).fill_null(otherwise).to_numpy()
        table = np.append(numbers, otherwise).astype(np.int8)
        parts.append(table[compute.fill_null(chunk.indices, len(numbers)).to_numpy()])
    return np.concatenate(parts)


def score_columns(
    tables: Tables, score: str, clip_ids: pa.ChunkedArray, columns: Sequence[str], also: Sequence[str] = ()
) -> ScoreColumns:
    """Read a score's fields `columns` (and the plain columns `also`) for the clips; all null where it was not taken."""
    if score not in tables.names("measurements"):
        nothing = pa.nulls(len(clip_ids), pa.string())
        return ScoreColumns(score, pa.table({"clip_id": clip_ids, "status": nothing}))
    table = tables.read(f"measurements/{score}", _there(tables, score, columns, also), coded=TEXTS)
    if not table["clip_id"].equals(clip_ids):
        table = aligned(table, clip_ids, f"{tables.where}/{tables.place(f'measurements/{score}')}")
    return ScoreColumns(score, table)


def score_parts(
    tables: Tables,
    fields: Mapping[str, Sequence[str]],
    clip_ids: pa.ChunkedArray,
    also: Sequence[str] = (),
    at_once: int = ROWS_AT_ONCE,
) -> Iterator[tuple[slice, dict[str, ScoreColumns]]]:
    """The same for several scores (score → fields) and some clips after the other, so that few are in memory."""
    ids = tables.stored("clips", "clip_id") if tables.has("clips") else []
    streams = {score: _Stream(tables, score, clip_ids, ids, named, also, at_once) for score, named in fields.items()}

    def part(begin: int) -> tuple[slice, dict[str, ScoreColumns]]:
        rows = slice(begin, min(begin + at_once, len(clip_ids)))
        return rows, {score: stream.part(rows) for score, stream in streams.items()}

    with _short_turns(), ThreadPoolExecutor(1) as reader:  # the next part is read while this one is judged
        coming = None
        for begin in range(0, len(clip_ids), at_once):
            now = coming.result() if coming is not None else part(begin)
            after = begin + at_once
            coming = reader.submit(part, after) if after < len(clip_ids) else None
            yield now


@contextmanager
def _short_turns() -> Iterator[None]:
    """Threads hand the interpreter on every half millisecond, not every five: a reader that asks for it some hundred
    times a part waited longer than it read."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class _Stream:
    """A score's table, read part by part as long as its rows are those of the clips; else it is read whole."""

    def __init__(
        self,
        tables: Tables,
        score: str,
        clip_ids: pa.ChunkedArray,
        stored_ids: Sequence[object],
        columns: Sequence[str],
        also: Sequence[str],
        at_once: int,
    ) -> None:
        self._whole: ScoreColumns | None = None
        self._read_whole = partial(score_columns, tables, score, clip_ids, columns, also)
        self._score, self._clip_ids = score, clip_ids
        self._parts: Iterator[pa.Table] = iter(())
        self._is_aligned = False
        if score in tables.names("measurements"):
            name, wanted = f"measurements/{score}", _there(tables, score, columns, also)
            self._is_aligned = tables.stored(name, "clip_id") == stored_ids
            self._parts = tables.parts(name, wanted[self._is_aligned :], at_once, coded=TEXTS)

    def part(self, rows: slice) -> ScoreColumns:
        """The next clips' rows."""
        if self._whole is None:
            table = next(self._parts, None)
            if table is not None and (self._is_aligned or table["clip_id"].equals(self._clip_ids[rows])):
                return ScoreColumns(self._score, table)
            self._whole = self._read_whole()
        return self._whole.part(rows)


def _there(tables: Tables, score: str, columns: Sequence[str], also: Sequence[str]) -> list[str]:
    names = tables.schema(f"measurements/{score}").names
    return ["clip_id", "status", *(c for c in (*also, *columns) if c in names)]


def aligned(table: pa.Table, clip_ids: pa.ChunkedArray, where: str) -> pa.Table:
    """The table's rows in the order of `clip_ids`, null for those it does not have."""
    ids = table["clip_id"]
    if len(compute.unique(ids)) != len(ids):
        raise DatasetError(f"{where} holds a clip twice; `vividhead verify` names it")
    return table.take(compute.index_in(clip_ids, ids.combine_chunks()))


def rule_kinds(rule: Rule, columns: ScoreColumns) -> Kinds:
    """How each clip breaks one rule, as `policy._broken` has it."""
    unknown = PASSED if rule.unmeasured == "accept" else UNMEASURABLE
    of_status = {"measured": PASSED, "unmeasurable": unknown, "failed": FAILED, "skipped": SKIPPED}
    kinds_N = np.array([*(of_status[status] for status in STATUSES), SKIPPED], np.uint8)[columns.status_N]
    values_N, null_N = columns.values_N(rule.field)
    measured_N = columns.status_N == STATUSES.index("measured")
    np.putmask(kinds_N, measured_N & null_N, unknown)
    known_N = measured_N & ~null_N
    if rule.max is not None:
        np.putmask(kinds_N, known_N & (values_N > rule.max), HIGH)
    if rule.min is not None:
        np.putmask(kinds_N, known_N & (values_N < rule.min), LOW)
    np.putmask(kinds_N, known_N & np.isnan(values_N), FAILED)
    return kinds_N


@dataclass(frozen=True)
class Verdicts:
    """How each clip breaks each rule of a policy."""

    policy: Policy
    kinds_RN: Kinds
    revoked: Mapping[int, str] = field(default_factory=dict)
    """Clips that no filters may keep, by number → the receipt."""

    def part(self, rows: slice) -> "Verdicts":
        """Those of some clips."""
        begin, end, _ = rows.indices(self.kinds_RN.shape[1])
        out = {row - begin: receipt for row, receipt in self.revoked.items() if begin <= row < end}
        return Verdicts(self.policy, self.kinds_RN[:, rows], out)

    @cached_property
    def passed_N(self) -> Mask:
        """Clips that break no rule and are not revoked."""
        passed_N = np.asarray(~self.kinds_RN.any(axis=0), np.bool_)
        passed_N[list(self.revoked)] = False
        return passed_N

    @cached_property
    def n_broken_N(self) -> NDArray[np.int16]:
        """How many rules each clip breaks by what is known of it, those only `skipped` not counted."""
        return np.asarray(np.sum(self.known_broken_RN, axis=0), np.int16)

    @cached_property
    def known_broken_RN(self) -> Mask:
        """Which rule each clip breaks by what is known of it."""
        return np.asarray((self.kinds_RN != PASSED) & (self.kinds_RN != SKIPPED), np.bool_)

    @cached_property
    def undecided_N(self) -> Mask:
        """Clips that nothing known speaks against, but some rule's score was never taken."""
        undecided_N = np.asarray((self.n_broken_N == 0) & self.kinds_RN.any(axis=0), np.bool_)
        undecided_N[list(self.revoked)] = False
        return undecided_N

    def sole_N(self, rule: int) -> Mask:
        """Clips that nothing known but this rule refuses. What was skipped because of it may still refuse them."""
        sole_N = np.asarray(self.known_broken_RN[rule] & (self.n_broken_N == 1), np.bool_)
        sole_N[list(self.revoked)] = False
        return sole_N


def verdicts(
    tables: Tables, policies: Sequence[Policy], clip_ids: pa.ChunkedArray, out: Mapping[int, str] | None = None
) -> list[Verdicts]:
    """Judge all clips by each policy; one score's columns are in memory at a time. `out`: see `Verdicts.revoked`."""
    found = [np.zeros((len(policy.rules), len(clip_ids)), np.uint8) for policy in policies]
    for score, fields in fields_of(policies).items():
        columns = score_columns(tables, score, clip_ids, fields)
        for policy, kinds_RN in zip(policies, found, strict=True):
            for row, rule in enumerate(policy.rules):
                if rule.score == score:
                    kinds_RN[row] = rule_kinds(rule, columns)
    return [Verdicts(policy, kinds_RN, out or {}) for policy, kinds_RN in zip(policies, found, strict=True)]


def fields_of(policies: Sequence[Policy]) -> dict[str, list[str]]:
    """Score → its fields on which any of the policies has a rule."""
    fields: dict[str, dict[str, None]] = {}
    for rule in (rule for policy in policies for rule in policy.rules):
        fields.setdefault(rule.score, {})[rule.field] = None
    return {score: list(named) for score, named in fields.items()}


def verdicts_of(policy: Policy, columns: Mapping[str, ScoreColumns], out: Mapping[int, str] | None = None) -> Verdicts:
    """The same from columns that are at hand; `out` are clips that are revoked, by number."""
    kinds_RN = np.stack([rule_kinds(rule, columns[rule.score]) for rule in policy.rules])
    return Verdicts(policy, kinds_RN, out or {})


def revoked_rows(tables: Tables, clip_ids: pa.ChunkedArray) -> dict[int, str]:
    """Number of a clip → the receipt by which it, its source, or a face at its place and time was revoked."""
    gone = tables.revoked()
    touched = {stone.source_id for stone in gone.clips} | set(gone.sources)
    if not touched:
        return {}
    clips = tables.read("clips", ["clip_id", "source_id", "start_frame", "end_frame", *CROP])
    near = np.flatnonzero(compute.is_in(clips["source_id"], pa.array(sorted(touched))).to_numpy())
    out = {}
    for row in clips.take(pa.array(near)).to_pylist():
        crop = (row.pop(CROP[0]), row.pop(CROP[1]), row.pop(CROP[2]), row.pop(CROP[3]))
        receipt = gone.receipt_of(Tombstone(**row, crop_xyxy_px=crop))
        if receipt is not None:
            out[row["clip_id"]] = receipt
    rows = np.flatnonzero(compute.is_in(clip_ids, pa.array(list(out), pa.string())).to_numpy()).tolist()
    return {row: out[clip_ids[row].as_py()] for row in rows}


CROP = ("crop_x0_px", "crop_y0_px", "crop_x1_px", "crop_y1_px")
