"""What the report shows, as numbers: everything is counted here, and nothing is drawn."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vividhead.audit.sql import quoted, text
from vividhead.audit.tables import Tables
from vividhead.audit.verdicts import ABSENT, STATUSES, Mask, ScoreColumns, score_columns
from vividhead.errors import ConfigError
from vividhead.policy import Policy, Rule
from vividhead.score import Field, score_class

if TYPE_CHECKING:
    from vividhead.audit.sql import Session

Floats = NDArray[np.float64]
BINS = 40
QUANTILE_SAMPLE = 200_000
"""Values that the ends of a chart are read from."""
YIELD_BINS = 10
MOST_VALUES = 12
"""Values of an attribute that get a row of their own; the rest are summed up in one."""
MOST_ATTRIBUTES = 16
NOT_GIVEN = "(not given)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many clips have which value; the end bins hold what lies beyond them."""

    name: str
    """`<score>.<field>`, or what else is counted."""
    unit: str
    meaning: str
    low: float
    high: float
    kept: tuple[int, ...]
    rejected: tuple[int, ...]
    rules: tuple[Rule, ...] = ()
    """Of the policy on this field."""
    unknown: tuple[tuple[str, int], ...] = ()
    """Why there is no value → clips."""

    def edges(self) -> list[float]:
        """Of the bins, one more than there are bins."""
        n_bins = len(self.kept)
        return [self.low + (self.high - self.low) * at / n_bins for at in range(n_bins + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The footage that has one value of an attribute."""

    value: str
    n_sources: int
    footage_s: float
    candidate_s: float
    kept_s: float
    first_reason: str = ""
    """What took most of its candidates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """Yield by the values of one attribute, the most footage first."""

    name: str
    groups: tuple[Group, ...]
    candidate_s: float
    kept_s: float

    def change(self, group: Group) -> float | None:
        """Share of the kept ÷ share of the candidates: 1 is no skew, None where there is nothing to compare."""
        if not group.candidate_s or not self.kept_s:
            return None
        return (group.kept_s / self.kept_s) / (group.candidate_s / self.candidate_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one score was measured with."""

    score: str
    version: int
    fingerprint: str
    n_clips: int


def histograms(tables: Tables, policy: Policy, clip_ids: pa.ChunkedArray, kept_N: Mask) -> list[Histogram]:
    """One for each measured field, those with a rule first; `kept_N` says of each clip whether it is kept."""
    found = [
        drawn for score in tables.names("measurements") for drawn in _of_score(tables, score, policy, clip_ids, kept_N)
    ]
    return sorted(found, key=lambda h: not h.rules)


def _fields(tables: Tables, score: str) -> dict[str, Field]:
    """The score's fields in this dataset; of a score that this version does not know, by their names alone."""
    there = [f.name for f in tables.schema(f"measurements/{score}") if str(f.type) == "double"]
    try:
        known = score_class(score).fields
    except ConfigError:
        known = {}
    return {name: known.get(name, Field("", "not known to this version")) for name in there}


def _of_score(
    tables: Tables, score: str, policy: Policy, clip_ids: pa.ChunkedArray, kept_N: Mask
) -> Iterator[Histogram]:
    fields = _fields(tables, score)
    columns = score_columns(tables, score, clip_ids, list(fields), also=["code"])
    why = _why_unknown(columns)
    for name, about in fields.items():
        rules = tuple(r for r in policy.rules if (r.score, r.field) == (score, name))
        values_N, null_N = columns.values_N(name)
        known_N = ~null_N & np.isfinite(values_N)
        n_known = int(np.count_nonzero(known_N))
        low, high = _range(values_N[_sampled(known_N, n_known)], about, rules)
        bars = _bars(values_N, known_N, kept_N, low, high)
        n_unknown = len(known_N) - n_known - sum(why.values())
        unknown = {**why, **({"not known": n_unknown} if n_unknown else {})}
        yield Histogram(
            name=f"{score}.{name}", unit=about.unit, meaning=about.meaning, low=low, high=high, rules=rules,
            kept=tuple(bars[1].tolist()), rejected=tuple(bars[0].tolist()), unknown=tuple(sorted(unknown.items())),
        )  # fmt: skip


def _why_unknown(columns: ScoreColumns) -> dict[str, int]:
    """Why a whole score has no values → clips."""
    status_N = columns.status_N
    out = {name: int((status_N == STATUSES.index(name)).sum()) for name in ("failed", "skipped")}
    out["not looked at"] = int((status_N == ABSENT).sum())
    unmeasurable_N = status_N == STATUSES.index("unmeasurable")
    if unmeasurable_N.any():
        codes = columns.table["code"].filter(pa.array(unmeasurable_N)).value_counts().to_pylist()
        out |= {code["values"] or "unmeasurable": code["counts"] for code in codes}
    return {code: count for code, count in out.items() if count}


def _sampled(known_N: Mask, n_known: int) -> slice | NDArray[np.int64]:
    """Some of the clips whose value is known, evenly spread."""
    step = max(1, n_known // QUANTILE_SAMPLE)
    return slice(None, None, step) if n_known == len(known_N) else np.flatnonzero(known_N)[::step]


def _bars(values_N: Floats, known_N: Mask, kept_N: Mask, low: float, high: float) -> NDArray[np.int64]:
    """(rejected, kept) × bins: clips. The end bins also hold what lies beyond them."""
    at_N = values_N - low
    at_N *= BINS / (high - low)
    np.clip(at_N, 0, BINS - 1, out=at_N)
    at_N[~known_N] = 0
    bin_N = at_N.astype(np.int64)
    bin_N += kept_N * BINS
    bin_N[~known_N] = 2 * BINS
    return np.bincount(bin_N, minlength=2 * BINS + 1)[: 2 * BINS].reshape(2, BINS)


def _range(sample: Floats, about: Field, rules: Sequence[Rule]) -> tuple[float, float]:
    """What to draw: 99 % of the values, and the limits."""
    points = [limit for rule in rules for limit in (rule.min, rule.max) if limit is not None]
    points += np.quantile(sample, [0.005, 0.995]).tolist() if len(sample) else []
    low, high = (min(points), max(points)) if points else (0.0, 1.0)
    margin = (high - low) * 0.04 or max(abs(low), 1.0) * 0.05
    low, high = max(low - margin, about.low), min(high + margin, about.high)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def kept_of(session: "Session") -> tuple[pa.ChunkedArray, Mask]:
    """Ids of all clips in the order of clips.parquet, and which of them are kept."""
    found = session.sql("SELECT clip_id, kept FROM candidates ORDER BY nth_clip").to_arrow_table()
    return found["clip_id"], np.asarray(found["kept"], np.bool_)


def durations(session: "Session") -> Histogram:
    """Lengths of clips."""
    longest = session.execute("SELECT max(duration_s) FROM candidates").fetchone()
    high = max(10.0, math.ceil((longest[0] if longest and longest[0] else 1) / 10) * 10)
    rows = session.execute(
        f"SELECT kept, least(floor(duration_s / ? * {BINS // 2}), {BINS // 2 - 1})::INT, count(*) FROM candidates "  # noqa: S608
        "GROUP BY ALL", [high],
    ).fetchall()  # fmt: skip
    bars = {True: [0] * (BINS // 2), False: [0] * (BINS // 2)}
    for kept, at, count in rows:
        bars[kept][at] = count
    return Histogram(
        name="duration_s", unit="s", meaning="length of the clip", low=0, high=high, kept=tuple(bars[True]),
        rejected=tuple(bars[False]),
    )  # fmt: skip


def attributes(session: "Session") -> list[Attribute]:
    """Yield by licence, consent, language, picture size, container, and every attribute of the source list."""
    _per_source(session)
    total = session.execute("SELECT coalesce(sum(candidate_s), 0), coalesce(sum(kept_s), 0) FROM per_source").fetchone()
    assert total is not None
    rows = session.execute(
        """SELECT name, value, count(*), sum(footage_s), sum(candidate_s), sum(kept_s)
           FROM source_values JOIN per_source USING (source) GROUP BY ALL ORDER BY 1, 4 DESC, 2"""
    ).fetchall()
    by_name: dict[str, list[Group]] = {}
    for name, value, n_sources, footage_s, candidate_s, kept_s in rows:
        group = Group(value=value, n_sources=n_sources, footage_s=footage_s, candidate_s=candidate_s, kept_s=kept_s)
        by_name.setdefault(name, []).append(group)
    given = [name for name, groups in by_name.items() if any(group.value != NOT_GIVEN for group in groups)]
    told = {name: _shortened(by_name[name]) for name in given[:MOST_ATTRIBUTES]}
    most = _most_lost(session, [(name, group.value) for name, groups in told.items() for group in groups])
    return [
        Attribute(
            name=name, candidate_s=total[0], kept_s=total[1],
            groups=tuple(replace(group, first_reason=most.get((name, group.value), "")) for group in groups),
        )
        for name, groups in told.items()
    ]  # fmt: skip


def _most_lost(session: "Session", shown: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(attribute, value) → the first reason that took most seconds of it, for the values that are shown alone."""
    names, values = ([pair[at] for pair in shown] for at in (0, 1))
    session.register("shown", pa.table({"nth": list(range(len(shown))), "name": names, "value": values}, _SHOWN))
    found = session.execute(
        """WITH theirs AS (SELECT nth, source FROM source_values JOIN shown USING (name, value))
           SELECT nth, arg_max(first, (s, first)) FROM (
               SELECT nth, first, sum(s) AS s FROM theirs JOIN lost USING (source) GROUP BY ALL
           ) WHERE first IS NOT NULL GROUP BY 1"""
    ).fetchall()
    session.unregister("shown")
    return {shown[nth]: code for nth, code in found}


_SHOWN = pa.schema([("nth", pa.int32()), ("name", pa.string()), ("value", pa.string())])


def _per_source(session: "Session") -> None:
    """Tables of sums by row of sources.parquet: `per_source`, `lost` (by first reason, too), `source_values`."""
    session.execute(
        """CREATE TEMP TABLE per_source AS
           SELECT source, s.duration_s AS footage_s, coalesce(c.candidate_s, 0) AS candidate_s,
               coalesce(c.kept_s, 0) AS kept_s, coalesce(c.n, 0) AS n_clips, coalesce(c.n_kept, 0) AS n_kept
           FROM sources s LEFT JOIN (
               SELECT source, sum(duration_s) AS candidate_s, sum(duration_s) FILTER (kept) AS kept_s, count(*) AS n,
                   count(*) FILTER (kept) AS n_kept
               FROM candidates GROUP BY 1
           ) c USING (source) WHERE s.outcome = 'ready'"""
    )
    session.execute(
        """CREATE TEMP TABLE lost AS
           SELECT source, first, sum(duration_s) AS s FROM candidates WHERE NOT kept GROUP BY 1, 2"""
    )
    plain = ("licence", "consent", "language", "container", "video_codec")
    chosen = " UNION ALL ".join(f"SELECT source, {text(c)} AS name, {c} AS value FROM ready" for c in plain)  # noqa: S608
    session.execute(
        f"""CREATE TEMP TABLE source_values AS
            WITH ready AS (FROM sources WHERE outcome = 'ready'),
            given AS (SELECT source, unnest(map_entries(attributes)) AS e FROM ready),
            keys AS (SELECT e.key AS name FROM given GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {MOST_ATTRIBUTES}),
            named AS (SELECT source, 'attribute ' || name AS name, attributes[name] AS value FROM ready, keys)
            SELECT source, name, coalesce(nullif(trim(value::VARCHAR), ''), {text(NOT_GIVEN)}) AS value FROM (
                {chosen} UNION ALL FROM named UNION ALL
                SELECT source, 'picture size', least(width_px, height_px) || ' px (shorter side)' FROM ready
            )"""  # noqa: S608 - no part of it comes from outside
    )


def _shortened(groups: list[Group]) -> tuple[Group, ...]:
    if len(groups) <= MOST_VALUES + 1:
        return tuple(groups)
    rest = groups[MOST_VALUES:]
    return (
        *groups[:MOST_VALUES],
        Group(
            value=f"{len(rest)} others", n_sources=sum(g.n_sources for g in rest),
            footage_s=sum(g.footage_s for g in rest), candidate_s=sum(g.candidate_s for g in rest),
            kept_s=sum(g.kept_s for g in rest),
        ),
    )  # fmt: skip


def models(session: "Session", scores: Sequence[str]) -> list[Model]:
    """Versions and models behind the scores."""
    out = []
    for score in scores:
        rows = session.execute(
            f"SELECT version, fingerprint, count(*) FROM {quoted(f'score_{score}')} WHERE status <> 'skipped' "  # noqa: S608
            "GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        out += [Model(score=score, version=v, fingerprint=f, n_clips=n) for v, f, n in rows]
    return out


def table_rows(session: "Session", sql: str, bound: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """A small result, column → value; `bound` are its parameters."""
    found = session.execute(sql, list(bound))
    names = [about[0] for about in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
