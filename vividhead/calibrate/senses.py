"""Which readings of a field are bad: those that the shipped filters refuse, or as told here where they have no rule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vividhead.policy import Policy, Rule

Sense = Literal["low", "high", "size"]

WITHOUT_RULE: Mapping[str, Sense] = {"lip_sync.peak": "low", "motion.mouth_std": "low"}


@dataclass(frozen=True, slots=True)
class Direction:
    """How a field's readings are ordered from good to bad."""

    field: str
    sense: Sense
    rule: Rule | None

    def badness(self, value: float | None) -> float:
        """Larger is worse; a field without a value is worst."""
        if value is None:
            return math.inf
        if self.sense == "size":
            return abs(value)
        return -value if self.sense == "low" else value

    def limit(self, badness: float) -> float:
        """A limit on badness as one on the field."""
        return -badness if self.sense == "low" else badness

    @property
    def shipped(self) -> float | None:
        """The rule's limit, or None without a rule."""
        if self.rule is None:
            return None
        return self.rule.min if self.sense == "low" else self.rule.max


def directions(policy: Policy) -> dict[str, Direction]:
    """Field → direction, of all fields that have one."""
    found = {field: Direction(field, sense, None) for field, sense in WITHOUT_RULE.items()}
    for rule in policy.rules:
        both = rule.min is not None and rule.max is not None
        found[rule.id] = Direction(rule.id, "size" if both else "low" if rule.max is None else "high", rule)
    return found
