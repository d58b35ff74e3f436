import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vividhead.errors import StorageError, UsageError
from vividhead.flashhead.train import logs
from vividhead.flashhead.train.logs import Log, keep_until
from vividhead.flashhead.train.ranks import Place


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(logs, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed; the tests that want it take this away."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_line_has_the_means_since_the_line_before(tmp_path: Path) -> None:
    with Log(tmp_path, Place()) as log:
        log.add({"loss": torch.tensor(1.0), "t200": 5.0})
        log.add({"loss": torch.tensor(2.0, requires_grad=True)})
        log.write(2, {"learning_rate": 1e-4})
        log.add({"loss": torch.tensor(7.0, dtype=torch.bfloat16)})
        last = log.write(3)
    first, second = lines(tmp_path)
    assert {k: first[k] for k in ("step", "loss", "t200", "learning_rate")} == {
        "step": 2, "loss": 1.5, "t200": 5.0, "learning_rate": 1e-4,
    }  # fmt: skip
    assert second == last and second["loss"] == 7.0
    assert "t200" not in second and "samples_per_s" not in second


def test_utilisation_is_a_share_of_what_all_ranks_could_do(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fourfold = lambda totals: {name: (4 * total, count) for name, (total, count) in totals.items()}  # noqa: E731
    monkeypatch.setattr("vividhead.flashhead.train.logs.summed", fourfold)
    with Log(tmp_path, Place(rank=0, world=4), peak_flops_per_s=48.0) as log:
        log.add({}, samples=8, flops=48.0)
        clock.now_s += 2
        line = log.write(1)
        assert (line["samples_per_s"], line["mfu"]) == (16.0, 0.5)


def test_speed_leaves_out_what_is_done_aside(tmp_path: Path, clock: Clock) -> None:
    with Log(tmp_path, Place(), peak_flops_per_s=48.0) as log:
        log.add({}, samples=8, flops=48.0)
        clock.now_s += 2
        with log.aside():
            clock.now_s += 30
        line = log.write(1)
        assert (line["samples_per_s"], line["mfu"], line["time_s"]) == (4.0, 0.5, 32.0)
        clock.now_s += 4
        log.add({}, samples=4)
        assert log.write(2)["samples_per_s"] == 1.0


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    with Log(tmp_path, Place()) as log:
        log.add({"loss": float("nan"), "norm": float("inf")})
        log.write(1)
    assert lines(tmp_path)[0] | {"time_s": 0} == {"step": 1, "time_s": 0, "loss": None, "norm": None}


def test_a_resumed_run_tells_no_step_twice(tmp_path: Path, clock: Clock) -> None:
    with Log(tmp_path, Place()) as log:
        for step in (10, 20, 30):
            clock.now_s += 5
            log.write(step)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')  # killed
    with Log(tmp_path, Place(), resumed_step=20) as log:
        clock.now_s += 5
        log.write(30)
    assert [(line["step"], line["time_s"]) for line in lines(tmp_path)] == [(10, 5.0), (20, 10.0), (30, 15.0)]


def test_a_log_that_needs_no_change_is_not_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 1, "val": 2}\n')
    inode = path.stat().st_ino
    assert keep_until(path, 1) == {"step": 1, "val": 2}
    assert path.stat().st_ino == inode
    assert keep_until(path, 0) is None
    assert path.read_text() == ""
    assert keep_until(tmp_path / "none", 1) is None


def test_a_run_that_begins_anew_begins_its_log_anew(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 0, "time_s": 9}\n')
    Log(tmp_path, Place()).close()
    assert lines(tmp_path) == []


def test_only_the_first_rank_writes(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", Place(rank=1, world=2))
    log.add({"loss": 1.0})
    assert log.write(1)["loss"] == 1.0
    assert not (tmp_path / "log").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write .*log.jsonl"):
        Log(tmp_path / "file", Place())


def test_tensorboard_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard")
    pytest.importorskip("tensorboard", reason="the extra `train` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for resumed_step, steps in ((None, (1, 2, 3)), (1, (2,))):
        with Log(tmp_path, Place(), resumed_step=resumed_step) as log:
            for step in steps:
                log.add({"loss": step / 4})
                log.write(step)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 0.25), (2, 0.5)]


def test_wandb_is_asked_for_and_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match="pip install wandb"):
        Log(tmp_path, Place(), wandb_project="talk")


def test_wandb_goes_on_with_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, Any]] = []
    told: list[tuple[int, float]] = []

    def init(**options: Any) -> SimpleNamespace:
        begun.append(options)
        return SimpleNamespace(log=lambda values, step: told.append((step, values["loss"])), finish=lambda: None)

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    for resumed_step in (None, 1, None):
        with Log(tmp_path, Place(), resumed_step=resumed_step, wandb_project="talk") as log:
            log.add({"loss": 0.5})
            log.write(2)
    ids = [options["id"] for options in begun]
    assert ids[0] == ids[1] != ids[2]
    assert told == [(2, 0.5)] * 3
    assert begun[0]["project"] == "talk"
