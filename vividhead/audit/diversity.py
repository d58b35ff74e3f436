"""How many different sources, languages, speakers a choice of clips holds: what stricter filters cost besides hours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.clips import Judged
from vividhead.audit.tables import Tables

MOST_ATTRIBUTES = 8
"""Columns of the source list that are counted."""


@dataclass(frozen=True, slots=True)
class Diversity:
    """Numbers of different things among the chosen clips."""

    sources: int
    attributes: Mapping[str, int] = field(default_factory=dict)
    """Column of the source list, `language` and `licence` among them → different values."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {"sources": self.sources, "attributes": dict(self.attributes)}


@dataclass(frozen=True)
class _Coded:
    """Each clip's source, and each source's attributes, as numbers."""

    source_N: NDArray[np.int64]
    n_sources: int
    values: Mapping[str, NDArray[np.int64]]
    """Attribute → number of the value of each source; -1 where there is none."""


def diversity(now: Judged, chosen_N: NDArray[np.bool_]) -> Diversity:
    """Count what the chosen clips hold."""
    coded = _coded(now.tables)
    there = np.zeros(coded.n_sources, np.bool_)
    there[coded.source_N[chosen_N]] = True
    counts = {name: len(np.unique(v[there & (v >= 0)])) for name, v in coded.values.items()}
    return Diversity(int(there.sum()), counts)


@cache
def _coded(tables: Tables) -> _Coded:
    sources = tables.read("sources", ["source_id", "outcome", "language", "licence", "attributes"])
    sources = sources.filter(compute.equal(sources["outcome"], "ready"))
    column = tables.read("clips", ["source_id"], coded=["source_id"])["source_id"]
    ids = sources["source_id"].combine_chunks()
    parts = [np.zeros(0, np.int64)]
    for chunk in column.chunks:
        rows = compute.fill_null(compute.index_in(chunk.dictionary.cast(pa.string()), ids), 0).to_numpy()
        parts.append(np.asarray(rows, np.int64)[chunk.indices.to_numpy()])
    texts: dict[str, list[str | None]] = {n: sources[n].to_pylist() for n in ("language", "licence")}
    pairs = [dict(row) for row in sources["attributes"].to_pylist()]
    for name in sorted({name for row in pairs for name in row})[:MOST_ATTRIBUTES]:
        texts[name] = [row.get(name) for row in pairs]
    values = {name: _numbers(listed) for name, listed in texts.items() if any(listed)}
    return _Coded(np.concatenate(parts), len(sources), values)


def _numbers(texts: list[str | None]) -> NDArray[np.int64]:
    known = {text: number for number, text in enumerate(sorted({text for text in texts if text}))}
    return np.array([known.get(text, -1) if text else -1 for text in texts], np.int64)
