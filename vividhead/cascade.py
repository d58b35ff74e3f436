"""Scores in order of cost, and a stop at the first broken hard rule: the cost of saying no stays small."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from vividhead import score
from vividhead.policy import Policy, broken_hard
from vividhead.records import Measurement

TELLING_EARLY = ("framing", "other_faces")
"""Scores that read boxes and looks alone, no picture, and say of a clip's beginning about what they say of it all."""


def in_cost_order(names: Sequence[str]) -> list[str]:
    """Score names, cheapest first."""
    return list(_in_cost_order(tuple(names)))


@lru_cache
def _in_cost_order(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: (score.score_class(name).cost_ms_per_s, name)))


def is_known(row: Measurement | None) -> bool:
    """Is there an answer by the present version of the score, and by the model file that is there? Skipped is none."""
    if row is None or row.status == "skipped" or row.version != score.score_class(row.score).version:
        return False
    return score.model_in_use(row.score) in row.fingerprint


def wants_more(names: Sequence[str], have: Mapping[str, Measurement], policy: Policy, exhaustive: bool) -> bool:
    """Would `policy` measure something of this clip that is not known yet?"""
    for name in _in_cost_order(tuple(names)):
        row = have.get(name)
        if row is None or not is_known(row):
            return True
        if not exhaustive and broken_hard(policy, {name: row}):
            return False
    return False


def looks_hopeless(names: Sequence[str], media: score.ClipMedia, policy: Policy, exhaustive: bool) -> bool:
    """Would a hard rule refuse the clip if it ended here? No verdict: what follows may turn it."""
    if exhaustive:
        return False
    early = [name for name in TELLING_EARLY if name in names]
    return broken_hard(policy, {name: score.measure(name, media) for name in early})


def run_scores(
    names: Sequence[str],
    media: score.ClipMedia,
    have: Mapping[str, Measurement],
    policy: Policy,
    exhaustive: bool,
) -> dict[str, Measurement]:
    """Measure what is not known yet, cheapest first; after a broken hard rule the rest is `skipped`.

    Returns a row for every name, in the order of `names`.
    """
    rows = {name: row for name, row in have.items() if is_known(row)}
    judged: dict[str, Measurement] = {}
    for name in in_cost_order(names):
        if name not in rows:
            if not exhaustive and broken_hard(policy, judged):
                rows[name] = _skipped(name, media.clip.clip_id)
            else:
                rows[name] = score.measure(name, media)
        judged[name] = rows[name]
    return {name: rows[name] for name in names}


def _skipped(name: str, clip_id: str) -> Measurement:
    version = score.score_class(name).version
    return Measurement(clip_id=clip_id, score=name, version=version, fingerprint="", status="skipped")
