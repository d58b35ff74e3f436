"""Footage and its undisturbed curation, made once for all tests of whole runs. Imports wait for who needs them."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from faults.film import Film


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background: what we start would be deaf to Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # how fast an example is drawn or run says nothing on a machine that is shared


@pytest.fixture(scope="session", autouse=True)
def _own_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever signs in a test, in a process of its own too, uses a certificate that goes with the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIVIDHEAD_SIGNING", str(tmp_path_factory.mktemp("certificate") / "signing"))
        yield


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> "Film":
    """Six small files; see `faults.film`."""
    from faults.film import make_film

    return make_film(tmp_path_factory.mktemp("footage"))


@dataclass(frozen=True, slots=True)
class Whole:
    """The film's dataset, made without disturbance by one local worker. Copy it before changing it."""

    dataset: Path
    tree: dict[str, str]


@pytest.fixture(scope="session")
def whole(film: "Film", tmp_path_factory: pytest.TempPathFactory) -> Whole:
    from faults.trees import tree

    from vividhead.main_job import curate

    dataset = curate(film.folder, tmp_path_factory.mktemp("whole") / "dataset", on="local", workers=1)
    return Whole(dataset, tree(dataset))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real footage, beside the project or where VIVIDHEAD_SHARED says."""
    folder = Path(os.environ.get("VIVIDHEAD_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "footage" / "footage.csv").is_file():
        pytest.skip(f"no real footage in {folder}; set VIVIDHEAD_SHARED to the folder that holds footage/")
    return folder
