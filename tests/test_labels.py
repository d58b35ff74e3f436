"""Labels are added and never changed, and everybody reads the same ones."""

from pathlib import Path

import pytest

from vividhead.errors import DatasetError, UsageError
from vividhead.labels import MOST_LETTERS, Verdict, add_label, newest, read_labels


def said(dataset: Path, clip_id: str, label: Verdict, reason: str = "") -> None:
    add_label(dataset, clip_id, label, reason, "Ada", "0123456789abcdef")


def test_the_history_stays_and_the_newest_of_a_clip_counts(tmp_path: Path) -> None:
    assert read_labels(tmp_path) == []
    said(tmp_path, "a" * 20, "good")
    files = {path: path.read_bytes() for path in (tmp_path / "labels").iterdir()}
    said(tmp_path, "b" * 20, "bad", "hands  before\nthe mouth")
    said(tmp_path, "a" * 20, "bad", "turns away")
    found = read_labels(tmp_path)
    assert [(one.clip_id[0], one.label, one.reason) for one in found] == [
        ("a", "good", ""), ("b", "bad", "hands before the mouth"), ("a", "bad", "turns away"),
    ]  # fmt: skip
    assert {clip_id[0]: one.label for clip_id, one in newest(found).items()} == {"a": "bad", "b": "bad"}
    assert all(path.read_bytes() == data for path, data in files.items())
    assert found == sorted(found, key=lambda one: one.at_utc) and {one.by for one in found} == {"Ada"}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    said(tmp_path, "a" * 20, "good")
    (path,) = (tmp_path / "labels").iterdir()
    path.write_text(path.read_text().replace('"good"', '"fine"'))
    with pytest.raises(DatasetError, match=f"{path.name} is damaged"):
        read_labels(tmp_path)


def test_a_reason_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{MOST_LETTERS} letters"):
        said(tmp_path, "a" * 20, "good", "x" * (MOST_LETTERS + 1))
    assert read_labels(tmp_path) == []
