"""A dataset's tables as columns."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from vividhead.audit.tables import Tables


def dataset(folder: Path, **tables: Sequence[str]) -> Tables:
    """Tables with these clips, two to a row group."""
    (folder / "run.toml").write_text("[versions]\nschema = 1\n", encoding="utf-8")
    for name, ids in tables.items():
        rows = pa.table({"score": [0.5] * len(ids), "clip_id": pa.array(ids, pa.string())})
        pa.parquet.write_table(rows, folder / f"{name}.parquet", row_group_size=2)
    return Tables(folder)


def test_a_column_lies_in_two_files_alike_when_it_holds_the_same_in_the_same_order(tmp_path: Path) -> None:
    ids = ["a", "b", "c"]
    tables = dataset(tmp_path, clips=ids, manifest=ids, segments=["a", "c", "b"], sources=["a", "b"])
    stored = tables.stored("clips", "clip_id")
    assert [group[0] for group in stored] == [2, 1]
    assert tables.stored("manifest", "clip_id") == stored
    assert tables.stored("segments", "clip_id") != stored
    assert tables.stored("sources", "clip_id") != stored


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_a_column_is_told_apart_with_or_without_a_dictionary(tmp_path: Path, use_dictionary: bool) -> None:
    tables = dataset(tmp_path, clips=[])
    for name, ids in {"clips": ["a", "b"], "manifest": ["b", "a"], "segments": ["c", "b"]}.items():
        rows = pa.table({"clip_id": pa.array(ids, pa.string())})
        pa.parquet.write_table(
            rows, tmp_path / f"{name}.parquet", use_dictionary=use_dictionary, write_statistics=False
        )
    stored = [tables.stored(name, "clip_id") for name in ("clips", "manifest", "segments")]
    assert stored[0] != stored[1] and stored[0] != stored[2]
