"""Ranks that Ray starts make the model that torchrun's make, stop at Ctrl-C, and say what torchrun's say."""

import json
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.flashhead.train.processes import on_ranks
from tests.flashhead.train.tiny_runs import log, result, tiny
from vividhead.errors import DatasetError, UsageError, VividHeadError
from vividhead.flashhead.model import flops
from vividhead.flashhead.train import on_ray
from vividhead.flashhead.train.feeding import ANY_CACHE
from vividhead.flashhead.train.loop import Order, Trained, train
from vividhead.flashhead.train.on_ray import Ranks, train_on_ray
from vividhead.flashhead.train.stopping import STOP_FILE

STEPS = 40


@dataclass(frozen=True)
class Straight:
    """Without a stop, as torchrun's ranks do it."""

    order: Order

    def __call__(self, folder: Path) -> Trained:
        flops.MATMUL_SIDE = {"cpu": 64}
        return train(self.order)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own, of options that nobody gave
def test_rays_ranks_stopped_and_gone_on_make_the_model_that_torchruns_make(dataset: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, steps=STEPS, save_every=STEPS)
    config = replace(config, loop=replace(config.loop, validate_every=STEPS, sample_every=STEPS))
    told: list[int] = []

    def interrupting(step: int, *_: Any) -> None:
        if not told:
            os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C in the terminal
        told.append(step)

    order = Order(dataset=str(dataset), config=config, stage=1, run=tmp_path / "ray")
    ended = train_on_ray(order, Ranks(count=2), interrupting)
    assert 0 < ended.step < STEPS and not ended.is_done
    assert not list((order.run / "stage1").glob(".ray-*"))
    assert train_on_ray(order, Ranks(count=2)).is_done
    straight = Order(dataset=str(dataset), config=config, stage=1, run=tmp_path / "straight")
    assert all(rank.is_done for rank in on_ranks(Straight(straight), tmp_path))
    one, other = result(order.run), result(straight.run)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert [line["step"] for line in log(order.run, 1)] == [line["step"] for line in log(straight.run, 1)]


def test_what_a_rank_could_not_do_is_said_as_it_said_it(tmp_path: Path) -> None:
    on_ray._raise_fault(tmp_path)
    (tmp_path / "fault-0.json").write_text(json.dumps(["VividHeadError", "rank 1: no such dataset"]))
    (tmp_path / "fault-1.json").write_text(json.dumps(["DatasetError", "no such dataset"]))
    with pytest.raises(DatasetError, match="^no such dataset$"):
        on_ray._raise_fault(tmp_path)
    (tmp_path / "fault-1.json").write_text(json.dumps(["MediaError", "unreadable: x.mp4"]))
    with pytest.raises(VividHeadError, match="^unreadable: x.mp4$"):
        on_ray._raise_fault(tmp_path)


@pytest.mark.parametrize(("count", "gpus"), [(0, 0.0), (1, 2.0), (2, 0.5), (1, -1.0)])
def test_ranks_that_could_not_work_are_refused(count: int, gpus: float) -> None:
    with pytest.raises(UsageError, match="--workers|--gpus-per-worker"):
        Ranks(count=count, gpus_each=gpus)
    assert Ranks(count=1, gpus_each=0.5).gpus_each == 0.5


def test_a_ctrl_c_while_ranks_are_starting_is_asked_again_once_they_have_begun(tmp_path: Path) -> None:
    file = tmp_path / STOP_FILE
    with on_ray._stopping(file) as ask_again:
        ask_again()
        assert not file.exists(), "nobody has asked"
        os.kill(os.getpid(), signal.SIGINT)
        file.unlink()  # as the first rank does when it begins
        ask_again()
        assert file.exists()


def test_ranks_in_folders_of_their_own_find_what_was_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    order = Order(dataset="s3://bucket/dataset", config=tiny(tmp_path), stage=1, run=Path("run"), latents=Path("cache"))
    sent = on_ray._from_anywhere(order)
    assert (sent.dataset, sent.run, sent.latents) == (order.dataset, tmp_path / "run", tmp_path / "cache")
    assert on_ray._from_anywhere(replace(order, latents=None)).latents is None
    assert on_ray._from_anywhere(replace(order, latents=ANY_CACHE)).latents == ANY_CACHE


def test_without_ray_train_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.train", None)
    monkeypatch.setitem(sys.modules, "ray.train.torch", None)
    order = Order(dataset="dataset", config=tiny(tmp_path), stage=1, run=tmp_path / "run")
    with pytest.raises(UsageError, match=r"pip install 'vividhead\[train\]'"):
        train_on_ray(order, Ranks())
    assert not order.run.exists()


def test_the_newest_line_of_this_start_is_told_and_none_of_a_start_before(dataset: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int, float]] = []
    order = Order(dataset=str(dataset), config=tiny(tmp_path, steps=9), stage=1, run=tmp_path)
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "time_s": 1.0}\n')
    os.utime(path, (0, 0))
    follower = on_ray._Follower(path, order, lambda step, steps, rate, figures: told.append((step, steps, rate)))
    follower.look()
    assert told == []
    path.write_text('{"step": 2, "time_s": 4.0}\n')
    follower.look()
    follower.look()
    path.write_text('{"step": 2, "time_s": 4.0}\n{"step": 4, "time_s": 5.0}\n{"step": 5, "ti')
    follower.look()
    path.write_text('{"step": 2, "time_s": 4.0}\n{"step": 4, "time_s": 5.0}\n')
    follower.look()
    assert told == [(2, 9, 0.5), (4, 9, 2.0)]
