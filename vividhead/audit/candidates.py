"""Every candidate clip with its verdict as one table of columns: what the report's sums are made of.

Tables of a dataset hold its clips row by row in one order, so nothing is looked up by its id as long as they do; texts
that repeat are kept as numbers. Three million clips take a few hundred megabytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.tables import Tables
from vividhead.audit.verdicts import KINDS, ROWS_AT_ONCE, Verdicts, revoked_rows, verdicts
from vividhead.errors import DatasetError
from vividhead.policy import Policy
from vividhead.revoked import CODE as REVOKED

SKIPPED_ENDING = ":skipped"
_CODE = "reasons.list.element.code"
"""Path of the column; the other parts of a reason are many and long to read."""
_SPAN = ("start_frame", "end_frame", "duration_s")


@dataclass(frozen=True)
class Judgement:
    """What was decided of each clip, in the order of clips.parquet."""

    kept: pa.Array
    failure: pa.Array
    first: pa.Array
    """Code of the first rule that it broke; those only skipped because of one are passed over, as in the account."""


def candidates(tables: Tables, policy: Policy | None) -> pa.Table:
    """A row for each clip: `source` is the row of its source in sources.parquet (-1: of none that was curated),
    `done` says whether its segment is, `packed` whether it is kept and in a shard.

    Judged by `policy`, or by the dataset's own decisions. DatasetError where tables are not of one run.
    """
    clips = tables.read("clips", ["clip_id", "source_id", "segment_id", *_SPAN], coded=["source_id", "segment_id"])
    clip_ids = clips["clip_id"]
    judged = _stored(tables, clip_ids) if policy is None else _by(tables, policy, clip_ids)
    packed = _packed(tables, clip_ids, judged)
    return pa.table(
        {
            "clip_id": clip_ids, "nth_clip": np.arange(len(clips), dtype=np.int32),
            "source": _sources(tables, clips["source_id"]), "done": _done(tables, clips["segment_id"]),
            **{name: clips[name] for name in _SPAN}, "packed": packed,
            **{name: getattr(judged, name) for name in Judgement.__dataclass_fields__},
        }
    )  # fmt: skip


def _packed(tables: Tables, clip_ids: pa.ChunkedArray, judged: Judgement) -> pa.Array:
    if not tables.has("manifest"):
        return pa.array(np.zeros(len(clip_ids), np.bool_))
    there = compute.is_in(clip_ids, tables.read("manifest", ["clip_id"])["clip_id"].combine_chunks())
    return compute.and_(compute.and_(there, judged.kept), judged.failure.is_null())


def _numbered(column: pa.ChunkedArray, lookup: pa.Array) -> NDArray[np.int32]:
    """For each text of a coded column its place in `lookup`, or -1; each different text is looked up once."""
    parts = [np.zeros(0, np.int32)]
    for chunk in column.chunks:
        places = compute.index_in(chunk.dictionary, lookup).fill_null(-1).to_numpy(zero_copy_only=False)
        parts.append(places.astype(np.int32)[chunk.indices.to_numpy(zero_copy_only=False)])
    return np.concatenate(parts)


def _sources(tables: Tables, column: pa.ChunkedArray) -> NDArray[np.int32]:
    sources = tables.read("sources", ["source_id", "outcome"])
    ready = np.flatnonzero(compute.equal(sources["outcome"], "ready").to_numpy())
    places = _numbered(column, sources["source_id"].combine_chunks().take(pa.array(ready)))
    return np.append(ready, -1).astype(np.int32)[places]


def _done(tables: Tables, column: pa.ChunkedArray) -> NDArray[np.bool_]:
    segments = tables.read("segments", ["segment_id", "state"])
    done = segments.filter(compute.equal(segments["state"], "done"))["segment_id"]
    return _numbered(column, done.combine_chunks()) >= 0


def _stored(tables: Tables, clip_ids: pa.ChunkedArray) -> Judgement:
    """The dataset's own decisions, of each the first reason that counts."""
    name = f"decisions/{tables.digest}"
    parts: list[list[pa.Array]] = [[] for _ in Judgement.__dataclass_fields__]
    begin = 0
    for ids, found in _decided(tables, name):
        if not ids.equals(clip_ids.slice(begin, len(ids))):
            begin = -1
            break
        begin += len(ids)
        for part, column in zip(parts, found, strict=True):
            part.append(column)
    if begin != len(clip_ids):
        raise DatasetError(
            f"{tables.where}/{tables.place(name)} does not hold the clips of clips.parquet, row by row; "
            f"`vividhead verify {tables.where}` names the rows"
        )
    kinds = (pa.bool_(), pa.string(), pa.dictionary(pa.int32(), pa.string()))
    return Judgement(*(pa.chunked_array(part, kind) for part, kind in zip(parts, kinds, strict=True)))


def _decided(tables: Tables, name: str) -> Iterator[tuple[pa.ChunkedArray, list[pa.Array]]]:
    """Some clips after the other: their ids, and what is decided of them."""
    for part in tables.parts(name, ["clip_id", "kept", "failure", _CODE], ROWS_AT_ONCE, coded=[_CODE]):
        kept, failure, reasons = (part[n].combine_chunks() for n in ("kept", "failure", "reasons"))
        yield part["clip_id"], [kept, failure, reasons.values.field("code").take(_first(reasons))]


def _first(reasons: pa.ListArray) -> pa.Array:
    """Where in the list's values each clip's first reason stands that is more than `skipped`, or else its first."""
    codes = reasons.values.field("code")
    is_skipped = compute.ends_with(codes.dictionary, SKIPPED_ENDING).to_numpy(zero_copy_only=False)
    ends = reasons.offsets.to_numpy().astype(np.int64)
    known = np.flatnonzero(~is_skipped[codes.indices.to_numpy()] if len(codes) else np.zeros(0, np.bool_))
    begin, end = ends[:-1], ends[1:]
    next_known = np.append(known, np.iinfo(np.int64).max)[np.searchsorted(known, begin)]
    place = np.where(next_known < end, next_known, begin)
    return pa.array(place, mask=begin == end)


def _by(tables: Tables, policy: Policy, clip_ids: pa.ChunkedArray) -> Judgement:
    """What another policy says: kept, and the first rule broken."""
    (found,) = verdicts(tables, [policy], clip_ids, revoked_rows(tables, clip_ids))
    codes = pa.array([*(f"{rule.id}:{kind}" for rule in policy.rules for kind in KINDS), REVOKED])
    first_N, passed_N = _first_broken(found), found.passed_N
    first_N[list(found.revoked)] = len(codes) - 1
    first = pa.DictionaryArray.from_arrays(pa.array(first_N, pa.int32(), mask=passed_N), codes)
    return Judgement(pa.array(passed_N), pa.nulls(len(clip_ids), pa.string()), first)


def _first_broken(found: Verdicts) -> NDArray[np.int64]:
    """For each clip the number of rule and kind of its first broken rule, one known before those only skipped."""
    known_RN = found.known_broken_RN
    rule_N = np.where(known_RN.any(axis=0), known_RN.argmax(axis=0), (found.kinds_RN != 0).argmax(axis=0))
    kind_N = np.take_along_axis(found.kinds_RN, rule_N[None], axis=0)[0]
    return np.asarray(rule_N * len(KINDS) + kind_N, np.int64)
