"""Ways to spoil a dataset, each as small as can be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet

from vividhead.manifest import parquet, read


def change_rows(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Rewrite a table with other rows, in its own schema."""
    table = read(path)
    rows = change(table.to_pylist())
    path.write_bytes(parquet(pyarrow.Table.from_pylist(rows, schema=table.schema)))


def set_cell(path: Path, row: int, **cells: Any) -> None:
    """Change cells of one row."""

    def changed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows[row] = {**rows[row], **cells}
        return rows

    change_rows(path, changed)


def flip_byte(path: Path, at: int) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)
