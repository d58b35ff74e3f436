"""Which part of the dataset a component goes to: by chance, but by the same chance whenever it is asked again.

A component is stood for by the source in it whose hash is smallest, and goes where a second hash of that source
falls between 0 and 1. Sources that were in an earlier splits.parquet stay where they were. When what is added joins
components of different parts, all of them go to the first of train, val, test that is among them: what a model may
have learned from never becomes a test.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from vividhead.errors import UsageError

SPLITS = ("train", "val", "test")


def ratios_of(text: str) -> tuple[float, ...]:
    """`0.9,0.05,0.05` as shares of train, val and test. Raises UsageError."""
    try:
        parts = tuple(float(part) for part in text.split(","))
    except ValueError as fault:
        raise UsageError(f"--ratios {text}: three numbers are needed, as in 0.9,0.05,0.05") from fault
    if len(parts) != len(SPLITS) or not all(0 <= part <= 1 for part in parts) or abs(sum(parts) - 1) > 1e-6:
        raise UsageError(f"--ratios {text}: {', '.join(SPLITS)} must each be 0 … 1 and sum to 1")
    return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Where each source goes."""

    split: dict[str, str]
    """source_id → train, val or test."""
    moved: dict[str, tuple[str, str]]
    """source_id → (split before, split now), of those that a merge moved."""


def assigned(
    groups: Sequence[Sequence[str]], ratios: Sequence[float], seed: int, before: Mapping[str, str]
) -> Assigned:
    """Give each group of source ids its part; `before` holds those of an earlier run."""
    split: dict[str, str] = {}
    moved: dict[str, tuple[str, str]] = {}
    for group in groups:
        earlier = {before[source] for source in group if source in before}
        part = next((name for name in SPLITS if name in earlier), None) or _drawn(group, ratios, seed)
        for source in group:
            split[source] = part
            if before.get(source, part) != part:
                moved[source] = (before[source], part)
    return Assigned(split=split, moved=moved)


def _drawn(group: Sequence[str], ratios: Sequence[float], seed: int) -> str:
    leader = min(group, key=lambda source: _chance("leader", seed, source))
    chance = _chance("split", seed, leader)
    return next((name for name, end in zip(SPLITS, accumulate(ratios), strict=True) if chance < end), SPLITS[0])


def _chance(what: str, seed: int, source: str) -> float:
    """A number in 0 … 1 that these three always give."""
    return int.from_bytes(hashlib.sha256(f"{what}/{seed}/{source}".encode()).digest()[:8], "big") / 2**64
