"""A disk that is full, for as long as a test's own lines run."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(free_bytes: int = 20_000) -> Iterator[None]:
    """No file may grow beyond `free_bytes`. Never a fixture: pytest reports before a fixture ends, and its log is a
    file as any other."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
