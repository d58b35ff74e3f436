"""Thresholds for a wanted number of hours: reached, tight, no worse than needed, and honest about what is not known."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vividhead.audit.clips import own_policy
from vividhead.audit.rejudge import rejudge
from vividhead.audit.tables import Tables
from vividhead.audit.tune import ALWAYS, NEVER, Scale, rounded, tune
from vividhead.audit.verdicts import PASSED, ScoreColumns, rule_kinds
from vividhead.cli import main
from vividhead.errors import UsageError
from vividhead.policy import Rule, load_policy
from vividhead.testing.large_dataset import make_large_dataset


@pytest.fixture(scope="module")
def tabled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_large_dataset(tmp_path_factory.mktemp("large") / "dataset", 3000, seed=5)


def hours_now(dataset: Path) -> float:
    return rejudge(dataset, "talking-head", write=False).kept_before.seconds / 3600


def test_fewer_hours_are_reached_from_above_and_closely(tabled: Path) -> None:
    target = hours_now(tabled) * 0.6
    found = tune(tabled, target)
    got = found.difference.kept_after.seconds / 3600
    assert target <= got < target * 1.05
    assert found.strictness > 1 and found.difference.gained.clips == 0
    before = {rule.id: rule for rule in own_policy(Tables(tabled)).rules}
    for rule in found.proposal.rules:
        assert (rule.min or 0) >= (before[rule.id].min or 0) or rule.min == before[rule.id].min
        if rule.max is not None:
            limit = before[rule.id].max
            assert limit is not None and rule.max <= limit


def test_more_hours_are_expected_by_loosening_and_no_rule_gets_tighter(tabled: Path) -> None:
    now = hours_now(tabled)
    found = tune(tabled, now * 1.3)
    assert found.strictness < 1 and found.expected_hours == pytest.approx(now * 1.3, rel=0.01)
    assert found.difference.lost.clips == 0 and found.difference.gained.clips > 0
    got = found.difference.kept_after.seconds / 3600
    undecided = found.difference.undecided.seconds / 3600
    assert now < got < found.expected_hours < got + undecided
    before = {rule.id: rule for rule in own_policy(Tables(tabled)).rules}
    assert all(r.min is None or r.min <= (before[r.id].min or 0) for r in found.proposal.rules)
    assert all(r.max is None or r.max >= (before[r.id].max or 0) for r in found.proposal.rules)


def test_the_hours_that_are_kept_now_need_no_change(tabled: Path) -> None:
    found = tune(tabled, hours_now(tabled) - 1e-6)
    assert found.difference.lost.clips <= 1 and found.difference.gained.clips == 0


def test_no_point_of_the_curve_is_there_twice(tmp_path: Path) -> None:
    curve = tune(make_large_dataset(tmp_path / "dataset", 12, seed=1), 0.001).curve
    told = [(round(point.strictness, 3), point.clips) for point in curve]
    assert len(told) == len(set(told)) > 5


def test_the_curve_falls_and_diversity_with_it(tabled: Path) -> None:
    curve = tune(tabled, 1.0).curve
    for one, other in itertools.pairwise(curve):
        assert other.strictness >= one.strictness
        assert other.expected_hours <= one.expected_hours + 1e-9 and other.diversity.sources <= one.diversity.sources
    at_1 = next(point for point in curve if point.strictness == 1.0)
    assert at_1.hours == pytest.approx(hours_now(tabled))
    assert {"speaker", "language", "licence"} == at_1.diversity.attributes.keys()


def test_a_fixed_rule_stays(tabled: Path) -> None:
    found = tune(tabled, hours_now(tabled) * 0.7, fixed=["head_pose.yaw_deg_p95"])
    (yaw,) = [rule for rule in found.proposal.rules if rule.id == "head_pose.yaw_deg_p95"]
    assert yaw.max == 45
    with pytest.raises(UsageError, match="--fix yaw: talking-head has no such rule"):
        tune(tabled, 1, fixed=["yaw"])


def test_hours_that_are_not_there_are_refused(tabled: Path) -> None:
    with pytest.raises(UsageError, match="even without limits"):
        tune(tabled, 1e6)
    for none in (0, -1, float("nan")):
        with pytest.raises(UsageError, match="more than 0 is needed"):
            tune(tabled, none)


def test_the_written_filters_are_read_again_and_judge_as_proposed(
    tabled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tuned.toml"
    target = hours_now(tabled) * 0.5
    arguments = ["tune", str(tabled), "--target-hours", str(target), "--write", str(path)]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    again = load_policy(str(path), own_policy(Tables(tabled)).rules and Tables(tabled).names("measurements"))
    assert again.digest == told["difference"]["filters"]["after"]["digest"]
    assert told["filters"] == path.read_text(encoding="utf-8")
    assert rejudge(tabled, str(path), write=False).kept_after.plain() == told["difference"]["kept_after"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "strictness" in text and "diversity  sources" in text
    assert main([*arguments[:-1], "tuned.json"]) == 2


VALUES = st.lists(st.sampled_from([-3.0, -1.0, 0.0, 0.5, 1.0, 2.0, 2.0, 4.0, 9.0]), min_size=1, max_size=25)
RULES = st.sampled_from(
    [
        Rule(score="framing", field="border_distance_fraction", min=0.5, why="a test"),
        Rule(score="framing", field="border_distance_fraction", max=1.0, why="a test"),
        Rule(score="framing", field="border_distance_fraction", min=-1.0, max=2.0, why="a test"),
    ]
)


@given(VALUES, RULES, st.floats(0, 2))
def test_a_clip_passes_the_moved_rule_just_up_to_its_place(values: list[float], rule: Rule, strictness: float) -> None:
    table = pa.table(
        {"clip_id": [str(n) for n in range(len(values))], "status": ["measured"] * len(values), rule.field: values}
    )
    columns = ScoreColumns("framing", table)
    scale = Scale.of(rule, columns, np.ones(len(values)), False)
    passes_N = rule_kinds(scale.rule_at(strictness), columns) == PASSED
    surely_N = scale.place_N >= strictness + 1e-4
    assert passes_N[surely_N].all()
    assert ((scale.place_N >= 1) == (rule_kinds(rule, columns) == PASSED)).all()
    loosest_N = rule_kinds(scale.rule_at(0.0), columns) == PASSED
    assert loosest_N.all() or strictness > 1


def test_clips_without_a_value_pass_always_or_never_or_are_not_known() -> None:
    table = pa.table(
        {
            "clip_id": list("abcd"), "status": ["unmeasurable", "failed", "skipped", "measured"],
            "border_distance_fraction": [None, None, None, 0.7],
        }
    )  # fmt: skip
    rule = Rule(score="framing", field="border_distance_fraction", min=0.5, why="a test")
    rejecting = Scale.of(rule, ScoreColumns("framing", table), np.ones(4), False)
    accepting = Scale.of(replace(rule, unmeasured="accept"), ScoreColumns("framing", table), np.ones(4), False)
    assert rejecting.place_N[:2].tolist() == [NEVER, NEVER] and np.isnan(rejecting.place_N[2])
    assert accepting.place_N[:2].tolist() == [ALWAYS, NEVER]


@given(st.floats(-1e6, 1e6).filter(lambda v: abs(v) > 1e-6))
def test_rounding_goes_outwards_and_is_near(value: float) -> None:
    up, down = rounded(value, 1), rounded(value, -1)
    assert down <= value + abs(value) * 1e-9 and up >= value - abs(value) * 1e-9
    assert up - down <= abs(value) * 2.1e-3
