"""Thresholds that reach a wanted number of hours, and what they cost.

All rules move together along one scale of strictness: 0 refuses nothing that is known, 1 is the filters as they are, 2
keeps only the best value of every field. Between, each rule's limit moves evenly through its share of the footage: at
0.5 every rule refuses half of what it refuses now. A clip's place on the scale is that of its worst field, so of all
limits that move so, those found keep the wanted hours with the best worst field.

N clips, R rules. Shares are of seconds, not of clips.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vividhead.audit.clips import Judged, judged, named_policy, own_policy
from vividhead.audit.diversity import Diversity, diversity
from vividhead.audit.rejudge import Difference, carried, difference
from vividhead.audit.tables import Tables
from vividhead.audit.verdicts import (
    SKIPPED,
    STATUSES,
    UNMEASURABLE,
    ScoreColumns,
    fields_of,
    revoked_rows,
    rule_kinds,
    score_columns,
    verdicts,
)
from vividhead.errors import UsageError
from vividhead.policy import Policy, Rule
from vividhead.score import score_class

Floats = NDArray[np.float32]
CURVE = tuple(round(0.1 * step, 1) for step in range(11))
CURVE_SHARES = (0.9, 0.75, 0.5, 0.25, 0.1)
"""Strictness of the points of the curve; beyond 1, the shares of the hours that are to be left."""
SAME_STRICTNESS = 1e-3
"""Nearer points that keep the same clips are one point."""
DIGITS = 4
"""Of a proposed limit; it is rounded to the side on which nothing is lost."""
SHARE_STEP = 3e-7
"""Shares nearer than this are one: places are held as 32-bit numbers."""
NEVER, ALWAYS = -1.0, 3.0
"""Places of clips that no limit lets pass, or that every limit does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One strictness and what it keeps."""

    strictness: float
    hours: float
    """Of clips that are measured whole."""
    expected_hours: float
    """With the share of those not measured whole that would pass, if they were like the others."""
    clips: int
    diversity: Diversity

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "strictness": self.strictness, "hours": round(self.hours, 4), "clips": self.clips,
            "expected_hours": round(self.expected_hours, 4), **self.diversity.plain(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A proposal, and the curve it is a point of."""

    target_hours: float
    strictness: float
    proposal: Policy
    expected_hours: float
    difference: Difference
    """Between the filters as they are and the proposal, by judging."""
    before: Diversity
    after: Diversity
    curve: Sequence[Point]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "target_hours": self.target_hours, "strictness": round(self.strictness, 4),
            "expected_hours": round(self.expected_hours, 4), "difference": self.difference.plain(),
            "diversity_before": self.before.plain(), "diversity_after": self.after.plain(),
            "curve": [point.plain() for point in self.curve], "filters": policy_toml(self.proposal),
        }  # fmt: skip


def tune(where: str | Path, target_hours: float, *, filters: str | None = None, fixed: Sequence[str] = ()) -> Tuned:
    """Move the limits of `filters` (the dataset's own) until `target_hours` are kept; rules in `fixed` stay.

    Raises UsageError for hours that cannot be had.
    """
    if not (math.isfinite(target_hours) and target_hours > 0):
        raise UsageError(f"--target-hours {target_hours:g}: more than 0 is needed")
    tables = Tables(where)
    base = named_policy(tables, filters) if filters is not None else own_policy(tables)
    unknown = sorted(set(fixed) - {rule.id for rule in base.rules})
    if unknown:
        raise UsageError(
            f"--fix {unknown[0]}: {base.name} has no such rule; it has {', '.join(r.id for r in base.rules)}"
        )
    now = judged(tables)
    own = own_policy(tables)
    out = revoked_rows(tables, now.clip_ids)
    scales = _scales(now, base, fixed)
    places = _Places.of(np.stack([scale.place_N for scale in scales]), out, now.seconds_N)
    strictness = places.strictness_for(target_hours * 3600)
    proposal = replace(base, name=f"{base.name}-{target_hours:g}h", rules=tuple(s.rule_at(strictness) for s in scales))
    old, new = verdicts(tables, (own, proposal), now.clip_ids, out)
    failed_N = ~carried(now.failures, new).code.is_null().to_numpy(zero_copy_only=False)
    kept_N = new.passed_N & ~failed_N
    return Tuned(
        target_hours=target_hours, strictness=strictness, proposal=proposal,
        expected_hours=places.expected_s(strictness) / 3600, difference=difference(now, old, new, kept_N, 0),
        before=diversity(now, now.kept_N), after=diversity(now, kept_N), curve=_curve(now, places),
    )  # fmt: skip


def _scales(now: Judged, policy: Policy, fixed: Sequence[str]) -> list["Scale"]:
    """Each rule's scale; one score's columns are in memory at a time."""
    found: dict[str, Scale] = {}
    for score, fields in fields_of([policy]).items():
        columns = score_columns(now.tables, score, now.clip_ids, fields)
        for rule in policy.rules:
            if rule.score == score:
                found[rule.id] = Scale.of(rule, columns, now.seconds_N, rule.id in fixed)
    return [found[rule.id] for rule in policy.rules]


def _curve(now: Judged, places: "_Places") -> list[Point]:
    """Points up to the filters as they are by strictness, from there on by what is left of the hours."""
    here_s = places.expected_s(1.0)
    stricter = [places.strictness_for(here_s * share) for share in CURVE_SHARES] if here_s else []
    points: list[Point] = []
    for strictness in [*CURVE, *stricter]:
        kept_N = places.whole_N & (places.worst_N >= strictness)
        last = points[-1] if points else None
        if last is not None and strictness - last.strictness < SAME_STRICTNESS and last.clips == kept_N.sum():
            continue  # of few clips, many shares of the hours are one place
        points.append(
            Point(
                strictness=strictness, hours=float(now.seconds_N[kept_N].sum()) / 3600,
                expected_hours=places.expected_s(strictness) / 3600, clips=int(kept_N.sum()),
                diversity=diversity(now, kept_N),
            )
        )  # fmt: skip
    return points


@dataclass(frozen=True)
class Scale:
    """One rule's field as a scale of strictness."""

    rule: Rule
    place_N: Floats
    """Of each clip: the greatest strictness at which it still passes; NaN where it was not measured."""
    goodness_K: NDArray[np.float64]
    """The different values that clips have, worst first, as numbers that rise with quality."""
    share_K: NDArray[np.float64]
    """Share of the seconds of measured clips that are worse than each."""
    refused: float
    """Share that the rule refuses now."""
    is_fixed: bool

    @classmethod
    def of(cls, rule: Rule, columns: ScoreColumns, seconds_N: NDArray[np.float64], is_fixed: bool) -> "Scale":
        """Place all clips on the rule's scale."""
        kinds_N = rule_kinds(rule, columns)
        values_N, null_N = columns.values_N(rule.field)
        known_N = (columns.status_N == STATUSES.index("measured")) & ~null_N & ~np.isnan(values_N)
        good_N = _goodness(rule, values_N[known_N])
        goodness_K, number_N = np.unique(good_N, return_inverse=True)
        weight_K = np.bincount(number_N, seconds_N[known_N], len(goodness_K))
        total = weight_K.sum() or 1.0
        share_K = (np.cumsum(weight_K) - weight_K) / total
        refused = float(weight_K[goodness_K < _limit(rule)].sum() / total)
        place_K = _place(share_K, goodness_K >= _limit(rule), refused, is_fixed)
        place_N = np.full(len(values_N), NEVER, np.float32)
        place_N[kinds_N == SKIPPED] = np.nan
        unknown_N = ~known_N & (kinds_N != SKIPPED) & (kinds_N != UNMEASURABLE)
        place_N[unknown_N & (kinds_N == 0)] = ALWAYS
        place_N[known_N] = place_K[number_N]
        return cls(rule, place_N, goodness_K, share_K, refused, is_fixed)

    def rule_at(self, strictness: float) -> Rule:
        """The rule with its limits moved; never tighter below strictness 1, nor looser above."""
        if self.is_fixed or not len(self.goodness_K) or strictness == 1:
            return self.rule
        top = float(self.share_K[-1])
        share = strictness * self.refused if strictness < 1 else self.refused + (strictness - 1) * (top - self.refused)
        at = int(np.searchsorted(self.share_K, share - SHARE_STEP))
        goodness = float(self.goodness_K[min(at, len(self.goodness_K) - 1)])
        is_same = goodness >= _limit(self.rule) if strictness < 1 else goodness <= _limit(self.rule)
        return self.rule if is_same else _with_limit(self.rule, goodness)


def _place(
    share_K: NDArray[np.float64], passes_K: NDArray[np.bool_], refused: float, is_fixed: bool
) -> NDArray[np.float64]:
    """Strictness up to which a value of each share passes."""
    if is_fixed:
        return np.where(passes_K, ALWAYS, NEVER)
    top = float(share_K[-1]) if len(share_K) else 0.0
    below = share_K / refused if refused > 0 else np.ones_like(share_K)
    above = 1 + (share_K - refused) / (top - refused) if top > refused else np.full_like(share_K, ALWAYS)
    return np.where(passes_K, above, np.minimum(below, 1 - 1e-6))


def _goodness(rule: Rule, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers that rise with quality: the value, its negative, or how far inside two limits it is, in half widths."""
    if rule.min is not None and rule.max is not None:
        half = (rule.max - rule.min) / 2
        return np.asarray(1 - np.abs(values - (rule.min + half)) / (half or 1.0), np.float64)
    return values if rule.min is not None else -values


def _limit(rule: Rule) -> float:
    """The rule's limit on the scale of `_goodness`."""
    if rule.min is not None and rule.max is not None:
        return 0.0
    return rule.min if rule.min is not None else -float(rule.max or 0)


def _with_limit(rule: Rule, goodness: float) -> Rule:
    """The rule with its limits where values of that goodness just pass, rounded outwards, within the field's range."""
    declared = score_class(rule.score).fields[rule.field]

    def inside(limit: float) -> float:
        return min(max(limit, declared.low), declared.high)

    if rule.min is not None and rule.max is not None:
        half = (rule.max - rule.min) / 2
        middle, reach = rule.min + half, (1 - goodness) * half
        low, high = (inside(rounded(middle + side * reach, side, half)) for side in (-1, 1))
        return replace(rule, min=low, max=high)
    if rule.min is not None:
        return replace(rule, min=inside(rounded(goodness, -1)))
    return replace(rule, max=inside(rounded(-goodness, 1)))


def rounded(value: float, side: int, size: float | None = None) -> float:
    """The value to `DIGITS` digits of its `size` (its own), up for side 1, down for side -1."""
    size = abs(value) if size is None else size
    if size == 0 or not math.isfinite(value):
        return value
    digits = DIGITS - 1 - math.floor(math.log10(size))
    step = 10.0**-digits
    near = (math.ceil(value / step - 1e-9) if side > 0 else math.floor(value / step + 1e-9)) * step
    return round(near, digits) + 0.0


@dataclass(frozen=True)
class _Sorted:
    """Places with weights, so that the weight at or above a place is found at once."""

    place_M: Floats
    """Rising."""
    above_M: NDArray[np.float64]
    """Weight of each and all after it; one more at the end, 0."""

    @classmethod
    def of(cls, place_M: Floats, weight_M: NDArray[np.float64]) -> "_Sorted":
        """Sort them."""
        order = np.argsort(place_M)
        above_M = np.concatenate([np.cumsum(weight_M[order][::-1])[::-1], [0.0]])
        return cls(place_M[order], above_M)

    def weight_from(self, place: float) -> float:
        """Weight at `place` and above."""
        return float(self.above_M[np.searchsorted(self.place_M, np.float32(place))])


@dataclass(frozen=True)
class _Places:
    """Where all clips stand by all rules."""

    worst_N: Floats
    """By the rules that are known of it."""
    whole_N: NDArray[np.bool_]
    """Known by all rules."""
    whole: _Sorted
    missing: Sequence[tuple[_Sorted, _Sorted]]
    """For each group of clips of which the same rules are not known: the group's places by what is known, and those
    of whole clips by the missing rules alone."""

    @classmethod
    def of(cls, place_RN: Floats, out: dict[int, str], seconds_N: NDArray[np.float64]) -> "_Places":
        """Take the rules' places; clips in `out` are revoked."""
        missing_RN = np.isnan(place_RN)
        worst_N = np.min(np.where(missing_RN, np.float32(ALWAYS), place_RN), axis=0)
        worst_N[list(out)] = NEVER
        whole_N = ~missing_RN.any(axis=0)
        bits_N = np.zeros(len(worst_N), np.int64)
        for row in range(len(place_RN)):
            bits_N |= missing_RN[row].astype(np.int64) << row
        groups = []
        for bits in np.unique(bits_N[~whole_N & (worst_N >= 0)]).tolist():
            rules = [row for row in range(len(place_RN)) if bits >> row & 1]
            group_N = bits_N == bits
            others = np.min(place_RN[rules][:, whole_N], axis=0)
            groups.append((_Sorted.of(worst_N[group_N], seconds_N[group_N]), _Sorted.of(others, seconds_N[whole_N])))
        return cls(worst_N, whole_N, _Sorted.of(worst_N[whole_N], seconds_N[whole_N]), groups)

    def expected_s(self, strictness: float) -> float:
        """Seconds that would be kept if clips not measured whole passed their missing rules as often as the others."""
        total = self.whole.weight_from(strictness)
        for group, others in self.missing:
            share = others.weight_from(strictness) / (others.above_M[0] or 1.0)
            total += share * group.weight_from(strictness)
        return total

    def strictness_for(self, seconds: float) -> float:
        """The greatest strictness that is expected to keep so much."""
        most = self.expected_s(0.0)
        if most < seconds:
            raise UsageError(
                f"--target-hours {seconds / 3600:g}: even without limits {most / 3600:.4g} h are to be expected of "
                'this footage; add footage, or accept what cannot be measured (unmeasured = "accept")'
            )
        low, high = 0.0, 2.0
        if self.expected_s(high) >= seconds:
            return high
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self.expected_s(middle) >= seconds else (low, middle)
        return float(np.float32(low))  # as places are held


def policy_toml(policy: Policy) -> str:
    """A policy as a filters file that can be read again."""
    lines = [f"# {policy.name}: proposed by vividhead tune; limits to {DIGITS} digits.", ""]
    if policy.description:
        lines += [f"description = {json.dumps(policy.description, ensure_ascii=False)}", ""]
    for rule in policy.rules:
        parts = [f"{end} = {limit!r}" for end, limit in (("min", rule.min), ("max", rule.max)) if limit is not None]
        parts += ["hard = true"] if rule.hard else []
        parts += ['unmeasured = "accept"'] if rule.unmeasured == "accept" else []
        parts.append(f"why = {json.dumps(rule.why, ensure_ascii=False)}")
        lines.append(f"{rule.id} = {{ {', '.join(parts)} }}")
    return "\n".join(lines) + "\n"
