"""Tables larger than memory have the bytes of tables made at once."""

import random
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from faults.full_disk import full_disk

from vividhead import sheets
from vividhead.errors import StorageError
from vividhead.manifest import DECISIONS, MEASUREMENTS, Column, parquet, table
from vividhead.sheets import Sheet

COLUMNS = (*MEASUREMENTS, Column("blur", "double", "px", "how soft"))


def measured(count: int) -> list[dict[str, Any]]:
    made = random.Random(3)
    return [
        {
            "clip_id": f"{made.getrandbits(80):020x}", "status": made.choice(["measured", "skipped"]), "code": "",
            "detail": "so it was" * made.randrange(3), "version": 2, "fingerprint": "net-1",
            "unknown": {"blur": "dark"} if n % 7 == 0 else {}, "blur": made.random() if n % 3 else None,
        }
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 730])
def test_a_table_made_bit_by_bit_has_the_bytes_of_one_made_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    rows = measured(count)
    pyarrow.parquet.write_table(table(COLUMNS, rows), tmp_path / "a", compression="zstd", row_group_size=100)
    monkeypatch.setattr(sheets, "ROWS_AT_ONCE", 37)
    monkeypatch.setattr(sheets, "ROWS_OF_A_GROUP", 100)
    with Sheet(tmp_path / "b", COLUMNS) as sheet:
        for row in rows:
            sheet.add(row)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_lists_and_decisions_come_through_as_well(tmp_path: Path) -> None:
    reason = {"code": "a.b:low", "field": "a.b", "value": 1.0, "limit": None, "detail": "ö"}
    rows = [{"clip_id": str(n), "kept": n % 2 == 0, "reasons": [reason] * (n % 3)} for n in range(20)]
    with Sheet(tmp_path / "decisions", DECISIONS) as sheet:
        for row in rows:
            sheet.add(row)
    assert (tmp_path / "decisions").read_bytes() == parquet(table(DECISIONS, rows))


def test_a_table_that_is_given_up_leaves_the_older_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        with Sheet(tmp_path / "a", COLUMNS) as sheet:
            sheet.add(measured(1)[0])
            raise KeyboardInterrupt
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_full_disk_is_told_and_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "ROWS_AT_ONCE", 50)
    (tmp_path / "a").write_bytes(b"old")
    with full_disk(), pytest.raises(StorageError, match="a: "):
        with Sheet(tmp_path / "a", COLUMNS) as sheet:
            for row in measured(5000):
                sheet.add(row)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_what_hangs_on_a_table_is_told_before_it_changes_and_only_then(tmp_path: Path) -> None:
    seen: list[bytes | None] = []

    def before() -> None:
        seen.append((tmp_path / "a").read_bytes() if (tmp_path / "a").is_file() else None)

    for count in (3, 3, 4):
        with Sheet(tmp_path / "a", COLUMNS, before) as sheet:
            for row in measured(count):
                sheet.add(row)
    assert seen == [None, parquet(table(COLUMNS, measured(3)))]
