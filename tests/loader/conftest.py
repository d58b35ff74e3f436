"""A small dataset to load from."""

import shutil
from pathlib import Path

import pytest

from tests.packed import packed_dataset


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven kept clips in several shards. To be read only: `dataset` is a copy that a test may spoil."""
    return packed_dataset(tmp_path_factory.mktemp("packed"))


@pytest.fixture
def dataset(packed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(packed, tmp_path / "dataset")
