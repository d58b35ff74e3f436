"""Readings over time, from seconds whose truth is known."""

import numpy as np
import pytest

from vividhead.flashhead.evaluate.grade import by_the_second, gaps_of, identity_of, sharpness_of
from vividhead.flashhead.evaluate.records import Reading, measured, median_of, unmeasurable
from vividhead.flashhead.evaluate.watch import Second


def second(at_s: float, sharpness: float | None = 100.0, away: float | None = 0.0) -> Second:
    """A second whose face lies so far `away` from the first one's; None: not seen."""
    embedding_128 = None if away is None else np.full(128, away / np.sqrt(128), np.float32)
    read = unmeasurable("no_face") if sharpness is None else measured(sharpness)
    return Second(start_s=at_s, sharpness=read, embedding_128=embedding_128)


def test_a_face_that_becomes_another_drifts_and_one_that_stays_does_not() -> None:
    stays = identity_of([second(k, away=0.0) for k in range(8)])
    turns = identity_of([second(k, away=0.0 if k < 4 else 0.7) for k in range(8)])
    assert (stays.lowest.value, stays.drift_start_to_end.value) == (1, 0)
    assert turns.lowest.value == pytest.approx(0.3, abs=1e-5)
    assert turns.end.value == pytest.approx(0.3, abs=1e-5)
    assert turns.drift_start_to_end.value == pytest.approx(0.7, abs=1e-5)
    assert turns.to_first_second.values[:4] == (1, 1, 1, 1)


def test_a_face_that_is_lost_for_a_while_leaves_a_gap() -> None:
    found = identity_of([second(0), second(1, away=None), second(2, away=0.2)])
    assert found.to_first_second.values[1] is None
    assert found.lowest.value == pytest.approx(0.8, abs=1e-5)
    assert [len(run) for run in gaps_of(found.to_first_second)] == [1, 1]


@pytest.mark.parametrize(
    ("seconds", "code"),
    [([], "no_face_at_start"), ([second(0)], "too_short"), ([second(0, away=None), second(1)], "no_face_at_start")],
)
def test_without_a_face_to_begin_with_there_is_no_identity(seconds: list[Second], code: str) -> None:
    found = identity_of(seconds)
    assert (found.lowest.code, found.lowest.value, found.drift_start_to_end.value) == (code, None, None)


def test_sharpness_that_is_lost_is_told_as_a_share() -> None:
    found = sharpness_of([second(k, 120.0 if k < 6 else 60.0) for k in range(12)])
    assert (found.start.value, found.end.value, found.change.value) == (120, 60, -0.5)


def test_sharpness_that_was_never_read_has_no_change() -> None:
    for seconds in ([], [second(k, None) for k in range(4)]):
        found = sharpness_of(seconds)
        assert (found.start.value, found.change.value) == (None, None)
        assert found.change.code


def test_seconds_are_means_of_what_is_known_in_them() -> None:
    values_T = np.concatenate([np.full(25, 1.0), np.full(25, np.nan), np.full(25, 3.0), np.full(5, 9.0)])
    values_T[60] = np.nan
    assert by_the_second(values_T).values == (1, None, 3)


def test_a_median_leaves_out_what_is_unknown_unless_all_is() -> None:
    unknown: Reading = unmeasurable("low_confidence", unit="ms")
    assert median_of([unknown, measured(10, "ms"), measured(30, "ms")]).value == 20
    assert median_of([unknown, unknown]) == unknown
