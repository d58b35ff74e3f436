"""A dataset parted, out of its own shards."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import Whole

from vividhead.audit.splits import SplitOptions, split
from vividhead.errors import UsageError
from vividhead.manifest import parquet, read


@pytest.fixture
def dataset(whole: Whole, tmp_path: Path) -> Path:
    return shutil.copytree(whole.dataset, tmp_path / "dataset")


def test_every_kept_clip_gets_one_part_and_components_stay_whole(dataset: Path) -> None:
    report = split(dataset, SplitOptions(ratios=(0.5, 0.25, 0.25)))
    rows = read(dataset / "splits" / "splits.parquet").to_pylist()
    assert sorted(row["clip_id"] for row in rows) == sorted(read(dataset / "manifest.parquet")["clip_id"].to_pylist())
    assert sum(report.clips.values()) == len(rows) > 0
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row["component"], set()).add(row["split"])
    assert all(len(names) == 1 for names in parts.values()) and len(parts) == report.components
    assert report.not_measured == ("voice",) and report.damaged == ()
    assert json.loads((dataset / "splits" / "split.json").read_text())["asked"]["ratios"] == [0.5, 0.25, 0.25]


def test_a_second_run_reads_the_prints_back_and_writes_the_same(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split(dataset, SplitOptions())
    first = {p.name: p.read_bytes() for p in (dataset / "splits").rglob("*") if p.is_file()}

    def must_not(*_: object) -> None:
        raise AssertionError("a print was made again")

    monkeypatch.setattr("vividhead.audit.splits.printed", must_not)
    split(dataset, SplitOptions())
    assert {p.name: p.read_bytes() for p in (dataset / "splits").rglob("*") if p.is_file()} == first


def test_a_damaged_clip_is_named_and_stays_with_its_source(dataset: Path) -> None:
    kept = read(dataset / "manifest.parquet").to_pylist()[0]
    shard = dataset / "shards" / kept["shard"]
    with shard.open("r+b") as file:
        file.seek(kept["mp4_offset"] + 100)
        file.write(b"spoilt")
    report = split(dataset, SplitOptions())
    assert report.damaged == (kept["clip_id"],)
    assert kept["clip_id"] in read(dataset / "splits" / "splits.parquet")["clip_id"].to_pylist()


def test_an_attribute_that_no_clip_has_is_refused(dataset: Path) -> None:
    with pytest.raises(UsageError, match="--same shoe_size"):
        split(dataset, SplitOptions(same=("shoe_size",)))


def test_prints_of_clips_that_left_the_dataset_leave_too(dataset: Path) -> None:
    split(dataset, SplitOptions())
    prints = dataset / "splits" / "prints"
    (path,) = prints.glob("*.parquet")
    row = read(path).slice(0, 1)
    import pyarrow as pa

    gone = row.set_column(0, row.schema.field(0), pa.array(["0" * 20]))
    path.write_bytes(parquet(pa.concat_tables([read(path), gone])))
    (prints / "train-000099.parquet").write_bytes(parquet(gone))
    split(dataset, SplitOptions())
    assert [p.name for p in prints.glob("*.parquet")] == [path.name]
    assert "0" * 20 not in read(path)["clip_id"].to_pylist()
