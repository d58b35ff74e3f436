"""One short take that several tests look at, and the small pictures that files are made of."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.testing import Actor, Speech, Take, speak, talking_head

Picture = NDArray[np.uint8]


@pytest.fixture(scope="session")
def sentence() -> Speech:
    """About three seconds of speech at 16 kHz."""
    return speak("We saw mama baking apple pies on the farm, and a boat far out.")


@pytest.fixture(scope="session")
def take(sentence: Speech) -> Take:
    """A talking head of three seconds."""
    return talking_head(Actor(speech=sentence), duration_s=3.0, seed=7)


@pytest.fixture(scope="session")
def pictures(take: Take) -> list[Picture]:
    """The take's frames."""
    return list(take.frames())


@pytest.fixture(scope="session")
def shades() -> list[Picture]:
    """Thirty plain pictures, each 8 levels brighter than the last, 64×48."""
    return [np.full((48, 64, 3), 8 * shade, np.uint8) for shade in range(30)]


@pytest.fixture(scope="session")
def tone() -> NDArray[np.float32]:
    """1.2 s of a 440 Hz tone at 48 kHz."""
    return (0.2 * np.sin(2 * np.pi * 440 * np.arange(57_600) / 48_000)).astype(np.float32)
