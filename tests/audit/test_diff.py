"""Two datasets compared: nothing where they are one, and every kind of difference by its name."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from audit.spoilt import change_rows, set_cell
from vividhead.audit.diff import diff, told
from vividhead.cli import main
from vividhead.manifest import read
from vividhead.pipeline import load_pipeline
from vividhead.policy import load_policy
from vividhead.testing.large_dataset import make_large_dataset

POSE = "measurements/head_pose/measurements.parquet"
DECISIONS = f"decisions/{load_policy('talking-head', load_pipeline().measure.scores).digest}/decisions.parquet"


@pytest.fixture(scope="module")
def tabled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_large_dataset(tmp_path_factory.mktemp("large") / "dataset", 200, seed=6)


@pytest.fixture
def other(tabled: Path, tmp_path: Path) -> Path:
    shutil.copytree(tabled, tmp_path / "other")
    return tmp_path / "other"


def test_a_copy_says_the_same(tabled: Path, other: Path) -> None:
    found = diff(tabled, other)
    assert found["same"] is True
    assert told(found).endswith("say the same")


def test_two_strangers_share_nothing(tabled: Path, tmp_path: Path) -> None:
    stranger = make_large_dataset(tmp_path / "stranger", 100, seed=7, filters="strict")
    found = diff(tabled, stranger)
    assert found["same"] is False and found["clips"]["both"] == 0 and found["sources"]["both"] == 0
    assert found["clips"]["only_a"]["clips"] == 200 and found["clips"]["only_b"]["clips"] == 100
    assert found["settings"]["filters.name"] == ["talking-head", "strict"]
    assert found["rules"]["head_pose.yaw_deg_p95"][0]["max"] == 45
    assert "rule head_pose.yaw_deg_p95: max 45.0 ▶ max 25.0" in told(found)


def test_each_change_is_found_where_it_is(tabled: Path, other: Path) -> None:
    kept = read(tabled / DECISIONS)["kept"].to_pylist()
    row = kept.index(True)
    set_cell(other / DECISIONS, row, kept=False)
    clip = read(tabled / POSE).to_pylist()[row]
    set_cell(other / POSE, row, yaw_deg_p95=clip["yaw_deg_p95"] + 2)
    set_cell(other / "sources.parquet", 0, outcome="rejected", code="source.hdr")
    set_cell(other / "manifest.parquet", 0, shard_sha256="0" * 64)
    found: dict[str, Any] = diff(tabled, other)
    assert found["decisions"]["lost"]["clips"] == 1 and found["decisions"]["gained"]["clips"] == 0
    assert found["decisions"]["changed"] == [{"clip_id": clip["clip_id"], "became": "lost"}]
    assert found["measurements"]["head_pose"]["yaw_deg_p95"]["clips"] == 1
    assert found["measurements"]["head_pose"]["yaw_deg_p95"]["largest_difference"] == pytest.approx(2)
    assert found["sources"]["outcome_changed"][0]["was"] == "ready"
    assert found["shards"]["changed"] or found["shards"]["only_b"] == []
    text = told(found)
    assert "score head_pose: other values of yaw_deg_p95 1 clips (by 2 at most)" in text


def test_a_dropped_clip_is_only_in_one_and_the_way_back_mirrors(tabled: Path, other: Path) -> None:
    for table in ("clips.parquet", DECISIONS):
        change_rows(other / table, lambda rows: rows[1:])
    there, back = diff(tabled, other), diff(other, tabled)
    assert there["clips"]["only_a"]["clips"] == 1 == back["clips"]["only_b"]["clips"]
    assert there["clips"]["only_b"]["clips"] == 0 == back["clips"]["only_a"]["clips"]


def test_the_command_prints_both_ways(tabled: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(tabled), str(other)]) == 0
    assert "say the same" in capsys.readouterr().out
    assert main(["diff", str(tabled), str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True
