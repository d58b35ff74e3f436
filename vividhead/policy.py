"""What is good enough: filters/*.toml read into a Policy, and measurements judged by it. No media, no models.

A rule is one line of a policy file, and the line is all there is to it; deleting it switches the rule off:

    sharpness.laplacian_p10 = { min = 40.0, hard = true, why = "..." }
    <score>.<field>               both ends included

The scores' declared fields and ranges are looked up on loading, before any video is opened.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vividhead.records import Decision, Measurement, Reason
from vividhead.settings import Mistakes, instead, number, plain, read_settings, shown

if TYPE_CHECKING:
    from vividhead.score import Field

Unmeasured = Literal["reject", "accept"]
_RULE_KEYS = ("min", "max", "hard", "unmeasured", "why")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One limit on one field of one score, in the unit that the score declares."""

    score: str
    field: str
    min: float | None = None
    """Smallest value that passes."""
    max: float | None = None
    """Largest value that passes."""
    hard: bool = False
    """Whether a clip that breaks it is not measured any further."""
    unmeasured: Unmeasured = "reject"
    """What becomes of a clip that has no such value; one whose measuring failed is rejected in any case."""
    why: str
    """Reason for the limit, shown to auditors."""

    @property
    def id(self) -> str:
        return f"{self.score}.{self.field}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one filters file, in the file's order."""

    name: str
    """Name of the file, without folder and suffix."""
    rules: tuple[Rule, ...]
    description: str = ""
    text: str = ""
    """The file as it was read."""

    @property
    def digest(self) -> str:
        """16 hex digits over all that can change a decision or its reasons; not `why`, not comments."""
        content = [
            [rule.score, rule.field, *map(_canonical, (rule.min, rule.max)), rule.hard, rule.unmeasured]
            for rule in self.rules
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def judge(policy: Policy, clip_id: str, measurements: Mapping[str, Measurement]) -> Decision:
    """Decide one clip by its measurements (score name → row); a score without a row counts as skipped."""
    broken = (_broken(rule, measurements.get(rule.score)) for rule in policy.rules)
    reasons = tuple(reason for reason in broken if reason is not None)
    return Decision(clip_id=clip_id, kept=not reasons, reasons=reasons)


def broken_hard(policy: Policy, measurements: Mapping[str, Measurement]) -> bool:
    """Whether what is measured so far breaks a hard rule, so that dearer scores need not run."""
    for rule in policy.rules:
        row = measurements.get(rule.score) if rule.hard else None
        if row is not None and row.status != "skipped" and _broken(rule, row) is not None:
            return True
    return False


def _canonical(limit: float | None) -> float | None:
    return None if limit is None else float(limit)  # 5 and 5.0 are one limit


def _broken(rule: Rule, row: Measurement | None) -> Reason | None:
    """The reason for which `rule` refuses a clip with this row of its score, or None."""
    if row is None or row.status == "skipped":
        return _reason(rule, "skipped", row.detail if row else "")
    if row.status == "failed":
        return _reason(rule, "failed", ": ".join(part for part in (row.code, row.detail) if part))
    value = row.values.get(rule.field) if row.status == "measured" else None
    if value is None:
        code = row.code if row.status == "unmeasurable" else row.unknown.get(rule.field, "")
        return None if rule.unmeasured == "accept" else _reason(rule, "unmeasurable", code)
    if math.isnan(value):  # compares false with every limit, so it would pass
        return _reason(rule, "failed", "not a number")
    if rule.min is not None and value < rule.min:
        return _reason(rule, "low", value=value, limit=rule.min)
    if rule.max is not None and value > rule.max:
        return _reason(rule, "high", value=value, limit=rule.max)
    return None


def _reason(rule: Rule, kind: str, detail: str = "", value: float | None = None, limit: float | None = None) -> Reason:
    return Reason(code=f"{rule.id}:{kind}", field=rule.id, value=value, limit=limit, detail=detail)


def load_policy(name_or_path: str, measured_scores: Sequence[str]) -> Policy:
    """Read a policy for clips measured by these scores; a bare name is a shipped one, else it is a path.

    Raises ConfigError with every mistake in the file.
    """
    path, text, content = read_settings("filters", name_or_path)
    mistakes = Mistakes()
    description = content.pop("description", "")
    if not isinstance(description, str):
        mistakes.add("description", f"must be a text in quotes, not {shown(description)}")
    rules = [
        rule
        for score, lines in content.items()
        for field, line in _lines_of(score, lines, measured_scores, mistakes).items()
        if (rule := _rule(score, field, line, mistakes)) is not None
    ]
    if not content and not mistakes.about:
        mistakes.add("rules", "are missing: without one every clip would be kept; see filters/README.md")
    mistakes.raise_any(name_or_path)
    return Policy(name=path.stem, rules=tuple(rules), description=description, text=text)


def _lines_of(score: str, lines: object, measured_scores: Sequence[str], mistakes: Mistakes) -> Mapping[str, object]:
    """Field → line of `score`, or none and a mistake where there can be no rule on it."""
    from vividhead.score import score_names

    names = score_names()
    if score not in names:
        mistakes.add(score, "is no score" + instead(score, names, "there are"))
        return {}
    if not isinstance(lines, Mapping):
        mistakes.add(score, f"must be followed by a field, as in {score}.<field> = {{ … }}")
        return {}
    if score not in measured_scores:
        known = ", ".join(measured_scores) or "nothing"
        mistakes.add(
            score,
            f"is not measured by the pipeline: add it to scores under [measure] or remove its rules; "
            f"measured are {known}",
        )
    return lines


def _rule(score: str, field: str, line: object, mistakes: Mistakes) -> Rule | None:
    """One line as a rule; None and mistakes where it is wrong."""
    from vividhead.score import score_class

    where = f"{score}.{field}"
    declared = score_class(score).fields
    already = len(mistakes.lines)
    if field not in declared:
        mistakes.add(where, "is no field" + instead(field, declared, "its fields are"))
    if not isinstance(line, Mapping):
        mistakes.add(where, f'must be {{ min = …, max = …, why = "…" }}, not {shown(line)}')
        return None
    for key in line:
        if key not in _RULE_KEYS:
            mistakes.add(where, f"has no key {key!r}" + instead(key, _RULE_KEYS, "there are"))
    limits = _limits(where, line, mistakes)
    if field in declared:
        _check_range(where, limits, declared[field], mistakes)
    hard, unmeasured, why = line.get("hard", False), line.get("unmeasured", "reject"), line.get("why", "")
    if not isinstance(hard, bool):
        mistakes.add(where, f"hard must be true or false, not {shown(hard)}")
    if unmeasured not in ("reject", "accept"):
        mistakes.add(where, f"unmeasured must be 'reject' or 'accept', not {shown(unmeasured)}")
    if not isinstance(why, str) or not why.strip():
        mistakes.add(where, 'lacks its why: add why = "…", the reason for the limit')
    if len(mistakes.lines) > already:
        return None
    return Rule(score=score, field=field, **limits, hard=hard, unmeasured=unmeasured, why=why)


def _limits(where: str, line: Mapping[str, Any], mistakes: Mistakes) -> dict[str, float]:
    """`min` and `max` as far as given and right."""
    given = [end for end in ("min", "max") if end in line]
    found = {end: number(line[end], f"{where} {end}", mistakes) for end in given}
    limits = {end: limit for end, limit in found.items() if limit is not None}
    if not given:
        mistakes.add(where, "limits nothing: give min, max or both")
    if len(limits) == 2 and limits["min"] > limits["max"]:
        mistakes.add(where, f"min {plain(limits['min'])} is above max {plain(limits['max'])}")
    return limits


def _check_range(where: str, limits: Mapping[str, float], declared: "Field", mistakes: Mistakes) -> None:
    for end, limit in limits.items():
        if not declared.low <= limit <= declared.high:
            unit = f" {declared.unit}" if declared.unit not in ("", "1") else ""
            spread = f"{plain(declared.low)} … {plain(declared.high)}{unit}"
            mistakes.add(where, f"{end} {plain(limit)} is outside what the field can be: {spread}")
