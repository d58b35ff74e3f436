"""Is a dataset what its tables say? Every check by columns, so that millions of clips take seconds.

The order is that of trust: schemas, ids, keys, spans and sums, decisions, then the shards. A check that an earlier
finding makes pointless is left out. `deep` reads every shard: see `verify_shards`.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute

from vividhead.audit.contract_check import check_schemas
from vividhead.audit.decision_check import check_decisions
from vividhead.audit.findings import Findings
from vividhead.audit.seconds import check_seconds
from vividhead.audit.tables import Tables
from vividhead.audit.verify_shards import check_manifest, check_shards
from vividhead.live_line import LiveLine

KEYS = (
    ("segments", "source_id", "sources"),
    ("clips", "source_id", "sources"),
    ("clips", "segment_id", "segments"),
    ("manifest", "source_id", "sources"),
    ("manifest", "clip_id", "clips"),
)
"""Table, column, the table where its value must be found."""


def verify(where: str | Path, *, deep: bool = False, line: LiveLine | None = None) -> Findings:
    """Check the dataset and return what is wrong with it; raises DatasetError where there is none at all."""
    tables = Tables(where)
    found = Findings(tables.where)
    readable, same = check_schemas(tables, found), set[str]()
    if {"sources", "segments", "clips"} <= readable:
        same = _of_the_clips(tables, readable)
        _check_unique(tables, found, readable - same)
        _check_keys(tables, found, readable - same)
        release()
        check_seconds(tables, found)
        release()
        if f"decisions/{tables.digest}" in readable:
            check_decisions(tables, found, readable)
    release()
    if "manifest" in readable:
        check_manifest(tables, found, readable, same)
        if deep:
            check_shards(tables, found, line)
    return found


def release() -> None:
    """Give memory back that the last check no longer needs: of millions of rows it is a lot."""
    pa.default_memory_pool().release_unused()


def _of_the_clips(tables: Tables, readable: set[str]) -> set[str]:
    """Tables that hold just the clips of clips.parquet, row by row: their ids need no further look."""
    clip_ids = tables.read("clips", ["clip_id"])["clip_id"]
    names = [name for name in readable if name.startswith(("measurements/", "decisions/"))]
    return {name for name in names if tables.read(name, ["clip_id"])["clip_id"].equals(clip_ids)}


def _check_unique(tables: Tables, found: Findings, readable: set[str]) -> None:
    """No id twice; of sources, none that was curated twice."""
    sources = tables.read("sources", ["source_id", "outcome"])
    ready = compute.equal(sources["outcome"], "ready")
    _unique(found, "sources.parquet", compute.if_else(ready, sources["source_id"], None))
    _unique(found, "segments.parquet", tables.read("segments", ["segment_id"])["segment_id"])
    clip_ids = tables.read("clips", ["clip_id"])["clip_id"]
    _unique(found, "clips.parquet", clip_ids)
    for name in sorted(readable):
        if name.startswith(("measurements/", "decisions/")) or name == "manifest":
            _unique(found, tables.place(name), tables.read(name, ["clip_id"])["clip_id"])


def _unique(found: Findings, path: str, ids: pa.ChunkedArray) -> None:
    found.looked("ids", len(ids))
    coded = ids.combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    if len(coded.dictionary) == len(ids) - ids.null_count:
        return
    numbers = compute.fill_null(coded.indices, -1).to_numpy()
    order = np.argsort(numbers, kind="stable")
    again = np.zeros(len(numbers), np.bool_)
    again[order[1:]] = (numbers[order[1:]] == numbers[order[:-1]]) & (numbers[order[1:]] >= 0)
    first_of = np.full(len(coded.dictionary) + 1, -1)  # one more, for nulls: their number is -1
    first_of[numbers[order[::-1]]] = order[::-1]
    found.rows("unique", path, again, lambda row: f"{ids[row]} is there already, in row {first_of[numbers[row]]}")


def _check_keys(tables: Tables, found: Findings, readable: set[str]) -> None:
    for name, column, other in KEYS:
        if name not in readable:
            continue
        key = tables.read(name, [column])[column]
        to = tables.read(other, ["source_id", "outcome"] if other == "sources" else [column])
        if other == "sources":
            to = to.filter(compute.equal(to["outcome"], "ready"))
        missing = ~compute.is_in(key, to[column].combine_chunks()).to_numpy()
        what = "no curated source" if other == "sources" else f"not in {other}.parquet"
        found.looked("keys", len(key))
        found.rows("key", tables.place(name), missing, partial(_missing_key, column, key, what))
    clip_ids = tables.read("clips", ["clip_id"])["clip_id"]
    for name in sorted(readable):
        if name.startswith(("measurements/", "decisions/")):
            _check_clip_rows(tables, found, name, clip_ids)


def _missing_key(column: str, key: pa.ChunkedArray, what: str, row: int) -> str:
    return f"{column} {key[row]} is {what}"


def _check_clip_rows(tables: Tables, found: Findings, name: str, clip_ids: pa.ChunkedArray) -> None:
    """A table of clips holds those of clips.parquet and, if of decisions, all of them."""
    path = tables.place(name)
    ids = tables.read(name, ["clip_id"])["clip_id"]
    found.looked("keys", len(ids))
    strange = ~compute.is_in(ids, clip_ids.combine_chunks()).to_numpy()
    found.rows("key", path, strange, lambda row: f"clip_id {ids[row]} is not in clips.parquet")
    if name.startswith("decisions/"):
        missing = ~compute.is_in(clip_ids, ids.combine_chunks()).to_numpy()
        found.rows("key", "clips.parquet", missing, lambda row: f"clip_id {clip_ids[row]} has no row in {path}")
