"""A dataset read in parts."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from packed import SIDE

from vividhead import ShardDataset, WindowPlan
from vividhead.errors import DatasetError, UsageError
from vividhead.manifest import parquet, read

PLAN = WindowPlan(frames_per_chunk=17, motion_frames=5, audio_s=1.0)


@pytest.fixture
def parted(packed: Path, tmp_path: Path) -> Path:
    """A copy whose clips alternate between train and val."""
    path = shutil.copytree(packed, tmp_path / "dataset")
    ids = read(path / "manifest.parquet")["clip_id"].to_pylist()
    parts = ["train" if at % 2 else "val" for at in range(len(ids))]
    (path / "splits").mkdir()
    (path / "splits" / "splits.parquet").write_bytes(parquet(pa.table({"clip_id": ids[::-1], "split": parts[::-1]})))
    return path


def clips(path: Path, split: str | None) -> set[str]:
    return set(ShardDataset(path, PLAN, side_px=SIDE, split=split).clip_ids)


def test_each_part_holds_its_clips_and_together_they_hold_all(parted: Path) -> None:
    train, val = clips(parted, "train"), clips(parted, "val")
    assert train and val and not train & val
    assert train | val == clips(parted, None)


def test_a_dataset_that_is_not_split_says_how_to(packed: Path) -> None:
    with pytest.raises(DatasetError, match="vividhead split"):
        clips(packed, "train")


def test_clips_that_came_after_the_split_are_not_passed_over_in_silence(parted: Path) -> None:
    table = parted / "splits" / "splits.parquet"
    table.write_bytes(parquet(read(table).slice(1)))
    with pytest.raises(DatasetError, match="1 clips .* came after"):
        clips(parted, "train")


def test_a_part_without_clips_names_those_there_are(parted: Path) -> None:
    with pytest.raises(UsageError, match="train, val"):
        clips(parted, "test")
