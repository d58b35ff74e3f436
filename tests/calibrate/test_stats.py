"""Figures of few sources against ones counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vividhead.calibrate.stats import auc, bootstrap, gathered, limit_for, precision_at, spearman

BADNESS = st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, float("inf")]), min_size=1, max_size=12)


@given(good=BADNESS, harmful=BADNESS)
def test_auc_counts_pairs_and_half_of_ties(good: list[float], harmful: list[float]) -> None:
    pairs = [(1.0 if g < h else 0.5 if g == h else 0.0) for g in good for h in harmful]
    assert auc(np.array(good), np.array(harmful)) == pytest.approx(sum(pairs) / len(pairs))


def test_nothing_to_compare_has_no_auc() -> None:
    assert auc(np.zeros(0), np.ones(3)) is None


def test_spearman_follows_order_and_not_size() -> None:
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 10, 100, 1000])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([5.0, 4, 4, 1])) == pytest.approx(-0.9487, abs=1e-4)
    assert spearman(np.array([1.0, 2, 3]), np.array([7.0, 7, 7])) is None


def test_the_limit_keeps_as_much_good_as_the_precision_allows() -> None:
    good, harmful = np.array([1.0, 2, 3, 4, 9]), np.array([5.0, 6, 7, 8, 8])
    strict, mild = limit_for(0.98, good, harmful), limit_for(0.5, good, harmful)
    assert strict is not None and mild is not None
    assert (strict.badness, strict.precision, strict.kept_good, strict.reached) == (4.5, 1.0, 0.8, True)
    assert (mild.badness, mild.kept_good) == (9.0, 1.0)


def test_a_precision_that_cannot_be_had_is_told() -> None:
    found = limit_for(0.98, np.array([1.0, 2]), np.array([1.0, 2]))
    assert found is not None and not found.reached and found.precision == 0.5


@given(good=BADNESS, harmful=BADNESS)
def test_a_reached_precision_holds_at_the_limit(good: list[float], harmful: list[float]) -> None:
    good_N, harmful_N = np.array(good), np.array(harmful)
    found = limit_for(0.9, good_N, harmful_N)
    if found is not None and found.reached:
        precision, kept = precision_at(found.badness, good_N, harmful_N)
        assert precision is not None and precision >= 0.9
        assert kept == found.kept_good


def test_the_bootstrap_draws_sources_and_not_readings() -> None:
    readings = {"a": [0.0] * 100, "b": [1.0], "c": [1.0]}

    def mean(drawn: object) -> float:
        assert isinstance(drawn, list | tuple)
        return float(np.mean([np.mean(readings[source]) for source in drawn]))

    found = bootstrap(["a", "b", "c"], mean, seed=0)
    assert found.value == pytest.approx(2 / 3, abs=1e-4)
    assert (found.low, found.high) == (0.0, 1.0)
    assert found == bootstrap(["a", "b", "c"], mean, seed=0)
    assert gathered(readings, ["b", "b", "nobody"]).tolist() == [1.0, 1.0]


def test_two_sources_have_no_interval() -> None:
    found = bootstrap(["a", "b"], lambda drawn: 1.0, seed=0)
    assert (found.value, found.low, found.high) == (1.0, None, None)
