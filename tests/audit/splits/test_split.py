"""A dataset parted, out of its own shards."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import Whole

from vividhead.audit.splits import SplitOptions, _links, split
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


def test_other_ratios_or_another_seed_than_the_earlier_ones_are_refused_with_the_way_out(dataset: Path) -> None:
    asked = SplitOptions(ratios=(0.5, 0.25, 0.25), seed=7)
    split(dataset, asked)
    first = (dataset / "splits" / "splits.parquet").read_bytes()
    for other in (replace(asked, ratios=(0.9, 0.05, 0.05)), replace(asked, seed=0)):
        with pytest.raises(UsageError, match=r"--ratios 0\.5,0\.25,0\.25 --seed 7.*--anew"):
            split(dataset, other)
    for same in (asked, SplitOptions()):
        split(dataset, same)
        assert (dataset / "splits" / "splits.parquet").read_bytes() == first
    split(dataset, SplitOptions(seed=0, anew=True))
    said = json.loads((dataset / "splits" / "split.json").read_text())["asked"]
    assert (said["seed"], said["ratios"]) == (0, [0.9, 0.05, 0.05])


def test_each_part_has_its_list_and_an_empty_one_has_none(dataset: Path) -> None:
    for ratios in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)):
        split(dataset, SplitOptions(ratios=ratios, anew=True))
        whole = read(dataset / "splits" / "splits.parquet").to_pylist()
        parts = {path.stem: read(path).to_pylist() for path in (dataset / "splits").glob("t*.parquet")}
        assert parts == {"train" if ratios[0] else "test": whole}


def test_a_damaged_clip_is_named_and_stays_with_its_source(dataset: Path) -> None:
    kept = read(dataset / "manifest.parquet").to_pylist()[0]
    shard = dataset / "shards" / kept["shard"]
    with shard.open("r+b") as file:
        file.seek(kept["mp4_offset"] + 100)
        file.write(b"spoilt")
    report = split(dataset, SplitOptions())
    assert report.damaged == (kept["clip_id"],)
    assert kept["clip_id"] in read(dataset / "splits" / "splits.parquet")["clip_id"].to_pylist()


def test_a_voice_column_of_the_source_list_joins_sources_without_being_asked_for() -> None:
    rows = [{"attributes": {"voice": voice} if voice else {}, "given_id": None} for voice in ("ada", "", "ada", "bo")]
    prints = [dict.fromkeys(("pictures", "sounds", "heard"), b"") for _ in rows]
    links = _links(rows, prints, np.arange(4), SplitOptions())
    assert [(link.kind, link.a, link.b) for link in links] == [("voice", 0, 2)]
    assert [link.kind for link in _links(rows, prints, np.arange(4), SplitOptions(same=("voice",)))] == ["voice"]


def test_voice_is_said_to_be_unmeasured_unless_the_list_tells_it(dataset: Path) -> None:
    assert split(dataset, SplitOptions()).not_measured == ("voice",)
    path = dataset / "manifest.parquet"
    table = read(path)
    at = table.schema.get_field_index("attributes")
    told = pa.array([[("voice", "ada")]] * len(table), table.schema.field(at).type)
    path.write_bytes(parquet(table.set_column(at, table.schema.field(at), told)))
    assert split(dataset, SplitOptions()).not_measured == ()


def test_an_attribute_that_no_clip_has_is_refused(dataset: Path) -> None:
    with pytest.raises(UsageError, match="--same shoe_size"):
        split(dataset, SplitOptions(same=("shoe_size",)))


def test_prints_of_clips_that_left_the_dataset_leave_too(dataset: Path) -> None:
    split(dataset, SplitOptions())
    prints = dataset / "splits" / "prints"
    (path,) = prints.glob("*.parquet")
    row = read(path).slice(0, 1)
    gone = row.set_column(0, row.schema.field(0), pa.array(["0" * 20]))
    path.write_bytes(parquet(pa.concat_tables([read(path), gone])))
    (prints / "train-000099.parquet").write_bytes(parquet(gone))
    split(dataset, SplitOptions())
    assert [p.name for p in prints.glob("*.parquet")] == [path.name]
    assert "0" * 20 not in read(path)["clip_id"].to_pylist()
