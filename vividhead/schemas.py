"""JSON Schemas of a dataset's tables and of the account, made from `manifest`'s columns and the scores' fields."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from vividhead.manifest import (
    CLIPS,
    DECISIONS,
    MANIFEST,
    MEASUREMENTS,
    MEMBERS,
    SEGMENTS,
    SOURCES,
    TEXT_MAP,
    Column,
    score_columns,
)
from vividhead.records import BUCKETS, SourceOutcome, Status
from vividhead.score import Field, score_class, score_names

Schema = dict[str, Any]
"""A JSON Schema, draft 2020-12."""

CHOICES = {
    "outcome": get_args(SourceOutcome),
    "state": ("done", "failed", "pending"),
    "status": get_args(Status),
}
"""Column → its closed set of values."""

SHA256 = "[0-9a-f]{64}"
CODE = r"^[a-z_]+(\.[a-z0-9_]+(:(low|high|unmeasurable|failed|skipped))?)?$"
"""`<score>.<field>:<kind>` of a broken rule; `no_speech`, `failed.corrupt` of a stretch."""
PATTERNS = {
    "clip_id": "[0-9a-f]{20}",
    "segment_id": "[0-9a-f]{16}-[0-9]{7}",
    "source_id": f"(unread-)?{SHA256}",
    "shard": r"[A-Za-z0-9][A-Za-z0-9_-]*-[0-9]{6}\.tar",
    "shard_sha256": SHA256,
    **{f"{member}_sha256": SHA256 for member in MEMBERS},
}
"""Column → what all of its text matches."""

TABLES = {
    "sources": (SOURCES, "sources.parquet", "One row for each file of footage, used or not."),
    "segments": (SEGMENTS, "segments.parquet", "One row for each stretch of at most ten minutes of a ready source."),
    "clips": (CLIPS, "clips.parquet", "One row for each candidate clip, also the rejected."),
    "decisions": (
        DECISIONS,
        "decisions/<digest of the filters>/decisions.parquet",
        "One row for each candidate clip: what the filters of that digest say of it.",
    ),
}
"""Name of a table whose columns do not depend on the scores → columns, file, meaning of a row."""


def field_column(name: str, field: Field) -> Column:
    """The column that holds a score's field."""
    return Column(name, "double", field.unit, field.meaning)


def all_fields() -> Iterator[tuple[str, str, Field]]:
    """(score, field, what it is) of every score there is."""
    for name in score_names():
        for field, about in score_class(name).fields.items():
            yield name, field, about


def schemas() -> dict[str, Schema]:
    """File name → schema, of one row of each table and of the account."""
    out = {name: row_schema(columns, file, meaning) for name, (columns, file, meaning) in TABLES.items()}
    for score in score_names():
        fields = score_class(score).fields
        columns = (*MEASUREMENTS, *score_columns(score_class(score)))
        file = f"measurements/{score}/measurements.parquet"
        out[f"measurements.{score}"] = row_schema(columns, file, f"What `{score}` says of each candidate clip.", fields)
    named = {f"{score}.{field}": about for score, field, about in all_fields()}
    yielded = (column for score in score_names() for column in score_columns(score_class(score), f"{score}."))
    columns = (*MANIFEST, *yielded)
    meaning = "One row for each kept clip: where it is from, where its bytes are, what was measured."
    out["manifest"] = row_schema(columns, "manifest.parquet", meaning, named)
    out["manifest"]["required"] = [column.name for column in MANIFEST]  # a run may take fewer scores
    out["status"] = status_schema()
    return {f"{name}.schema.json": schema for name, schema in out.items()}


def row_schema(columns: Sequence[Column], file: str, meaning: str, fields: Mapping[str, Field] | None = None) -> Schema:
    """The schema of one row as JSON: maps are objects, null is unknown, `fields` lends its ranges."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": file,
        "description": meaning,
        "type": "object",
        "required": [column.name for column in columns],
        "additionalProperties": False,
        "properties": {column.name: _column(column, (fields or {}).get(column.name)) for column in columns},
    }


def _column(column: Column, field: Field | None) -> Schema:
    schema = _type(column.type)
    schema["description"] = column.meaning
    schema["x-arrow-type"] = column.type
    schema["x-since-schema"] = column.since
    if column.unit:
        schema["x-unit"] = column.unit
    if column.name in CHOICES:
        schema["enum"] = list(CHOICES[column.name])
    if column.name in PATTERNS:
        schema["pattern"] = f"^{PATTERNS[column.name]}$"
    if field is not None:
        ends = {"minimum": field.low, "maximum": field.high}
        schema |= {end: limit for end, limit in ends.items() if math.isfinite(limit)}
    return _nullable(schema) if column.may_be_null else schema


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _type(text: str) -> Schema:
    """The JSON type of an Arrow type in words."""
    plain = {"string": "string", "bool": "boolean", "int32": "integer", "int64": "integer", "double": "number"}
    if text in plain:
        return {"type": plain[text]}
    if text == TEXT_MAP:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if text.startswith("list<"):
        return {"type": "array", "items": _type(text[5:-1])}
    members = dict(part.split(": ") for part in text.removeprefix("struct<").removesuffix(">").split(", "))
    return {
        "type": "object",
        "required": list(members),
        "additionalProperties": False,
        "properties": {name: _member(name, kind) for name, kind in members.items()},
    }


def _member(name: str, kind: str) -> Schema:
    if name == "code" and kind == "string":
        return {"type": "string", "pattern": CODE}
    return _nullable(_type(kind)) if name in ("value", "limit") else _type(kind)


def status_schema() -> Schema:
    """What `vividhead status --json` and `vividhead curate --json` print."""
    seconds: Schema = {"type": "number"}
    by_code: Schema = {"type": "object", "additionalProperties": seconds}
    texts: Schema = {"type": "array", "items": {"type": "string"}}
    count: Schema = {"type": "integer", "minimum": 0}
    clip: dict[str, Schema] = {
        "clip_id": {"type": "string", "pattern": f"^{PATTERNS['clip_id']}$"},
        "start_s_in_source": seconds,
        "end_s_in_source": seconds,
        "kept": {"type": "boolean", "description": "is it in a shard?"},
        "reasons": {**texts, "description": "codes of the rules it broke, or of what failed"},
    }
    source: dict[str, Schema] = {
        "uri": {"type": "string"},
        "sha256": {"type": ["string", "null"], "pattern": f"^{SHA256}$", "description": "null where unreadable"},
        "duration_s": seconds,
        "outcome": {"enum": ["kept", "rejected", "duplicate", "failed", "not_yet"]},
        "detail": {"type": "string"},
        "kept_s": seconds,
        "clips": {"type": "array", "items": _object(clip)},
        "reasons": {**by_code, "description": "every code with its seconds; they overlap where rules do"},
        "failures": {**texts, "description": "what failed in part, with the commands that reproduce it"},
    }
    whole = {
        "footage_s": {**seconds, "description": "all footage; the buckets of `seconds` sum to it"},
        "seconds": _object(dict.fromkeys(BUCKETS, seconds)),
        "why": {
            **_object(dict.fromkeys(BUCKETS, by_code), required=()),
            "description": "bucket → code → seconds without overlap; a bucket's codes sum to it",
        },
        "counts": _object(dict.fromkeys(("sources", "segments", "clips", "kept_clips"), count)),
        "sources": {"type": "array", "items": _object(source)},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vividhead status --json",
        "description": "Where every second of a dataset's footage went.",
        **_object(whole),
    }


def _object(properties: Mapping[str, Schema], required: Sequence[str] | None = None) -> Schema:
    names = list(properties) if required is None else list(required)
    return {"type": "object", "required": names, "additionalProperties": False, "properties": dict(properties)}
