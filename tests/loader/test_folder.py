"""A dataset behind an address is read as one in a folder."""

from pathlib import Path

import pytest

from tests.packed import SIDE
from vividhead.errors import DatasetError, UsageError
from vividhead.loader import ShardDataset, WindowPlan
from vividhead.loader.folder import Folder


def keys(where: str | Path, workers: int = 0) -> list[tuple[str, int, int]]:
    data = ShardDataset(where, WindowPlan(), side_px=SIDE, where="n_frames > 60")
    batches = data.loader(3, workers=workers)
    return [
        (clip, start, int(video.sum()))
        for batch in batches
        for clip, start, video in zip(batch.clip_id, batch.start_frame_B.tolist(), batch.video_BTHWC, strict=True)
    ]


def test_an_address_and_a_folder_give_the_same_windows(packed: Path) -> None:
    assert keys(packed.as_uri()) == keys(packed) == keys(f"{packed.as_uri()}/")


def test_an_address_is_read_by_workers_that_open_it_themselves(packed: Path) -> None:
    assert keys(packed.as_uri(), workers=1) == keys(packed)


def test_an_addresss_shards_are_checked_at_the_start(dataset: Path) -> None:
    shard = min((dataset / "shards").glob("*.tar"))
    assert Folder(dataset.as_uri()).shard_sizes() == Folder(str(dataset)).shard_sizes()
    shard.unlink()
    with pytest.raises(DatasetError, match=f"{shard.name} is missing"):
        ShardDataset(dataset.as_uri(), WindowPlan(), side_px=SIDE)


def test_an_address_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"file:.* is no dataset that can be read: run.toml"):
        ShardDataset(tmp_path.as_uri(), WindowPlan(), side_px=SIDE)


def test_damaged_files_behind_an_address_are_named(dataset: Path) -> None:
    (dataset / "manifest.parquet").write_bytes(b"no table")
    with pytest.raises(DatasetError, match="manifest.parquet is damaged"):
        ShardDataset(dataset.as_uri(), WindowPlan(), side_px=SIDE)
    (dataset / "run.toml").write_bytes(b"no = ")
    with pytest.raises(DatasetError, match="run.toml is damaged"):
        ShardDataset(dataset.as_uri(), WindowPlan(), side_px=SIDE)


@pytest.mark.parametrize("where", ["https://example.org/dataset", "az://bucket/dataset"])
def test_an_address_that_cannot_be_read_is_refused_with_those_that_can(where: str) -> None:
    with pytest.raises(UsageError, match="cannot be read; a local folder can, and file://, gs://"):
        ShardDataset(where, WindowPlan(), side_px=SIDE)
    with pytest.raises(UsageError, match="cannot be read"):
        Folder(where).run()
