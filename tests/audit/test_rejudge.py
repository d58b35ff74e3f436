"""Other filters on the same measurements: who comes and goes, and by which rule."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import Whole
from faults.film import LEAST_FACE_PX

from vividhead.audit.rejudge import rejudge
from vividhead.audit.verify import verify
from vividhead.cli import main
from vividhead.errors import DatasetError
from vividhead.ledger import sole_writer
from vividhead.manifest import read
from vividhead.shipped import shipped
from vividhead.testing.large_dataset import make_large_dataset

N = 2000


@pytest.fixture(scope="module")
def tabled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_large_dataset(tmp_path_factory.mktemp("large") / "dataset", N, seed=2)


def filters(tmp_path: Path, **change: str) -> str:
    """The default filters with other lines for some rules; empty takes a rule away."""
    lines = (shipped("filters") / "talking-head.toml").read_text(encoding="utf-8").splitlines()
    for rule, line in change.items():
        name = rule.replace("__", ".")
        lines = [(f"{name} = {line}" if line else "") if text.startswith(f"{name} ") else text for text in lines]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_the_same_filters_change_nothing(tabled: Path) -> None:
    found = rejudge(tabled, "talking-head")
    assert (found.gained.clips, found.lost.clips, found.written) == (0, 0, None)
    assert found.kept_before == found.kept_after and 0 < found.kept_after.clips < N


def test_a_loosened_rule_gains_just_what_it_alone_refused(tabled: Path, tmp_path: Path) -> None:
    before = {rule.id: rule for rule in rejudge(tabled, "talking-head").rules}
    yaw = "head_pose.yaw_deg_p95"
    found = rejudge(tabled, filters(tmp_path, head_pose__yaw_deg_p95=""), shown=3)
    alone = before[yaw].alone
    assert alone.clips > 5 and found.lost.clips == 0
    assert found.gained == alone  # a soft rule: everything else was measured
    after = {rule.id: rule for rule in found.rules}
    assert after[yaw].gained == found.gained and after[yaw].after is None and after[yaw].broken_after is None
    assert [c["because"] for c in found.changed] == [[f"{yaw}:high"]] * 3


def test_a_tightened_rule_loses_clips_and_says_so_in_decisions(tabled: Path, tmp_path: Path) -> None:
    line = '{ min = 80, hard = true, why = "sharper" }'
    found = rejudge(tabled, filters(tmp_path, sharpness__blurs_per_face_p10=line))
    assert found.gained.clips == 0 and found.lost.clips > 5
    sharp = next(rule for rule in found.rules if rule.id == "sharpness.blurs_per_face_p10")
    assert sharp.lost == found.lost
    assert found.written is not None
    rows = read(Path(found.written)).to_pylist()
    assert sum(row["kept"] for row in rows) == found.kept_after.clips
    assert verify(tabled).findings == []  # the new decisions are those of the filters beside them


def test_nothing_is_written_while_another_process_writes(tabled: Path, tmp_path: Path) -> None:
    mine = filters(tmp_path, framing__border_distance_fraction="")
    before = sorted(tabled.rglob("*"))
    with sole_writer(tabled):
        with pytest.raises(DatasetError, match="is being written by process"):
            rejudge(tabled, mine)
        assert rejudge(tabled, mine, write=False).written is None
        assert rejudge(tabled, "talking-head").written is None
    assert [path for path in sorted(tabled.rglob("*")) if path.name != ".lock"] == [
        path for path in before if path.name != ".lock"
    ]
    assert rejudge(tabled, mine).written is not None


def test_what_was_never_measured_is_undecided_not_gained(whole: Whole, tmp_path: Path) -> None:
    shutil.copytree(whole.dataset, tmp_path / "dataset")
    line = f'{{ min = {LEAST_FACE_PX}, hard = true, why = "small ones too" }}'
    found = rejudge(tmp_path / "dataset", filters(tmp_path, framing__face_height_px_in_source=line))
    assert (found.gained.clips, found.lost.clips, found.undecided.clips) == (0, 0, 1)


def test_the_command_shows_the_rules_and_prints_json(
    tabled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = filters(tmp_path, head_pose__yaw_deg_p95="")
    assert main(["rejudge", str(tabled), "--filters", mine, "--show", "2"]) == 0
    text = capsys.readouterr().out
    assert "clips that change (2 of " in text and "no rule" in text
    assert main(["rejudge", str(tabled), "--filters", "strict", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["filters"]["after"]["name"] == "strict"
    assert told["kept_before"]["clips"] + told["gained"]["clips"] - told["lost"]["clips"] == told["kept_after"]["clips"]


def test_the_maker_is_deterministic(tmp_path: Path) -> None:
    one, two = (make_large_dataset(tmp_path / name, 50, seed=3) for name in ("one", "two"))
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert files and all((one / f).read_bytes() == (two / f).read_bytes() for f in files)
    other = make_large_dataset(tmp_path / "other", 50, seed=4)
    assert (other / "clips.parquet").read_bytes() != (one / "clips.parquet").read_bytes()
