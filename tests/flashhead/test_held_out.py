"""Clips that no model learns from: those of the parts val and test, or a share of all by their names."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tests.flashhead.train.tiny_runs import tiny
from tests.packed import packed_dataset
from vividhead.errors import DatasetError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.held_out import held_out, plan_of
from vividhead.flashhead.train.feeding import datasets
from vividhead.flashhead.train.loop import Order
from vividhead.loader import ShardDataset
from vividhead.manifest import parquet


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed_dataset(tmp_path_factory.mktemp("packed"))


@pytest.fixture
def dataset(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "dataset"))


@pytest.fixture
def config(tmp_path: Path) -> FlashHeadConfig:
    return tiny(tmp_path)


def usable(dataset: Path, config: FlashHeadConfig) -> list[str]:
    return sorted(ShardDataset(dataset, plan_of(config, 1), side_px=32).clip_ids)


def part(dataset: Path, config: FlashHeadConfig, **parts: list[str]) -> None:
    named = {clip: name for name, clips in parts.items() for clip in clips}
    every = ShardDataset(dataset, replace(plan_of(config, 1), frames_per_chunk=5, motion_frames=1), side_px=32)
    ids = sorted({*every.clip_ids, *named})
    (dataset / "splits").mkdir(exist_ok=True)
    table = pa.table({"clip_id": ids, "split": [named.get(clip, "train") for clip in ids]})
    (dataset / "splits" / "splits.parquet").write_bytes(parquet(table))


def test_a_dataset_that_is_not_split_gives_up_a_share_that_more_footage_leaves_alone(
    dataset: Path, config: FlashHeadConfig
) -> None:
    kept = held_out(str(dataset), config, 0.34)
    assert len(kept.judged_by) == 2 and kept.unlearned == sorted(kept.judged_by)
    assert held_out(str(dataset), config, 0.2).judged_by == kept.judged_by[:1]
    assert held_out(str(dataset), config, 0).unlearned == []


def test_of_a_split_dataset_train_alone_is_learned_from_and_val_judges(
    dataset: Path, config: FlashHeadConfig, tmp_path: Path
) -> None:
    clips = usable(dataset, config)
    part(dataset, config, val=clips[1:3], test=clips[4:5])
    kept = held_out(str(dataset), config, 0.2)
    assert kept.judged_by == clips[1:3] and kept.unlearned == sorted([*clips[1:3], clips[4]])
    (tmp_path / "run" / "stage1").mkdir(parents=True)
    training, held = datasets(Order(dataset=str(dataset), config=config, stage=1, run=tmp_path / "run"))
    assert held is not None and set(held.clip_ids) == set(clips[1:3])
    assert set(training.clip_ids) == set(clips) - set(kept.unlearned)


def test_without_a_part_val_a_share_of_train_judges_and_test_stays_unseen(
    dataset: Path, config: FlashHeadConfig
) -> None:
    first = held_out(str(dataset), config, 0.2).judged_by[0]
    part(dataset, config, test=[first])
    kept = held_out(str(dataset), config, 0.2)
    assert first not in kept.judged_by and len(kept.judged_by) == 1
    assert kept.unlearned == sorted([first, *kept.judged_by])


def test_clips_that_came_after_the_split_are_asked_about(dataset: Path, config: FlashHeadConfig) -> None:
    clips = usable(dataset, config)
    part(dataset, config, val=clips[:1])
    table = pa.table({"clip_id": clips[:2], "split": ["val", "train"]})
    (dataset / "splits" / "splits.parquet").write_bytes(parquet(table))
    with pytest.raises(DatasetError, match=r"came after it was split; run `vividhead split .*` again"):
        held_out(str(dataset), config, 0.2)
