"""What holds for all tests of training."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.packed import packed_dataset
from vividhead.flashhead.model import flops


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven clips, of which six are long enough for a window."""
    return packed_dataset(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums over several threads are rounded otherwise: what must agree to the last bit runs on one, as ranks do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def a_peak_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate that utilisation is a share of, from products that take no second."""
    monkeypatch.setattr(flops, "MATMUL_SIDE", {"cpu": 64})
