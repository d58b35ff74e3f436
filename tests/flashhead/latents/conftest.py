"""A small dataset and its cached latents."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.packed import packed_dataset
from vividhead.flashhead.config import FlashHeadConfig, load_config
from vividhead.flashhead.latents import work
from vividhead.flashhead.latents.maker import Made, Order, make_latents


@pytest.fixture(scope="session")
def config() -> FlashHeadConfig:
    """Nano as small as it gets."""
    nano = load_config("nano")
    return replace(
        nano,
        name="tiny",
        dit=replace(nano.dit, dim=24, ffn_dim=32, heads=2, layers=1, latent_channels=8),
        stream=replace(nano.stream, side_px=32),
    )


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven kept clips in several shards. To be read only."""
    return packed_dataset(tmp_path_factory.mktemp("packed") / "dataset")


@pytest.fixture(scope="session")
def whole(packed: Path, config: FlashHeadConfig, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The latents of a copy of it, made without disturbance by one worker in groups of four seconds. Read only."""
    dataset = shutil.copytree(packed, tmp_path_factory.mktemp("whole") / "dataset")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "GROUP_S", 4.0)
        return make_latents(Order(dataset=str(dataset), config=config, on="local", workers=1))


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `whole` was made."""
    monkeypatch.setattr(work, "GROUP_S", 4.0)


@pytest.fixture
def dataset(whole: Made, tmp_path: Path) -> Path:
    """A copy of the dataset with its latents, to be spoilt."""
    return shutil.copytree(whole.cache.parents[1], tmp_path / "dataset")
