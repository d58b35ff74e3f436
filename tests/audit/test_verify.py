"""Faults put into a dataset are found, each with its file and row; a sound one has none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Whole
from packed import packed_dataset

from audit.spoilt import change_rows, flip_byte, set_cell
from vividhead.audit.findings import MOST_NAMED, Findings
from vividhead.audit.verify import verify
from vividhead.cli import main
from vividhead.errors import DatasetError
from vividhead.manifest import parquet, read
from vividhead.pipeline import load_pipeline
from vividhead.policy import load_policy
from vividhead.shipped import shipped
from vividhead.testing.large_dataset import make_large_dataset


@pytest.fixture(scope="module")
def tabled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hundred clips, tables alone."""
    return make_large_dataset(tmp_path_factory.mktemp("large") / "dataset", 300, seed=1)


@pytest.fixture
def dataset(tabled: Path, tmp_path: Path) -> Path:
    """The same, to spoil."""
    shutil.copytree(tabled, tmp_path / "dataset")
    return tmp_path / "dataset"


def places(found: Findings) -> set[tuple[str, str, int | None]]:
    return {(f.check, f.path, f.row) for f in found.findings}


def test_a_sound_dataset_has_no_findings(whole: Whole, tabled: Path) -> None:
    found = verify(whole.dataset, deep=True)
    assert found.findings == []
    assert found.checked["clips decoded"] == 1 and found.checked["decisions"] == 2
    assert verify(tabled).findings == []


def test_the_example_of_the_contract_lacks_nothing_but_its_shards() -> None:
    found = verify(shipped("manifests") / "example")
    assert {(f.check, f.detail) for f in found.findings} == {("shard", "it is missing")}


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no dataset"):
        verify(tmp_path)


DECISIONS = f"decisions/{load_policy('talking-head', load_pipeline().measure.scores).digest}/decisions.parquet"
POSE = "measurements/head_pose/measurements.parquet"


def test_a_clip_whose_row_was_dropped_leaves_a_hole_and_strangers(dataset: Path) -> None:
    gone = read(dataset / "clips.parquet").to_pylist()[7]
    change_rows(dataset / "clips.parquet", lambda rows: rows[:7] + rows[8:])
    found = places(verify(dataset))
    segment = read(dataset / "segments.parquet")["segment_id"].to_pylist().index(gone["segment_id"])
    assert ("seconds", "segments.parquet", segment) in found
    assert ("key", DECISIONS, 7) in found and ("key", POSE, 7) in found


def test_a_dropped_decision_is_named_by_its_clip(dataset: Path) -> None:
    change_rows(dataset / DECISIONS, lambda rows: rows[:20] + rows[21:])
    assert ("key", "clips.parquet", 20) in places(verify(dataset))


def test_an_altered_decision_is_told_from_what_the_measurements_give(dataset: Path) -> None:
    kept = read(dataset / DECISIONS)["kept"].to_pylist()
    row = kept.index(False)
    set_cell(dataset / DECISIONS, row, kept=True, reasons=[])
    found = verify(dataset)
    assert {("decision", DECISIONS, row)} <= places(found)
    (detail,) = [f.detail for f in found.findings if f.row == row and "measurements give" in f.detail]
    assert detail.startswith("stored kept; the measurements give rejected (")


@pytest.mark.parametrize("part", ["value", "limit", "code", "detail"])
def test_a_forged_reason_is_found(dataset: Path, part: str) -> None:
    rows = read(dataset / DECISIONS).to_pylist()
    low = next(i for i, r in enumerate(rows) if any(x["code"].endswith(":low") for x in r["reasons"]))
    reasons = [dict(reason) for reason in rows[low]["reasons"]]
    at = next(i for i, reason in enumerate(reasons) if reason["code"].endswith(":low"))
    reasons[at][part] = 0.123 if part in ("value", "limit") else "framing.crop_side_px_in_source:low"
    set_cell(dataset / DECISIONS, low, reasons=reasons)
    assert places(verify(dataset)) == {("decision", DECISIONS, low)}


def test_an_altered_measurement_makes_its_decision_and_its_manifest_row_wrong(dataset: Path) -> None:
    clip_id = read(dataset / "manifest.parquet")["clip_id"][3].as_py()
    row = read(dataset / POSE)["clip_id"].to_pylist().index(clip_id)
    set_cell(dataset / POSE, row, yaw_deg_p95=80.0)
    assert places(verify(dataset)) == {("decision", DECISIONS, row), ("key", "manifest.parquet", 3)}


def test_a_doubled_id_is_named_with_the_row_it_repeats(dataset: Path) -> None:
    change_rows(dataset / "clips.parquet", lambda rows: [*rows, rows[5]])
    found = verify(dataset)
    assert [f.detail for f in found.findings if f.check == "unique"] == [
        f"{read(dataset / 'clips.parquet')['clip_id'][5]} is there already, in row 5"
    ]


def spoil_segment(dataset: Path) -> None:
    set_cell(dataset / "clips.parquet", 4, segment_id="0" * 16 + "-0000000")


def spoil_span(dataset: Path) -> None:
    end = read(dataset / "clips.parquet")["end_frame"][4].as_py()
    set_cell(dataset / "clips.parquet", 4, start_frame=end, start_s_in_source=end / 25, duration_s=0.0)


def spoil_seconds(dataset: Path) -> None:
    set_cell(dataset / "clips.parquet", 4, duration_s=1.0)


def spoil_status(dataset: Path) -> None:
    set_cell(dataset / POSE, 4, status="guessed")


def spoil_range(dataset: Path) -> None:
    measured = read(dataset / POSE)["status"].to_pylist().index("measured")
    set_cell(dataset / POSE, measured, coverage=1.5)


def spoil_id(dataset: Path) -> None:
    set_cell(dataset / "segments.parquet", 2, segment_id="../../etc")


def spoil_source(dataset: Path) -> None:
    frames = read(dataset / "sources.parquet")["n_frames"][1].as_py()
    set_cell(dataset / "sources.parquet", 1, n_frames=frames + 100, duration_s=(frames + 100) / 25)


def spoil_duration(dataset: Path) -> None:
    set_cell(dataset / "sources.parquet", 1, duration_s=0.5)


def spoil_shard(dataset: Path) -> None:
    (dataset / "shards" / "train-000000.tar").unlink()


def spoil_offset(dataset: Path) -> None:
    set_cell(dataset / "manifest.parquet", 2, mp4_offset=100)


def spoil_copy(dataset: Path) -> None:
    n_frames = read(dataset / "manifest.parquet")["n_frames"][2].as_py()
    set_cell(dataset / "manifest.parquet", 2, start_frame=1, end_frame=1 + n_frames)


def spoil_kept(dataset: Path) -> None:
    change_rows(dataset / "manifest.parquet", lambda rows: rows[:2] + rows[3:])


SPOILS: list[tuple[Callable[[Path], None], str, str]] = [
    (spoil_segment, "key", "clips.parquet"),
    (spoil_span, "span", "clips.parquet"),
    (spoil_seconds, "span", "clips.parquet"),
    (spoil_status, "schema", POSE),
    (spoil_range, "schema", POSE),
    (spoil_id, "schema", "segments.parquet"),
    (spoil_source, "seconds", "sources.parquet"),
    (spoil_duration, "seconds", "sources.parquet"),
    (spoil_shard, "shard", "shards/train-000000.tar"),
    (spoil_offset, "shard", "manifest.parquet"),
    (spoil_copy, "key", "manifest.parquet"),
    (spoil_kept, "decision", DECISIONS),
]


@pytest.mark.parametrize(("spoil", "check", "path"), SPOILS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_fault_is_found_in_its_file(dataset: Path, spoil: Callable[[Path], None], check: str, path: str) -> None:
    spoil(dataset)
    assert (check, path) in {(f.check, f.path) for f in verify(dataset).findings}


def test_a_missing_column_and_a_strange_one_are_named(dataset: Path) -> None:
    table = read(dataset / "clips.parquet")
    (dataset / "clips.parquet").write_bytes(parquet(table.rename_columns([*table.column_names[:-1], "crop_y2_px"])))
    details = {f.detail for f in verify(dataset).findings if f.path == "clips.parquet"}
    assert details == {"column crop_y1_px is missing", "column crop_y2_px is not in the contract"}


def test_a_torn_table_is_a_finding_not_an_end(dataset: Path) -> None:
    path = dataset / POSE
    path.write_bytes(path.read_bytes()[:-100])
    assert ("schema", POSE, None) in places(verify(dataset))


def test_many_findings_of_a_kind_are_counted_not_listed(dataset: Path) -> None:
    change_rows(dataset / "clips.parquet", lambda rows: [{**row, "duration_s": 0.25} for row in rows])
    found = verify(dataset)
    named = [f for f in found.findings if (f.check, f.path) == ("span", "clips.parquet")]
    assert len(named) == MOST_NAMED and found.unnamed["span clips.parquet"] == 300 - MOST_NAMED
    assert found.total == len(found.findings) + 300 - MOST_NAMED
    assert f"span  clips.parquet: {300 - MOST_NAMED} more rows" in found.told()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Clips that are really encoded, in several shards."""
    return packed_dataset(tmp_path)


def deep(dataset: Path) -> set[tuple[str, str, int | None]]:
    """Findings about shards and media; the source of these clips is made up."""
    return {place for place in places(verify(dataset, deep=True)) if place[0] in ("shard", "digest", "media")}


def test_a_flipped_byte_is_found_in_its_shard_and_its_clip(packed: Path) -> None:
    assert deep(packed) == set()
    row: Any = read(packed / "manifest.parquet").to_pylist()[2]
    flip_byte(packed / "shards" / row["shard"], row["flac_offset"] + row["flac_bytes"] // 2)
    found = deep(packed)
    assert ("digest", f"shards/{row['shard']}", None) in found and ("digest", "manifest.parquet", 2) in found
    assert not any(place[2] not in (None, 2) for place in found)


def test_swapped_digests_are_found_in_both_rows(packed: Path) -> None:
    rows = read(packed / "manifest.parquet").to_pylist()
    set_cell(packed / "manifest.parquet", 0, mp4_sha256=rows[1]["mp4_sha256"])
    set_cell(packed / "manifest.parquet", 1, mp4_sha256=rows[0]["mp4_sha256"])
    assert deep(packed) == {("digest", "manifest.parquet", 0), ("digest", "manifest.parquet", 1)}


def test_a_clip_of_another_length_than_its_row_is_found_by_decoding(packed: Path) -> None:
    row = read(packed / "manifest.parquet").to_pylist()[4]
    set_cell(packed / "manifest.parquet", 4, n_frames=row["n_frames"] + 1, end_frame=row["end_frame"] + 1)
    details = [f.detail for f in verify(packed, deep=True).findings if f.check == "media"]
    assert any(f"pictures, not {row['n_frames'] + 1}" in d for d in details)
    assert any(".flac has" in d for d in details)


def test_the_command_says_it_all_and_ends_with_one(
    dataset: Path, tabled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tabled)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is wrong"
    spoil_seconds(dataset)
    assert main(["verify", str(dataset), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False and told["total"] == len(told["findings"]) > 0
    assert {"check", "path", "row", "detail"} == told["findings"][0].keys()
