"""An inspector over the film's dataset, and one over made-up tables."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Whole

from tests.audit.inspect.server import Inspector, inspecting
from vividhead.testing.large_dataset import make_large_dataset

HOSTILE = "<img src=x onerror=\"document.title='owned'\">'; DROP TABLE clips; --.mp4"


@pytest.fixture(scope="session")
def inspected(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the film's dataset that only labels are added to."""
    return shutil.copytree(whole.dataset, tmp_path_factory.mktemp("inspected") / "dataset")


@pytest.fixture(scope="session")
def inspector(inspected: Path) -> Iterator[Inspector]:
    with inspecting(inspected) as server:
        yield server


@pytest.fixture(scope="session")
def tables_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand clips without media, one source of a hostile name."""
    import pyarrow as pa

    from vividhead.manifest import parquet, read

    path = make_large_dataset(tmp_path_factory.mktemp("large"), 2000)
    sources = read(path / "sources.parquet")
    ready = sources["outcome"].to_pylist().index("ready")
    at = sources.schema.get_field_index("uri")
    uris = sources["uri"].to_pylist()
    uris[ready] = HOSTILE
    table = sources.set_column(at, sources.schema.field(at), pa.array(uris, pa.string()))
    (path / "sources.parquet").write_bytes(parquet(table))
    return path


@pytest.fixture(scope="session")
def large(tables_only: Path) -> Iterator[Inspector]:
    with inspecting(tables_only) as server:
        yield server
