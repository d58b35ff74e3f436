"""The published models' numbers, and one thread."""

from tests.flashhead.conftest import one_thread
from tests.parity import parity

__all__ = ["one_thread", "parity"]
