"""Few sources, many readings: AUC, rank correlation, limits for a precision, and bootstrap over sources.

Badness: how bad a reading is, larger being worse, whatever the sense of its field; an unmeasured one is infinitely bad.
Axes: N readings, R resamplings.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from vividhead.calibrate.records import Span

Numbers = NDArray[np.float64]

RESAMPLINGS = 400
INTERVAL = (2.5, 97.5)
LEAST_SOURCES = 3
"""Fewer have no interval, and no limit that could be tried on others."""


def auc(good_N: Numbers, harmful_N: Numbers) -> float | None:
    """How often a good clip is less bad than a harmful one; ties count half. None where either is missing."""
    if not len(good_N) or not len(harmful_N):
        return None
    ordered_N = np.sort(harmful_N)
    under = len(ordered_N) - np.searchsorted(ordered_N, good_N, side="right")
    ties = np.searchsorted(ordered_N, good_N, side="right") - np.searchsorted(ordered_N, good_N, side="left")
    return float((under + ties / 2).mean() / len(ordered_N))


def spearman(x_N: Numbers, y_N: Numbers) -> float | None:
    """Correlation of ranks; None for fewer than three pairs, or where one side is all the same."""
    if len(x_N) < 3 or np.ptp(x_N) == 0 or np.ptp(y_N) == 0:
        return None
    return float(spearmanr(x_N, y_N).statistic)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on badness and what it does."""

    badness: float
    precision: float
    kept_good: float
    reached: bool
    """Is the wanted precision reached? Else this is the limit of the best."""


def precision_at(limit: float, good_N: Numbers, harmful_N: Numbers) -> tuple[float | None, float]:
    """What part of those kept is good, were good and harmful as many; and what part of the good is kept."""
    kept, slipped = float((good_N <= limit).mean()), float((harmful_N <= limit).mean())
    return (kept / (kept + slipped) if kept + slipped else None), kept


def limit_for(precision: float, good_N: Numbers, harmful_N: Numbers) -> Limit | None:
    """The widest limit of the wanted precision, put midway to the next harmful reading; None without readings."""
    finite_N = np.unique(good_N[np.isfinite(good_N)])
    if not len(finite_N) or not len(harmful_N):
        return None
    found = [(limit, *precision_at(limit, good_N, harmful_N)) for limit in finite_N.tolist()]
    enough = [(limit, p, kept) for limit, p, kept in found if p is not None and p >= precision]
    if enough:
        limit, p, kept = max(enough)
    else:
        p, limit, kept = max((p or 0.0, limit, kept) for limit, p, kept in found)
    beyond_N = np.concatenate([good_N, harmful_N])
    beyond_N = beyond_N[(beyond_N > limit) & np.isfinite(beyond_N)]
    midway = (limit + float(beyond_N.min())) / 2 if len(beyond_N) else limit
    return Limit(midway, float(p or 0.0), kept, bool(enough))


def held_out(
    precision: float, good: Mapping[str, Sequence[float]], harmful: Mapping[str, Sequence[float]]
) -> tuple[float | None, float | None]:
    """Precision, and part of the good that is kept, where each source is judged by the limit of all the others.

    A limit looks better than it is on the readings that it was drawn from. Sources without both kinds take no part;
    fewer than three give no figure.
    """
    sources = sorted(set(good) & set(harmful))
    kept, slipped = [], []
    for source in sources if len(sources) >= LEAST_SOURCES else ():
        rest = [other for other in sources if other != source]
        limit = limit_for(precision, gathered(good, rest), gathered(harmful, rest))
        if limit is not None:
            kept += (gathered(good, [source]) <= limit.badness).tolist()
            slipped += (gathered(harmful, [source]) <= limit.badness).tolist()
    if not kept:
        return None, None
    kept_good, let_through = float(np.mean(kept)), float(np.mean(slipped))
    return (kept_good / (kept_good + let_through) if kept_good + let_through else None), kept_good


def bootstrap(
    sources: Sequence[str], figure: Callable[[Sequence[str]], float | None], seed: int, *, is_share: bool = False
) -> Span:
    """The figure of all sources and its interval; sources are drawn with repetition.

    A share of 0 or 1 (`is_share`: a part of 1, or an AUC) is the same in every drawing, which says nothing of how sure
    it is: its open end is Clopper and Pearson's bound for as many of as many sources.
    """
    value = figure(sources)
    distinct = sorted(set(sources))
    if value is None or len(distinct) < LEAST_SOURCES:
        return Span(value=_plain(value))
    rng = np.random.default_rng(seed)
    drawn = (figure([distinct[k] for k in rng.integers(len(distinct), size=len(distinct))]) for _ in range(RESAMPLINGS))
    known = [v for v in drawn if v is not None and math.isfinite(v)]
    if not known:
        return Span(value=_plain(value))
    low, high = np.percentile(known, INTERVAL).tolist()
    if is_share and value in (0.0, 1.0):
        bound = (INTERVAL[0] / 100) ** (1 / len(distinct))
        low, high = (min(low, bound), 1.0) if value else (0.0, max(high, 1 - bound))
    return Span(value=_plain(value), low=_plain(low), high=_plain(high))


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def gathered(by_source: Mapping[str, Sequence[float]], drawn: Sequence[str]) -> Numbers:
    """The readings of the sources drawn, as often as they were."""
    return np.array([value for source in drawn for value in by_source.get(source, ())], float)
