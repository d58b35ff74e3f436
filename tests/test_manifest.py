"""Tables: columns with types, null for the unknown, the same bytes for the same rows."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hand_made import make_clip, make_segment, make_source
from hypothesis import given
from hypothesis import strategies as st

from vividhead.errors import DatasetError
from vividhead.manifest import (
    CLIPS,
    DECISIONS,
    MANIFEST,
    MEASUREMENTS,
    NEVER_NULL,
    SEGMENTS,
    SOURCES,
    TEXT_MAP,
    Column,
    arrow_type,
    clip_row,
    parquet,
    read,
    table,
)

TEXT = st.text("aZ0ü🎬 \n'\"\\", max_size=4)
KINDS = {
    "string": TEXT,
    "bool": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    TEXT_MAP: st.dictionaries(TEXT, TEXT, max_size=3),
    "list<int64>": st.lists(st.integers(0, 1000), max_size=3),
    "list<struct<code: string, value: double>>": st.lists(
        st.fixed_dictionaries({"code": TEXT, "value": st.none() | st.floats(allow_nan=False)}), max_size=3
    ),
}
COLUMNS = tuple(Column(f"c{number}", kind, "", "a test") for number, kind in enumerate(KINDS))
ROW = st.fixed_dictionaries({}, optional={c.name: st.none() | KINDS[c.type] for c in COLUMNS})


def back(data: bytes) -> list[dict[str, Any]]:
    import io

    import pyarrow.parquet

    found: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist(maps_as_pydicts="strict")
    return found


@given(st.lists(ROW, max_size=5))
def test_rows_come_back_as_they_were_with_null_for_what_was_left_out(rows: list[dict[str, Any]]) -> None:
    whole = [{c.name: row.get(c.name) for c in COLUMNS} for row in rows]
    assert back(parquet(table(COLUMNS, rows))) == whole


def test_the_same_rows_give_the_same_bytes_whatever_the_order_of_their_maps() -> None:
    about = (Column("attributes", TEXT_MAP, "", "a test"),)
    one = parquet(table(about, [{"attributes": {"a": "1", "b": "2"}}]))
    two = parquet(table(about, [{"attributes": {"b": "2", "a": "1"}}]))
    assert one == two == parquet(table(about, [{"attributes": {"a": "1", "b": "2"}}]))


@pytest.mark.parametrize("columns", [SOURCES, SEGMENTS, CLIPS, MEASUREMENTS, DECISIONS, MANIFEST])
def test_a_table_without_rows_has_its_columns_units_and_types(columns: tuple[Column, ...]) -> None:
    empty = table(columns, [])
    assert empty.num_rows == 0
    assert empty.column_names == [c.name for c in columns]
    for column in columns:
        field = empty.schema.field(column.name)
        assert field.type == arrow_type(column.type)
        assert field.metadata == {b"unit": column.unit.encode()}
        assert field.nullable == (column.name not in NEVER_NULL)


def test_types_in_words_are_arrows() -> None:
    stretch = pa.struct([("start_frame", pa.int64()), ("code", pa.string())])
    assert arrow_type("list<struct<start_frame: int64, code: string>>") == pa.list_(stretch)
    assert arrow_type(TEXT_MAP) == pa.map_(pa.string(), pa.string())
    assert arrow_type("list<int64>") == pa.list_(pa.int64())


def test_a_column_that_must_hold_a_value_is_not_written_without_one() -> None:
    rows = [{**clip_row(make_clip(make_segment(make_source()), 0, 100)), "crop_x0_px": None}]
    with pytest.raises(pa.ArrowInvalid, match="crop_x0_px"):
        parquet(table(CLIPS, rows))


def test_every_name_that_must_hold_a_value_is_a_columns() -> None:
    every = {c.name for columns in (SOURCES, SEGMENTS, CLIPS, MEASUREMENTS, DECISIONS, MANIFEST) for c in columns}
    assert every > NEVER_NULL


def test_a_clips_cells_hold_its_span_in_frames_and_seconds_and_its_crop() -> None:
    segment = make_segment(make_source())
    (row,) = back(parquet(table(CLIPS, [clip_row(make_clip(segment, 50, 150, track=2))])))
    assert (row["start_frame"], row["end_frame"], row["track"]) == (50, 150, 2)
    assert (row["start_s_in_source"], row["end_s_in_source"], row["duration_s"]) == (2.0, 6.0, 4.0)
    assert [row[f"crop_{edge}_px"] for edge in ("x0", "y0", "x1", "y1")] == [100, 0, 612, 512]
    assert row["segment_id"] == segment.segment_id


def test_text_that_is_no_utf8_is_written_with_escapes() -> None:
    about = (Column("uri", "string", "", "a test"), Column("attributes", TEXT_MAP, "", "a test"))
    row = {"uri": "caf\udce9\n'\".mp4", "attributes": {"k\udcff": "ünï"}}
    assert back(parquet(table(about, [row]))) == [{"uri": "caf\\udce9\n'\".mp4", "attributes": {"k\\udcff": "ünï"}}]


def test_infinity_and_zero_are_numbers_and_none_is_null() -> None:
    about = (Column("x", "double", "", "a test"),)
    found = back(parquet(table(about, [{"x": math.inf}, {"x": 0.0}, {"x": None}])))
    assert [row["x"] for row in found] == [math.inf, 0.0, None]


def test_a_table_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clips.parquet"
    with pytest.raises(DatasetError, match="clips.parquet is missing.*curate.*again"):
        read(path)
    whole = parquet(table(CLIPS, []))
    for damage in (b"", b"no parquet at all", whole[:-20], b"PAR1" + whole[4:-8] + b"\xff" * 4 + b"PAR1"):
        path.write_bytes(damage)
        with pytest.raises(DatasetError, match="clips.parquet is damaged"):
            read(path)
