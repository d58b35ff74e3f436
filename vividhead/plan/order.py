"""In which order scores would say no most cheaply, as measured: seconds refused for each CPU second spent.

Greedy: of the scores left, the one with the least cost for each second of clip that it refuses among those still in.
For scores that refuse independently of one another that is the best order there is (Hellerstein 1994, predicates by
rank); with none left that refuses anything, the rest follow by cost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vividhead.cascade import in_cost_order
from vividhead.plan.trial import Trial, TriedClip
from vividhead.policy import Policy, broken_hard


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCost:
    """Of one score, on the clips tried."""

    score: str
    cpu_ms_per_s: float
    """Of a second of clip."""
    refuses: float
    """Share of the seconds that its hard rules refuse, asked first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOrder:
    """What a run does, and what would be cheapest."""

    clips: int
    costs: tuple[ScoreCost, ...]
    """In the order that a run has."""
    cheapest: tuple[str, ...]
    cpu_ms_per_s_now: float
    """Of scores, for a second of candidate clip, in the order that a run has."""
    cpu_ms_per_s_cheapest: float


def cheapest_order(
    trials: Sequence[Trial], clips: Sequence[TriedClip], names: Sequence[str], policy: Policy
) -> ScoreOrder:
    """Of the scores of a pipeline; without candidate clips nothing is known and nothing is changed."""
    now = in_cost_order(names)
    total_s = sum(clip.duration_s for clip in clips)
    spent = {name: sum(trial.score_cpu_s.get(name, 0.0) for trial in trials) for name in now}
    ms_per_s = {name: 1000 * spent[name] / total_s if total_s else 0.0 for name in now}

    def refused_s(name: str, among: Sequence[TriedClip]) -> float:
        return sum(clip.duration_s for clip in among if _refuses(policy, name, clip))

    cheapest, left = _greedy(now, clips, ms_per_s, refused_s, policy)
    share = {name: refused_s(name, clips) / total_s if total_s else 0.0 for name in now}
    return ScoreOrder(
        clips=len(clips),
        costs=tuple(ScoreCost(score=name, cpu_ms_per_s=ms_per_s[name], refuses=share[name]) for name in now),
        cheapest=(*cheapest, *left),
        cpu_ms_per_s_now=_cost(now, clips, ms_per_s, policy),
        cpu_ms_per_s_cheapest=_cost([*cheapest, *left], clips, ms_per_s, policy),
    )


def _greedy(
    names: Sequence[str], clips: Sequence[TriedClip], ms_per_s: Mapping[str, float],
    refused_s: Callable[[str, Sequence[TriedClip]], float], policy: Policy,
) -> tuple[list[str], list[str]]:  # fmt: skip
    """Scores that refuse something of what is left when their turn comes, and the others."""
    chosen: list[str] = []
    left, still = list(names), list(clips)
    while True:
        refusing = {name: seconds for name in left if (seconds := refused_s(name, still))}
        if not refusing:
            return chosen, left
        best = min(refusing, key=lambda name: (ms_per_s[name] / refusing[name], name))
        chosen.append(best)
        left.remove(best)
        still = [clip for clip in still if not _refuses(policy, best, clip)]


def _refuses(policy: Policy, name: str, clip: TriedClip) -> bool:
    row = clip.rows.get(name)
    return row is not None and broken_hard(policy, {name: row})


def _cost(order: Sequence[str], clips: Sequence[TriedClip], ms_per_s: Mapping[str, float], policy: Policy) -> float:
    """CPU milliseconds for a second of clip when each is measured until it is refused."""
    total_s = sum(clip.duration_s for clip in clips)
    spent_ms = 0.0
    for clip in clips:
        for name in order:
            spent_ms += ms_per_s[name] * clip.duration_s
            if _refuses(policy, name, clip):
                break
    return spent_ms / total_s if total_s else 0.0
