"""What the report shows, as numbers: everything is counted here, and nothing is drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vividhead.audit.sql import quoted, text
from vividhead.audit.tables import Tables
from vividhead.errors import ConfigError
from vividhead.policy import Policy, Rule
from vividhead.score import Field, score_class

if TYPE_CHECKING:
    from vividhead.audit.sql import Session

BINS = 40
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


def histograms(session: "Session", tables: Tables, policy: Policy) -> list[Histogram]:
    """One for each measured field, those with a rule first."""
    found = [
        drawn
        for score in tables.names("measurements")
        for drawn in _of_score(session, score, _fields(tables, score), policy)
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


def _of_score(session: "Session", score: str, fields: dict[str, Field], policy: Policy) -> list[Histogram]:
    if not fields:
        return []
    view, names = quoted(f"score_{score}"), list(fields)
    rules = {name: tuple(r for r in policy.rules if (r.score, r.field) == (score, name)) for name in names}
    ranges = _ranges(session, view, fields, rules)
    lows, spans = ([ranges[n][0] for n in names], [ranges[n][1] - ranges[n][0] for n in names])
    cells = ", ".join(quoted(name) for name in names)
    counted = session.execute(
        f"""SELECT nth, kept, least(greatest(floor((v - lows[nth]) / spans[nth] * {BINS}), 0), {BINS - 1})::INT AS bin,
                count(*) FROM (
                SELECT kept, unnest([{cells}]) AS v, generate_subscripts([{cells}], 1) AS nth, ? AS lows, ? AS spans
                FROM {view} JOIN candidates USING (clip_id)
            ) WHERE v IS NOT NULL AND NOT isnan(v) GROUP BY ALL""",  # noqa: S608 - names are quoted
        [lows, spans],
    ).fetchall()
    bars = {(name, kept): [0] * BINS for name in names for kept in (True, False)}
    for nth, kept, at, count in counted:
        bars[names[nth - 1], kept][at] = count
    why = session.execute(
        f"SELECT CASE status WHEN 'measured' THEN 'not known' WHEN 'unmeasurable' THEN code ELSE status END, "  # noqa: S608
        f"{', '.join(f'count(*) - count({quoted(name)})' for name in names)} FROM {view} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return [
        Histogram(
            name=f"{score}.{name}", unit=about.unit, meaning=about.meaning, low=ranges[name][0], high=ranges[name][1],
            kept=tuple(bars[name, True]), rejected=tuple(bars[name, False]), rules=rules[name],
            unknown=tuple((row[0] or "not known", row[at]) for row in why if row[at]),
        )
        for at, (name, about) in enumerate(fields.items(), start=1)
    ]  # fmt: skip


def _ranges(
    session: "Session", view: str, fields: dict[str, Field], rules: dict[str, tuple[Rule, ...]]
) -> dict[str, tuple[float, float]]:
    """What to draw of each field: 99 % of its values, and its limits."""
    asked = ", ".join(f"approx_quantile({quoted(name)}, [0.005, 0.995])" for name in fields)
    row = session.execute(f"SELECT {asked} FROM {view}").fetchone()  # noqa: S608 - names are quoted
    assert row is not None
    out = {}
    for (name, about), ends in zip(fields.items(), row, strict=True):
        limits = [limit for rule in rules[name] for limit in (rule.min, rule.max) if limit is not None]
        points = [end for end in (*(ends or ()), *limits) if end is not None and math.isfinite(end)]
        low, high = (min(points), max(points)) if points else (0.0, 1.0)
        margin = (high - low) * 0.04 or max(abs(low), 1.0) * 0.05
        low, high = max(low - margin, about.low), min(high + margin, about.high)
        out[name] = (low, high) if high > low else (low - 0.5, low + 0.5)
    return out


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
           FROM source_values JOIN per_source USING (source_id) GROUP BY ALL ORDER BY 1, 4 DESC, 2"""
    ).fetchall()
    reasons = {
        (name, value): code
        for name, value, code in session.execute(
            """SELECT name, value, arg_max(first, s) FROM (
                   SELECT name, value, first, sum(s) AS s FROM source_values JOIN lost USING (source_id) GROUP BY ALL
               ) GROUP BY ALL"""
        ).fetchall()
    }
    by_name: dict[str, list[Group]] = {}
    for name, value, n_sources, footage_s, candidate_s, kept_s in rows:
        by_name.setdefault(name, []).append(
            Group(
                value=value, n_sources=n_sources, footage_s=footage_s, candidate_s=candidate_s, kept_s=kept_s,
                first_reason=reasons.get((name, value)) or "",
            )
        )  # fmt: skip
    return [
        Attribute(name=name, groups=_shortened(groups), candidate_s=total[0], kept_s=total[1])
        for name, groups in by_name.items()
        if any(group.value != NOT_GIVEN for group in groups)
    ][:MOST_ATTRIBUTES]


def _per_source(session: "Session") -> None:
    """Tables of sums: `per_source`, `lost` (by source and first reason), `source_values` (by source and attribute)."""
    session.execute(
        """CREATE TEMP TABLE per_source AS
           SELECT source_id, s.duration_s AS footage_s, coalesce(c.candidate_s, 0) AS candidate_s,
               coalesce(c.kept_s, 0) AS kept_s, coalesce(c.n, 0) AS n_clips, coalesce(c.n_kept, 0) AS n_kept
           FROM sources s LEFT JOIN (
               SELECT source_id, sum(duration_s) AS candidate_s, sum(duration_s) FILTER (kept) AS kept_s, count(*) AS n,
                   count(*) FILTER (kept) AS n_kept
               FROM candidates GROUP BY 1
           ) c USING (source_id) WHERE s.outcome = 'ready'"""
    )
    session.execute(
        """CREATE TEMP TABLE lost AS
           SELECT source_id, first, sum(duration_s) AS s FROM candidates WHERE NOT kept GROUP BY 1, 2"""
    )
    plain = ("licence", "consent", "language", "container", "video_codec")
    chosen = " UNION ALL ".join(f"SELECT source_id, {text(c)} AS name, {c} AS value FROM ready" for c in plain)  # noqa: S608
    session.execute(
        f"""CREATE TEMP TABLE source_values AS
            WITH ready AS (FROM sources WHERE outcome = 'ready'),
            given AS (SELECT source_id, unnest(map_entries(attributes)) AS e FROM ready),
            keys AS (SELECT e.key AS name FROM given GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {MOST_ATTRIBUTES}),
            named AS (SELECT source_id, 'attribute ' || name AS name, attributes[name] AS value FROM ready, keys)
            SELECT source_id, name, coalesce(nullif(trim(value::VARCHAR), ''), {text(NOT_GIVEN)}) AS value FROM (
                {chosen} UNION ALL FROM named UNION ALL
                SELECT source_id, 'picture size', least(width_px, height_px) || ' px (shorter side)' FROM ready
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
