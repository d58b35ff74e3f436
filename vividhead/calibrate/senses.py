"""Which readings of a field are bad: those that the shipped filters refuse, or as told here where they have no rule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vividhead.policy import Policy, Rule

Sense = Literal["low", "high", "size", "known"]

WITHOUT_RULE: Mapping[str, Sense] = {
    "lip_sync.peak": "low", "motion.mouth_std": "low", "audio_quality.snr_db": "low", "audio_quality.decay_s": "high",
    "expression.mouth_active_fraction": "low", "artifacts.blocking": "high", "jump_cut.largest_jump": "high",
    "overlay.swapped_fraction": "high",
    "detail.motion_blur_anisotropy": "high", "detail.true_resolution_fraction": "low",
    "identity.worst_pair_similarity": "low", "identity.largest_step": "high", "identity.switch_at_s": "known",
    "lip_sync_syncnet.lse_c": "low", "lip_sync_syncnet.lse_d": "high", "lip_sync_syncnet.offset_frames": "size",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Direction:
    """How a field's readings are ordered from good to bad."""

    field: str
    sense: Sense
    rule: Rule | None
    centre: float = 0.0
    """Of sense `size`: the reading that is best of all, midway between the rule's limits."""

    def badness(self, value: float | None) -> float:
        """Larger is worse; a field without a value is worst, but where to have one at all is a fault."""
        if self.sense == "known":
            return 0.0 if value is None else 1.0
        if value is None:
            return math.inf
        if self.sense == "size":
            return abs(value - self.centre)
        return -value if self.sense == "low" else value

    def limit(self, badness: float) -> float:
        """A limit on badness as one on the field."""
        return -badness if self.sense == "low" else badness

    def badness_of(self, limit: float) -> float:
        """A limit on the field as one on badness."""
        return -limit if self.sense == "low" else limit

    @property
    def accepts_unmeasured(self) -> bool:
        """Does the rule let a clip without a value pass?"""
        return self.rule is not None and self.rule.unmeasured == "accept"

    @property
    def shipped(self) -> float | None:
        """The rule's limit (of sense `size`: half its range), or None without a rule."""
        if self.rule is None:
            return None
        if self.rule.min is not None and self.rule.max is not None:
            return (self.rule.max - self.rule.min) / 2
        return self.rule.min if self.sense == "low" else self.rule.max


def directions(policy: Policy) -> dict[str, Direction]:
    """Field → direction, of all fields that have one."""
    found = {field: Direction(field, sense, None) for field, sense in WITHOUT_RULE.items()}
    for rule in policy.rules:
        if rule.min is not None and rule.max is not None:
            found[rule.id] = Direction(rule.id, "size", rule, (rule.min + rule.max) / 2)
        else:
            found[rule.id] = Direction(rule.id, "low" if rule.max is None else "high", rule)
    return found
