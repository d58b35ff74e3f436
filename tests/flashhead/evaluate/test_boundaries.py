"""Steps across chunks and beside them, on pictures whose steps are known."""

import numpy as np
import pytest

from vividhead.flashhead.evaluate.boundaries import BoundaryMeter, no_boundaries


def chunk(*levels: int) -> "np.ndarray[tuple[int, int, int, int], np.dtype[np.uint8]]":
    return np.stack([np.full((4, 4, 3), level, np.uint8) for level in levels])


def test_a_boundary_like_any_other_step_has_no_jump() -> None:
    meter = BoundaryMeter()
    for start in (0, 30, 60):
        meter.add(chunk(start, start + 10, start + 20))
    found = meter.read()
    assert found.n_boundaries == 2
    assert found.across_db.value == pytest.approx(20 * np.log10(255 / 10), abs=1e-5)
    assert found.jump_db.value == pytest.approx(0)


def test_a_boundary_that_shows_is_told_in_decibels() -> None:
    meter = BoundaryMeter()
    meter.add(chunk(0, 1, 2))
    meter.add(chunk(12, 13, 14))
    found = meter.read()
    assert found.jump_db.value == pytest.approx(-20, abs=1e-5)


def test_chunks_of_one_picture_have_boundaries_with_nothing_beside_them() -> None:
    meter = BoundaryMeter()
    meter.add(chunk(0))
    meter.add(chunk(10))
    found = meter.read()
    assert found.across_db.value is not None
    assert found.jump_db.value is None


def test_what_has_no_boundary_has_no_number() -> None:
    alone, still = BoundaryMeter(), BoundaryMeter()
    alone.add(chunk(1, 2))
    for _ in range(2):
        still.add(chunk(7, 7))
    assert alone.read().across_db.code == "one_chunk"
    assert still.read().across_db.code == "still"
    assert no_boundaries().jump_db.code == "no_chunks"
