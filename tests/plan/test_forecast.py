"""From a few files to all: ratios, and intervals that hold the truth as often as they say."""

import numpy as np
import pytest

from vividhead.pipeline import Needs, Pipeline, Resources
from vividhead.plan.footage import Footage
from vividhead.plan.forecast import Cluster, forecast_of
from vividhead.plan.trial import Trial

HOUR = 3600.0


def trial(duration_s: float, kept_s: float, measure_s: float = 0.0) -> Trial:
    cpu_s = {"ingest": 1.0, "scan": 2.0, "measure": measure_s, "pack": 0.5}
    return Trial(
        uri="a.mp4", duration_s=duration_s, kept_s=kept_s, packed_bytes=int(kept_s * 1e6), outcome="kept",
        cpu_s=cpu_s, score_cpu_s={},
    )  # fmt: skip


def all_of(hours: float) -> Footage:
    return Footage(files=100, unreadable=0, duration_s=hours * HOUR, guessed_s=0.0, bytes=10**9)


def test_a_sample_of_like_files_leaves_no_doubt() -> None:
    found = forecast_of([trial(60.0, 6.0, 30.0)] * 4, all_of(10), Cluster(nodes=2, cores=5), Pipeline())
    assert (found.kept_h.low, found.kept_h.estimate, found.kept_h.high) == pytest.approx((1.0, 1.0, 1.0))
    assert found.core_h.estimate == pytest.approx(10 * 33.5 / 60)
    assert found.core_h_by_stage["measure"].estimate == pytest.approx(5.0)
    assert sum(stage.estimate for stage in found.core_h_by_stage.values()) == pytest.approx(found.core_h.estimate)
    assert found.wall_h.estimate == pytest.approx(found.core_h.estimate / 10)
    assert found.packed_gb.estimate == pytest.approx(3600 * 1e6 / 1e9)
    assert found.gpu_h.estimate == 0


def test_long_files_count_for_as_many_seconds_as_they_have() -> None:
    found = forecast_of([trial(900.0, 0.0), trial(100.0, 100.0)], all_of(10), Cluster(), Pipeline())
    assert found.kept_h.estimate == pytest.approx(1.0)
    assert found.kept_h.low == 0 and found.kept_h.high == pytest.approx(10.0)


def test_gpus_are_reserved_while_their_stage_computes() -> None:
    pipeline = Pipeline(resources=Resources(measure=Needs(gpus=0.25)))
    found = forecast_of([trial(60.0, 6.0, 30.0)] * 3, all_of(10), Cluster(), pipeline)
    assert found.gpu_h.estimate == pytest.approx(0.25 * 5.0)


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(0)
    world = [
        trial(float(d), float(d * k)) for d, k in zip(chance.uniform(60, 600, 400), chance.beta(1, 6, 400), strict=True)
    ]
    truth = sum(t.kept_s for t in world) / HOUR
    footage = all_of(sum(t.duration_s for t in world) / HOUR)
    held = 0
    for _ in range(60):
        tried = [world[i] for i in chance.choice(400, 40, replace=False)]
        kept = forecast_of(tried, footage, Cluster(), Pipeline()).kept_h
        held += kept.low <= truth <= kept.high
    assert 45 <= held <= 60


def test_the_same_sample_says_the_same_twice() -> None:
    tried = [trial(100.0, float(k)) for k in range(8)]
    assert forecast_of(tried, all_of(1), Cluster(), Pipeline()) == forecast_of(tried, all_of(1), Cluster(), Pipeline())
