"""One server for the tests that need no other."""

from collections.abc import Iterator

import pytest
import torch

from tests.serve.server import Served, serving


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    torch.manual_seed(0)
    with serving() as server:
        yield server
