"""What holds for all tests of training."""

from pathlib import Path

import pytest

from tests.packed import packed_dataset
from vividhead.flashhead.model import flops


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven clips, of which six are long enough for a window."""
    return packed_dataset(tmp_path_factory.mktemp("packed"))


@pytest.fixture(autouse=True)
def a_peak_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate that utilisation is a share of, from products that take no second."""
    monkeypatch.setattr(flops, "MATMUL_SIDE", {"cpu": 64})
