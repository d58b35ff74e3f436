"""`vividhead plan` on real files, and its forecast beside what a run made of them."""

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vividhead.cli import main
from vividhead.errors import DatasetError, UsageError
from vividhead.pipeline import load_pipeline
from vividhead.plan import Plan, plan, read, written
from vividhead.plan.fact import compared
from vividhead.plan.footage import File, Footage, There
from vividhead.plan.forecast import Cluster
from vividhead.plan.text import beside_fact, shown
from vividhead.plan.trial import LEAST_FILES, _spent, drawn, exhaustive
from vividhead.records import Listed

if TYPE_CHECKING:
    from conftest import Whole
    from faults.film import Film


@pytest.fixture(scope="module")
def planned(film: "Film") -> Plan:
    return plan(str(film.folder), share=1.0, cluster=Cluster(nodes=3, cores=4), pipeline="talking-head")


def test_each_file_is_tried_as_the_main_job_would(planned: Plan, film: "Film") -> None:
    found = {Path(trial.uri).name: trial for trial in planned.trials}
    kept, small = found[film.kept.name], found[film.small.name]
    # Which of the twins is drawn first hangs on the folder's name; only that one is looked at.
    silent, twin = sorted((found[film.silent.name], found[film.twin.name]), key=lambda trial: -trial.cpu_s["scan"])
    assert [t.outcome for t in (kept, small, silent, twin)] == ["kept", "rejected", "rejected", "duplicate"]
    assert kept.kept_s > 3 and kept.packed_bytes > 10_000 and small.kept_s == small.packed_bytes == 0
    assert kept.cpu_s["pack"] > 0 and small.cpu_s["pack"] == 0
    assert small.cpu_s["measure"] > 0 and silent.cpu_s["measure"] == 0 and silent.cpu_s["scan"] > 0


def test_what_a_hard_rule_spares_is_measured_all_the_same_for_the_order(planned: Plan, film: "Film") -> None:
    small = next(trial for trial in planned.trials if Path(trial.uri).name == film.small.name)
    assert small.score_cpu_s["lip_sync"] > 0
    assert planned.order.clips == 2
    refusing = {cost.score: cost.refuses for cost in planned.order.costs}
    assert 0.2 < refusing["framing"] < 0.8 and refusing["loudness"] == 0
    assert set(planned.order.cheapest) == set(load_pipeline().measure.scores)


def test_a_plan_of_everything_comes_true(planned: Plan, whole: "Whole", film: "Film", tmp_path: Path) -> None:
    path = written(planned, tmp_path / "plan.json")
    assert read(path) == planned
    lines = {line.what: line for line in compared(read(path), whole.dataset)}
    assert lines["kept"].fact == pytest.approx(planned.forecast.kept_h.estimate, rel=0.05)
    assert lines["kept"].is_within and lines["shards"].is_within
    assert lines["footage"].fact == pytest.approx(film.duration_s / 3600, rel=0.01)
    assert "within" in beside_fact(list(lines.values()))


def test_people_read_what_there_is_what_it_costs_and_the_order(planned: Plan) -> None:
    text = shown(planned)
    assert "6 files, 2 of them unreadable" in text and "tried: 4 files" in text
    assert "3 × 4 cores" in text and "cheapest order: " in text


def test_stages_cost_what_they_cost_as_the_pipeline_has_it_and_scores_what_they_cost_in_all(tmp_path: Path) -> None:
    def line(stage: str, cpu_s: float, everything: bool, **scores: float) -> str:
        return json.dumps({"uri": "a", "stage": stage, "cpu_s": cpu_s, "scores": scores, "everything": everything})

    lines = [line("measure", 3.0, False, framing=1.0), line("more", 1.0, False, sharpness=0.5)]
    lines.append(line("more", 20.0, True, identity=9.0, sharpness=0.5))
    (tmp_path / "costs.jsonl").write_text("\n".join(lines))
    spent = _spent(tmp_path / "dataset")
    assert spent.stages["a"] == {"ingest": 0, "scan": 0, "measure": 4.0, "pack": 0}
    assert spent.scores["a"] == {"framing": 1.0, "sharpness": 1.0, "identity": 9.0}


def test_a_larger_sample_adds_to_a_smaller_one() -> None:
    files = tuple(File(Listed(uri=f"{number}.mp4"), 60.0) for number in range(100))
    summary = Footage(files=100, unreadable=0, duration_s=6000.0, guessed_s=0.0, bytes=1)
    there = There(summary, files)
    few, more, whole = drawn(there, 0.095, 0), drawn(there, 0.495, 0), drawn(there, 1.0, 0)
    assert (len(few), len(more), len(whole)) == (10, 50, 100)
    assert few == more[:10] and more == whole[:50]
    assert sorted(whole, key=files.index) == list(files)
    assert drawn(there, 1.0, 1) != whole != list(files), "in an order of chance, another for each seed"
    assert len(drawn(there, 0.001, 0)) == LEAST_FILES


@pytest.mark.parametrize("text", ["", "[measure]\n", "[measure]\nexhaustive = false  # no\n[pack]\ncrf = 20\n"])
def test_everything_is_measured_whatever_the_pipeline_says_of_it(text: str) -> None:
    changed: dict[str, Any] = tomllib.loads(exhaustive(text))
    assert changed["measure"]["exhaustive"] is True
    assert changed.get("pack") == tomllib.loads(text).get("pack")


@pytest.mark.parametrize(
    ("sample", "told"), [("0", "more than nothing"), ("101%", "at most 100%"), ("some", "1% or 0.01")]
)
def test_a_sample_that_is_none_is_refused_before_work(
    sample: str, told: str, film: "Film", capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(film.folder), "--sample", sample, "--quiet"]) == 2
    assert told in capsys.readouterr().err


def test_what_is_no_plan_is_said(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"format": 99}))
    with pytest.raises(DatasetError, match="no plan that this version reads"):
        read(path)
    path.write_text("{")
    with pytest.raises(DatasetError, match="is no plan"):
        read(path)
    with pytest.raises(UsageError, match="more than nothing"):
        plan(str(tmp_path), share=0, cluster=Cluster(), pipeline="talking-head")
