"""decisions/<digest>/decisions.parquet made and read as columns: the rows of `publish`, for millions of clips."""

import base64
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.verdicts import (
    FAILED,
    HIGH,
    KINDS,
    LOW,
    PASSED,
    SKIPPED,
    STATUSES,
    UNMEASURABLE,
    Mask,
    ScoreColumns,
    Verdicts,
    coded,
)
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
    """The reasons of some clips, one after the other. M reasons."""

    code_M: NDArray[np.int16]
    """The rule's number times the number of kinds, and the kind's less one; the revoked after all rules."""
    value_M: NDArray[np.float64]
    limit_M: NDArray[np.float64]
    has_value_M: NDArray[np.bool_]
    detail_M: NDArray[np.int32]
    """Place in `details`."""
    details: dict[str, int]

    @classmethod
    def of(cls, code_M: NDArray[np.int16]) -> Self:
        """Reasons of which no more is known than the code."""
        count = len(code_M)
        nothing = (np.zeros(count), np.zeros(count), np.zeros(count, np.bool_), np.zeros(count, np.int32))
        return cls(code_M, *nothing, {"": 0})

    def say(self, at_M: NDArray[np.int64], texts: Texts) -> None:
        """Set the details of some reasons."""
        words = texts.dictionary.to_pylist()
        places = [self.details.setdefault(word or "", len(self.details)) for word in words]
        self.detail_M[at_M] = np.array([*places, 0], np.int32)[compute.fill_null(texts.indices, len(words)).to_numpy()]


_N_KINDS = len(KINDS) - 1


def _reasons(found: Verdicts, columns: Mapping[str, ScoreColumns]) -> pa.ListArray:
    """All broken rules of each clip in the policy's order."""
    rules, revoked = found.policy.rules, sorted(found.revoked.items())
    kinds_NR = np.zeros((found.kinds_RN.shape[1], len(rules) + 1), np.uint8)
    kinds_NR[[row for row, _ in revoked], 0] = 1  # before all rules
    kinds_NR[:, 1:] = found.kinds_RN.T
    broken_NR = kinds_NR != PASSED
    base_R = np.array([len(rules), *range(len(rules))], np.int16) * _N_KINDS - 1
    lengths_N = np.count_nonzero(broken_NR, axis=1)
    out = _Reasons.of((kinds_NR + base_R)[broken_NR])
    clip_M = np.repeat(np.arange(len(lengths_N), dtype=np.int32), lengths_N)
    is_asked = [_says_more(kind, columns[rule.score]) for rule in rules for kind in range(1, len(KINDS))]
    for code, at_M in _by_code(out.code_M, np.array([*is_asked, False])):
        rule, kind = rules[code // _N_KINDS], code % _N_KINDS + 1
        _quote(rule, kind, columns[rule.score], (at_M, clip_M[at_M]), out)
    for at, (_, receipt) in zip(np.flatnonzero(out.code_M == len(rules) * _N_KINDS), revoked, strict=True):
        out.detail_M[at] = out.details.setdefault(f"receipt {receipt}", len(out.details))
    return _as_lists(found, out, np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int32))


def _by_code(code_M: NDArray[np.int16], is_asked_C: Mask) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each of the codes asked for that occurs, and where; by one pass over all of them, which are many."""
    asked_K = np.flatnonzero(is_asked_C[code_M])
    codes_K = code_M[asked_K]
    in_order_K = asked_K[np.argsort(codes_K, kind="stable")]
    ends_C = np.cumsum(np.bincount(codes_K, minlength=len(is_asked_C)))
    for code, (begin, end) in enumerate(pairwise([0, *ends_C.tolist()])):
        if end > begin:
            yield code, in_order_K[begin:end]


def _as_lists(found: Verdicts, out: _Reasons, offsets: NDArray[np.int32]) -> pa.ListArray:
    rules = found.policy.rules
    words = pa.array([*(f"{rule.id}:{kind}" for rule in rules for kind in KINDS[1:]), CODE], pa.string())
    ids = pa.array([*(rule.id for rule in rules), ""], pa.string())
    data = {
        "code": pa.DictionaryArray.from_arrays(out.code_M, words),
        "field": pa.DictionaryArray.from_arrays((out.code_M // _N_KINDS).astype(np.int16), ids),
        "value": pa.array(out.value_M, mask=~out.has_value_M), "limit": pa.array(out.limit_M, mask=~out.has_value_M),
        "detail": pa.DictionaryArray.from_arrays(out.detail_M, pa.array(list(out.details), pa.string())),
    }  # fmt: skip
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(list(data.values()), list(data)))


def _says_more(kind: int, told: ScoreColumns) -> bool:
    """Those that were skipped are the most by far, and hardly ever does a measurement say more of them."""
    if kind != SKIPPED:
        return True
    if "detail" not in told.table.column_names:
        return False
    detail, is_skipped_N = told.table["detail"], told.status_N == STATUSES.index("skipped")
    return bool((is_skipped_N & (coded(detail, [""], 1) == 1) & detail.is_valid().to_numpy()).any())


def _quote(
    rule: Rule, kind: int, told: ScoreColumns, which: tuple[NDArray[np.int64], NDArray[np.int32]], out: _Reasons
) -> None:
    """Fill in value and limit of what is low or high, and what the measurement says of the rest."""
    at_M, clips = which
    if kind in (LOW, HIGH):
        out.value_M[at_M] = told.values_N(rule.field)[0][clips]
        out.limit_M[at_M] = rule.min if kind == LOW else rule.max
        out.has_value_M[at_M] = True
    for of_kind, of_status, texts_of in _QUOTED:
        if kind == of_kind:
            is_such = told.status_N[clips] == STATUSES.index(of_status)
            if is_such.any():
                out.say(at_M[is_such], texts_of(rule, told.table, clips[is_such]))


def _code(rule: Rule, table: pa.Table, clips: NDArray[np.int32]) -> Texts:
    return _taken(table, "code", clips)


def _skip_detail(rule: Rule, table: pa.Table, clips: NDArray[np.int32]) -> Texts:
    return _taken(table, "detail", clips)


def _fault(rule: Rule, table: pa.Table, clips: NDArray[np.int32]) -> Texts:
    both = zip(*(_taken(table, name, clips).to_pylist() for name in ("code", "detail")), strict=True)
    return pa.array([": ".join(part for part in parts if part) for parts in both], pa.string()).dictionary_encode()


def _not_a_number(rule: Rule, table: pa.Table, clips: NDArray[np.int32]) -> Texts:
    return pa.DictionaryArray.from_arrays(np.zeros(len(clips), np.int8), pa.array(["not a number"]))


def _why_unknown(rule: Rule, table: pa.Table, clips: NDArray[np.int32]) -> Texts:
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


def _taken(table: pa.Table, name: str, clips: NDArray[np.int32]) -> Texts:
    """Some rows of a column, coded; empty texts where there is no such column."""
    if name not in table.column_names:
        return pa.DictionaryArray.from_arrays(np.zeros(len(clips), np.int8), pa.array([""]))
    column = table[name]
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    texts = whole.take(pa.array(clips))
    return texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()


_QUOTED: Sequence[tuple[int, str, Callable[[Rule, pa.Table, NDArray[np.int32]], Texts]]] = (
    (UNMEASURABLE, "unmeasurable", _code),
    (UNMEASURABLE, "measured", _why_unknown),
    (FAILED, "failed", _fault),
    (FAILED, "measured", _not_a_number),
    (SKIPPED, "skipped", _skip_detail),
)
"""Kind, status of the measurement, and where the reason's detail comes from."""
