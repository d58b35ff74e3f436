"""Do the tables keep the contract: columns, types, no nulls where none may be, ranges, closed sets, forms of ids?"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.findings import Findings
from vividhead.audit.tables import Tables
from vividhead.errors import DatasetError
from vividhead.manifest import MANIFEST, MEASUREMENTS, Column, arrow_type, score_columns
from vividhead.schemas import CHOICES, PATTERNS, TABLES
from vividhead.score import Field, score_class, score_names

OWNERS = {"clip_id": "clips", "segment_id": "segments", "source_id": "sources"}
"""Id → the table whose own it is. Elsewhere it must be found there, so its form is not looked at twice."""


def check_schemas(tables: Tables, found: Findings) -> set[str]:
    """Check every table there is; returns the names of those whose columns can be relied upon."""
    readable = set()
    for name, columns, fields in _expected(tables):
        if not tables.has(name):
            why = "it is missing" + ("; no run has come to its end" if name == "manifest" else "")
            found.add("schema", tables.place(name), None, why)
        elif _check_table(tables, found, name, columns, fields):
            readable.add(name)
    return readable


def _expected(tables: Tables) -> list[tuple[str, Sequence[Column], Mapping[str, Field]]]:
    """Name, columns and the scores' fields among them, of every table that there should be, and of more decisions."""
    out: list[tuple[str, Sequence[Column], Mapping[str, Field]]] = [
        (name, TABLES[name][0], {}) for name in ("sources", "segments", "clips")
    ]
    named: dict[str, Field] = {}
    yielded: list[Column] = []
    for score in tables.names("measurements"):
        fields = score_class(score).fields if score in score_names() else {}
        columns = (*MEASUREMENTS, *(score_columns(score_class(score)) if fields else ()))
        out.append((f"measurements/{score}", columns, fields))
        named |= {f"{score}.{f}": about for f, about in fields.items()}
        yielded += score_columns(score_class(score), f"{score}.") if fields else ()
    digests = dict.fromkeys([tables.digest, *tables.names("decisions")])
    out += [(f"decisions/{digest}", TABLES["decisions"][0], {}) for digest in digests]
    out.append(("manifest", (*MANIFEST, *yielded), named))
    return out


def _check_table(
    tables: Tables, found: Findings, name: str, columns: Sequence[Column], fields: Mapping[str, Field]
) -> bool:
    path = tables.place(name)
    try:
        there = tables.schema(name)
    except DatasetError as fault:
        found.add("schema", path, None, str(fault))
        return False
    sound = True
    for column in columns:
        if column.name not in there.names:
            if "." in column.name and column not in MANIFEST and name == "manifest":
                continue  # a run may take fewer scores
            found.add("schema", path, None, f"column {column.name} is missing")
            sound = False
        elif not _same(there.field(column.name).type, arrow_type(column.type)):
            found.add(
                "schema", path, None, f"column {column.name} is {there.field(column.name).type}, not {column.type}"
            )
            sound = False
    known = {column.name for column in columns}
    is_foreign = name.startswith("measurements/") and not fields
    for extra in sorted(set(there.names) - known if not is_foreign else ()):
        found.add("schema", path, None, f"column {extra} is not in the contract")
    if not sound:
        return False
    try:
        for column in columns:
            if column.name in there.names and _is_looked_at(column, fields):
                _check_column(tables, found, name, column, fields.get(column.name))
    except DatasetError as fault:
        found.add("schema", path, None, str(fault))
        return False
    return True


def _same(one: pa.DataType, other: pa.DataType) -> bool:
    """The names of the items of lists and maps may differ."""
    return _IGNORED.sub("", str(one)) == _IGNORED.sub("", str(other))


_IGNORED = re.compile(r"\b(item|element): | \('\w+'\)| not null")


def _is_looked_at(column: Column, fields: Mapping[str, Field]) -> bool:
    """Columns whose values the contract limits; nested ones are looked at by the checks of what is in them."""
    limited = not column.may_be_null or column.name in CHOICES or column.name in PATTERNS or column.name in fields
    return limited and not column.type.startswith(("list<", "map<"))


def _check_column(tables: Tables, found: Findings, name: str, column: Column, field: Field | None) -> None:
    is_closed = column.name in CHOICES
    values = tables.read(name, [column.name], coded=[column.name] if is_closed else [])[column.name]
    path = tables.place(name)
    found.looked("cells", len(values))
    if not column.may_be_null and values.null_count:
        found.rows("schema", path, values.is_null().to_numpy(), lambda row: f"{column.name} is null")
    if is_closed:
        wrong = _outside(values, CHOICES[column.name], column.may_be_null)
        found.rows(
            "schema",
            path,
            wrong,
            lambda row: f"{column.name} {values[row]} is none of {', '.join(CHOICES[column.name])}",
        )
    elif column.name in PATTERNS and OWNERS.get(column.name, name) == name:
        fits = compute.match_substring_regex(values, f"^(?:{PATTERNS[column.name]})$")
        wrong = ~compute.fill_null(fits, column.may_be_null).to_numpy()
        found.rows(
            "schema", path, wrong, lambda row: f"{column.name} {values[row]} is not of the form {PATTERNS[column.name]}"
        )
    if field is not None:
        inside = compute.and_(compute.greater_equal(values, field.low), compute.less_equal(values, field.high))
        wrong = ~compute.fill_null(inside, True).to_numpy()
        found.rows(
            "schema", path, wrong, lambda row: f"{column.name} {values[row]} is outside {field.low:g} … {field.high:g}"
        )


def _outside(values: pa.ChunkedArray, choices: Sequence[str], may_be_null: bool) -> NDArray[np.bool_]:
    parts = [np.zeros(0, np.bool_)]
    for chunk in values.chunks:
        is_choice = np.array([word in choices for word in chunk.dictionary.to_pylist()] + [True], np.bool_)
        parts.append(~is_choice[compute.fill_null(chunk.indices, len(is_choice) - 1).to_numpy()])
    return np.concatenate(parts)
