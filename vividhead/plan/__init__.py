"""`vividhead plan`: what a whole run would cost and yield, from a sample of the footage. No dataset is touched.

footage.py   how much there is, from headers alone
trial.py     files drawn by chance go through the main job; CPU seconds of each stage and score
forecast.py  ratios to the footage, with intervals by bootstrap over files
order.py     the order of the scores in which saying no would be cheapest
fact.py      the forecast beside what a run came to
text.py      all of it for people
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vividhead.errors import DatasetError, StorageError, UsageError
from vividhead.ledger import write_atomically
from vividhead.pipeline import load_pipeline
from vividhead.plain import from_plain, to_plain
from vividhead.plan.footage import Footage, footage_at
from vividhead.plan.forecast import Cluster, Forecast, forecast_of
from vividhead.plan.order import ScoreOrder, cheapest_order
from vividhead.plan.trial import Trial, drawn, tried
from vividhead.policy import load_policy
from vividhead.progress import Progress

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `vividhead plan` found, as its JSON has it."""

    format: int = FORMAT
    where: str
    pipeline: str
    filters: str
    seed: int
    footage: Footage
    trials: tuple[Trial, ...]
    forecast: Forecast
    order: ScoreOrder


def plan(
    where: str, *, share: float, cluster: Cluster, pipeline: str, filters: str | None = None,
    progress: Progress | None = None,
) -> Plan:  # fmt: skip
    """Curate a `share` (0 … 1) of the seconds of the footage, at least a few files, and forecast the rest.

    Raises ConfigError or UsageError before anything is measured; footage that cannot be used is part of the forecast.
    """
    if not 0 < share <= 1:
        raise UsageError(f"--sample {share:.3%}: more than nothing and at most 100% of the footage")
    chosen = load_pipeline(pipeline)
    policy = load_policy(filters if filters is not None else chosen.filters, chosen.measure.scores)
    there = footage_at(where)
    trials, clips = tried(drawn(there, share, chosen.seed), chosen, filters or chosen.filters, progress or Progress())
    return Plan(
        where=where, pipeline=chosen.name, filters=policy.name, seed=chosen.seed, footage=there.summary, trials=trials,
        forecast=forecast_of(trials, there.summary, cluster, chosen),
        order=cheapest_order(trials, clips, chosen.measure.scores, policy),
    )  # fmt: skip


def written(found: Plan, path: Path) -> Path:
    """Write a plan as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(to_plain(found), indent=1) + "\n").encode())
    return path


def read(path: Path) -> Plan:
    """A plan that was written. Raises DatasetError where it is none."""
    try:
        stored: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise StorageError(f"{path}: {fault.strerror}") from fault
    except ValueError as fault:
        raise DatasetError(f"{path} is no plan: {fault}") from fault
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise DatasetError(f"{path} is no plan that this version reads; make it anew with `vividhead plan FOOTAGE`")
    return from_plain(Plan, stored)
