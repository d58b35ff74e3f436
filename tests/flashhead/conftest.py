"""The published model's numbers, and one thread."""

from collections.abc import Iterator

import pytest
import torch

from tests.parity import Parity, parity

__all__ = ["Parity", "parity"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums over several threads are rounded otherwise: what must agree to the last bit runs on one, as ranks do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
