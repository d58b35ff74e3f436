"""Figures of few sources against ones counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vividhead.calibrate.stats import auc, bootstrap, gathered, held_out, limit_for, precision_at, spearman

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


def test_a_perfect_share_of_few_sources_is_not_sure() -> None:
    found = bootstrap(list("abcdef"), lambda drawn: 1.0, seed=0, is_share=True)
    assert found.low == pytest.approx(0.025 ** (1 / 6), abs=1e-4) and found.high == 1.0
    none = bootstrap(list("abcdef"), lambda drawn: 0.0, seed=0, is_share=True)
    assert (none.low, none.high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 6), abs=1e-4))
    assert bootstrap(list("abcdef"), lambda drawn: 1.0, seed=0).low == 1.0, "a limit is no share"


def test_a_limit_is_tried_on_sources_that_it_was_not_drawn_from() -> None:
    good = {"a": [1.0], "b": [2.0], "c": [3.0], "d": [9.0]}
    harmful = {"a": [5.0], "b": [6.0], "c": [7.0], "d": [10.0]}
    drawn = limit_for(0.98, gathered(good, list("abcd")), gathered(harmful, list("abcd")))
    assert drawn is not None and (drawn.precision, drawn.kept_good) == (1.0, 0.75)
    # Without a, the limit is 4.5 and without b or c 4 or 3.5; without d it is (3 + 5) / 2: each keeps its own but d.
    assert held_out(0.98, good, harmful) == (1.0, 0.75)
    lenient = {"a": [1.0], "b": [1.0], "c": [1.0]}, {"a": [1.5], "b": [3.0], "c": [3.0]}
    # Without a the limit is 2, which lets a's 1.5 through: one harmful reading in three.
    assert held_out(0.98, *lenient) == (pytest.approx(1 / (1 + 1 / 3)), 1.0)
    assert held_out(0.98, {"a": [1.0], "b": [1.0]}, {"a": [2.0], "b": [2.0]}) == (None, None)
