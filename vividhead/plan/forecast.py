"""From files tried to all of them: ratios to seconds of footage, with intervals by bootstrap over files."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vividhead.pipeline import Pipeline
from vividhead.plan.footage import Footage
from vividhead.plan.trial import STAGES, Trial

DRAWS = 2000
INTERVAL = 0.9
"""Share of the draws that an interval holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What the run would have."""

    nodes: int = 1
    cores: int = 2
    """Of each node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """An estimate and the interval that holds 90 % of what other samples of as many files would have said."""

    low: float
    estimate: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Of all the footage."""

    files_tried: int
    tried_s: float
    kept_h: Range
    core_h: Range
    core_h_by_stage: dict[str, Range]
    gpu_h: Range
    """What the pipeline's stages reserve of GPUs while they compute; 0 where none asks for one."""
    packed_gb: Range
    """Shards, 1e9 bytes; the ledger holds as much again while a run is at work."""
    wall_h: Range
    """On the cluster, all cores busy: no waiting for storage, no tail."""
    cluster: Cluster


def forecast_of(trials: Sequence[Trial], footage: Footage, cluster: Cluster, pipeline: Pipeline) -> Forecast:
    """Ratio estimates: sums over the files tried, divided by their seconds, times all seconds."""
    needs = pipeline.resources
    gpus = {stage: getattr(needs, stage).gpus for stage in STAGES}
    lengths_F = np.array([trial.duration_s for trial in trials])
    draws_DF = _draws(len(trials), pipeline.seed)

    def in_all(amount: Callable[[Trial], float], unit: float) -> Range:
        amounts_F = np.array([amount(trial) for trial in trials])
        scale = footage.duration_s / unit
        drawn_D = (draws_DF @ amounts_F) / np.maximum(draws_DF @ lengths_F, 1e-9) * scale
        low, high = np.quantile(drawn_D, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
        return Range(low=float(low), estimate=float(amounts_F.sum() / lengths_F.sum() * scale), high=float(high))

    core_h = in_all(lambda trial: sum(trial.cpu_s.values()), 3600)
    count = cluster.nodes * cluster.cores
    return Forecast(
        files_tried=len(trials), tried_s=float(lengths_F.sum()),
        kept_h=in_all(lambda trial: trial.kept_s, 3600),
        core_h=core_h,
        core_h_by_stage={stage: in_all(partial(_cpu_s, stage), 3600) for stage in STAGES},
        gpu_h=in_all(lambda trial: sum(gpus[stage] * _cpu_s(stage, trial) for stage in STAGES), 3600),
        packed_gb=in_all(lambda trial: trial.packed_bytes, 1e9),
        wall_h=Range(low=core_h.low / count, estimate=core_h.estimate / count, high=core_h.high / count),
        cluster=cluster,
    )  # fmt: skip


def _cpu_s(stage: str, trial: Trial) -> float:
    return trial.cpu_s.get(stage, 0.0)


def _draws(files: int, seed: int) -> NDArray[np.float64]:
    """How often each draw with replacement holds each file."""
    name = hashlib.sha256(f"plan {seed}".encode()).digest()[:4]
    chosen_DF = np.random.default_rng(int.from_bytes(name, "little")).integers(0, files, (DRAWS, files))
    counts_DF = np.zeros((DRAWS, files))
    np.add.at(counts_DF, (np.arange(DRAWS)[:, None], chosen_DF), 1)
    return counts_DF
