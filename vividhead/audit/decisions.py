"""decisions/<digest>/decisions.parquet made and read as columns: the rows of `publish`, for millions of clips."""

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.verdicts import FAILED, HIGH, KINDS, LOW, SKIPPED, STATUSES, UNMEASURABLE, ScoreColumns, Verdicts
from vividhead.ledger import storage_error, write_atomically
from vividhead.manifest import DECISIONS, parquet, schema
from vividhead.policy import Rule
from vividhead.revoked import CODE

REASONS_READ = ("code", "detail", "unknown")
"""Columns of a measurement that a reason may quote."""


Texts: TypeAlias = pa.DictionaryArray


@dataclass(frozen=True)
class Failures:
    """Why missing scores or media of each clip could not be made; null where nothing failed."""

    code: pa.Array
    detail: pa.Array

    def part(self, rows: slice) -> "Failures":
        """Those of some clips."""
        return Failures(self.code[rows], self.detail[rows])


_FEW_VALUES = [f"reasons.list.element.{name}" for name in ("code", "field", "limit", "detail")]


class DecisionWriter:
    """Writes decisions/<digest>/decisions.parquet part by part; it is there whole or not at all."""

    def __init__(self, dataset: Path, digest: str) -> None:
        """Begin a file beside its place."""
        self.path = dataset / "decisions" / digest / "decisions.parquet"
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._out: pa.parquet.ParquetWriter | None = None
        self._writer = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None

    def write(self, table: pa.Table) -> None:
        """Add some clips' rows, while the caller goes on to the next ones."""
        self._wait()
        self._written = self._writer.submit(self._write, table)

    def _write(self, table: pa.Table) -> None:
        """Dictionaries are written as they are, and read as plain texts."""
        if self._out is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._out = pa.parquet.ParquetWriter(
                self._part, table.schema, compression="zstd", store_schema=False, use_dictionary=_FEW_VALUES,
                write_statistics=False,
            )  # fmt: skip
        self._out.write_table(table)

    def _wait(self) -> None:
        if self._written is not None:
            try:
                self._written.result()
            except OSError as fault:
                raise storage_error(fault, self.path) from fault
            finally:
                self._written = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._wait()
        finally:
            self._writer.shutdown()
        try:
            if self._out is not None:
                described = base64.b64encode(schema(DECISIONS).serialize())
                self._out.add_key_value_metadata({"ARROW:schema": described})
                self._out.close()
                if fault is None:
                    self._part.replace(self.path)
            elif fault is None:
                write_atomically(self.path, parquet(schema(DECISIONS).empty_table()))
            self._part.unlink(missing_ok=True)
        except OSError as wrong:
            raise storage_error(wrong, self.path) from wrong


def decision_rows(
    clip_ids: pa.ChunkedArray, found: Verdicts, columns: Mapping[str, ScoreColumns], failures: Failures | None
) -> pa.Table:
    """The decisions of clips, all that is given being of just them; texts of reasons as dictionaries."""
    kept_N = found.passed_N
    if failures is None:
        nothing = pa.nulls(len(kept_N), pa.string())
        failure = {"failure": nothing, "failure_detail": nothing}
    else:
        failure = {"failure": failures.code, "failure_detail": failures.detail}
        kept_N = kept_N & failures.code.is_null().to_numpy(zero_copy_only=False)
    data = {
        "clip_id": clip_ids, "kept": pa.array(kept_N), "reasons": _reasons(found, columns), **failure,
    }  # fmt: skip
    fields = [field.with_type(data[field.name].type) for field in schema(DECISIONS)]
    return pa.table(data, schema=pa.schema(fields))


@dataclass(frozen=True)
class _Reasons:
    """The reasons of some clips, one after the other, to be filled in rule by rule. M reasons."""

    code_M: NDArray[np.int16]
    value_M: NDArray[np.float64]
    limit_M: NDArray[np.float64]
    has_value_M: NDArray[np.bool_]
    detail_M: NDArray[np.int32]
    """Place in `details`."""
    details: dict[str, int]

    def say(self, at_M: NDArray[np.int64], texts: Texts) -> None:
        """Set the details of some reasons."""
        words = texts.dictionary.to_pylist()
        places = [self.details.setdefault(word or "", len(self.details)) for word in words]
        self.detail_M[at_M] = np.array([*places, 0], np.int32)[compute.fill_null(texts.indices, len(words)).to_numpy()]


def _reasons(found: Verdicts, columns: Mapping[str, ScoreColumns]) -> pa.ListArray:
    """All broken rules of each clip in the policy's order."""
    rules, kinds_RN = found.policy.rules, found.kinds_RN
    lengths_N = np.count_nonzero(kinds_RN, axis=0)
    lengths_N[list(found.revoked)] += 1
    offsets = np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int32)
    next_N, count = offsets[:-1].astype(np.int64), int(offsets[-1])
    out = _Reasons(
        np.zeros(count, np.int16), np.zeros(count), np.zeros(count), np.zeros(count, np.bool_),
        np.zeros(count, np.int32), {"": 0},
    )  # fmt: skip
    for row, receipt in sorted(found.revoked.items()):  # before all rules
        out.code_M[next_N[row]] = len(rules) * (len(KINDS) - 1)
        out.detail_M[next_N[row]] = out.details.setdefault(f"receipt {receipt}", len(out.details))
        next_N[row] += 1
    for row, rule in enumerate(rules):
        clips = np.flatnonzero(kinds_RN[row])
        at_M, kinds = next_N[clips], kinds_RN[row][clips]
        next_N[clips] += 1
        out.code_M[at_M] = row * (len(KINDS) - 1) + kinds - 1
        _quote(rule, columns[rule.score], (at_M, clips, kinds), out)
    words = pa.array([*(f"{rule.id}:{kind}" for rule in rules for kind in KINDS[1:]), CODE], pa.string())
    ids = pa.array([*(rule.id for rule in rules), ""], pa.string())
    data = {
        "code": pa.DictionaryArray.from_arrays(out.code_M, words),
        "field": pa.DictionaryArray.from_arrays((out.code_M // (len(KINDS) - 1)).astype(np.int16), ids),
        "value": pa.array(out.value_M, mask=~out.has_value_M), "limit": pa.array(out.limit_M, mask=~out.has_value_M),
        "detail": pa.DictionaryArray.from_arrays(out.detail_M, pa.array(list(out.details), pa.string())),
    }  # fmt: skip
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(list(data.values()), list(data)))


def _quote(
    rule: Rule,
    told: ScoreColumns,
    which: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]],
    out: _Reasons,
) -> None:
    """Fill in value and limit of what is low or high, and what the measurement says of the rest."""
    at_M, clips, kinds = which
    for kind, limit in ((LOW, rule.min), (HIGH, rule.max)):
        is_kind = kinds == kind
        if limit is not None and is_kind.any():
            out.value_M[at_M[is_kind]] = told.values_N(rule.field)[0][clips[is_kind]]
            out.limit_M[at_M[is_kind]] = limit
            out.has_value_M[at_M[is_kind]] = True
    for kind, of_status, texts_of in _QUOTED:
        is_such = kinds == kind
        is_such[is_such] = told.status_N[clips[is_such]] == STATUSES.index(of_status)
        if is_such.any() and (texts := texts_of(rule, told.table, clips[is_such])) is not None:
            out.say(at_M[is_such], texts)


def _code(rule: Rule, table: pa.Table, clips: NDArray[np.int64]) -> Texts:
    return _taken(table, "code", clips)


def _skip_detail(rule: Rule, table: pa.Table, clips: NDArray[np.int64]) -> Texts | None:
    """None where no measurement says more: those that were skipped are the most, and hardly ever do."""
    texts = _taken(table, "detail", clips)
    return texts if any(texts.dictionary.to_pylist()) else None


def _fault(rule: Rule, table: pa.Table, clips: NDArray[np.int64]) -> Texts:
    both = zip(*(_taken(table, name, clips).to_pylist() for name in ("code", "detail")), strict=True)
    return pa.array([": ".join(part for part in parts if part) for parts in both], pa.string()).dictionary_encode()


def _not_a_number(rule: Rule, table: pa.Table, clips: NDArray[np.int64]) -> Texts:
    return pa.DictionaryArray.from_arrays(np.zeros(len(clips), np.int8), pa.array(["not a number"]))


def _why_unknown(rule: Rule, table: pa.Table, clips: NDArray[np.int64]) -> Texts:
    """What the map `unknown` says of the rule's field."""
    if "unknown" not in table.column_names:
        return _taken(table, "unknown", clips)
    maps = table["unknown"].combine_chunks().take(pa.array(clips))
    owner_K = np.repeat(np.arange(len(clips)), np.diff(maps.offsets.to_numpy()))
    is_ours_K = compute.equal(maps.keys, rule.field).to_numpy(zero_copy_only=False)
    words = maps.items.filter(pa.array(is_ours_K)).dictionary_encode()
    numbers = np.full(len(clips), len(words.dictionary), np.int32)
    numbers[owner_K[is_ours_K]] = words.indices.to_numpy()
    return pa.DictionaryArray.from_arrays(numbers, pa.array([*words.dictionary.to_pylist(), ""], pa.string()))


def _taken(table: pa.Table, name: str, clips: NDArray[np.int64]) -> Texts:
    """Some rows of a column, coded; empty texts where there is no such column."""
    if name not in table.column_names:
        return pa.DictionaryArray.from_arrays(np.zeros(len(clips), np.int8), pa.array([""]))
    column = table[name]
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    texts = whole.take(pa.array(clips))
    return texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()


_QUOTED: Sequence[tuple[int, str, Callable[[Rule, pa.Table, NDArray[np.int64]], Texts | None]]] = (
    (UNMEASURABLE, "unmeasurable", _code),
    (UNMEASURABLE, "measured", _why_unknown),
    (FAILED, "failed", _fault),
    (FAILED, "measured", _not_a_number),
    (SKIPPED, "skipped", _skip_detail),
)
"""Kind, status of the measurement, and where the reason's detail comes from."""
