"""The benchmark of the loader runs, and its figures hang together."""

import json
from pathlib import Path

import pytest

from tests.packed import SIDE
from vividhead.cli import main
from vividhead.loader import WindowPlan
from vividhead.loader.bench import bench_loader, table


def test_figures_hang_together(packed: Path) -> None:
    figures = bench_loader(packed, WindowPlan(), side_px=SIDE, batch_size=2, workers=0, seconds=0.3)
    assert (figures["clips"], figures["windows"], figures["window_frames"]) == (6, 18, 33)
    assert figures["frames_per_s"] == pytest.approx(figures["windows_per_s"] * 33, rel=0.01)
    assert figures["times_real_time"] == pytest.approx(figures["frames_per_s"] / 25, rel=0.01, abs=0.06)
    assert figures["plain_decode_frames_per_s"] > 0 and figures["cpu_ms_per_window"] > 0
    assert "6 clips, 18 windows of 33 frames at 64 px" in table(figures)


def test_the_verb_prints_them(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "loader", str(packed), "--side-px", "32", "--chunks", "5", "--seconds", "0.2", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["window_frames"] == 129


def test_the_verb_refuses_what_it_cannot_do(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "loader", str(packed), "--batch-size", "0"]) == 2
    assert main(["bench", "loader", str(packed), "--chunks", "40", "--side-px", "64"]) == 2
    said = capsys.readouterr().err
    assert "--batch-size 0: 1 or more" in said and "no clip is long enough" in said
