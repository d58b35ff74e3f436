"""The loop on two ranks, replicated and in parts: one model, a sample and a result, and a stop that all agree on."""

import gc
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from tests.flashhead.train.processes import on_ranks
from tests.flashhead.train.tiny_runs import log, result, tiny
from vividhead.flashhead.generate.talk_file import read_provenance
from vividhead.flashhead.latents import codec
from vividhead.flashhead.model import flops
from vividhead.flashhead.model.flashhead import load_flashhead
from vividhead.flashhead.train.loop import Order, Trained, train
from vividhead.flashhead.train.ranks import joined

pytestmark = pytest.mark.slow


def quick() -> None:
    """In a process of its own: less of what no test here looks at."""
    flops.MATMUL_SIDE, codec.FITTED_ON = {"cpu": 64}, 20


@dataclass(frozen=True)
class Both:
    """Both stages, begun on every rank."""

    order: Order

    def __call__(self, folder: Path) -> list[Trained]:
        quick()
        with joined("cpu"):  # one process group for both: torch cannot make a second one at the same address
            return [train(replace(self.order, stage=stage)) for stage in (1, 2)]


@pytest.fixture(scope="module", params=[False, True], ids=["replicated", "sharded"])
def run(request: pytest.FixtureRequest, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    config = tiny(folder, steps=4)
    order = Order(dataset=str(dataset), config=config, stage=1, run=folder / "run", shard=request.param)
    ended = on_ranks(Both(order), folder)
    assert [[trained.is_done for trained in rank] for rank in ended] == [[True, True]] * 2
    return order.run


def test_both_stages_leave_a_model_that_speaks(run: Path) -> None:
    for stage in (1, 2):
        assert load_flashhead(run / f"stage{stage}" / "checkpoint", device="cpu").config.name == "tiny"
    assert [line["step"] for line in log(run, 1)] == [1, 2, 3, 4]
    assert read_provenance(run / "stage1" / "samples" / "step-00000004.mp4") is not None


_RESULTS: dict[int, dict[str, Tensor]] = {}


def test_the_model_is_the_same_however_it_is_spread(run: Path) -> None:
    """Replicated or in parts: sums in another order, which is all that may differ."""
    mine = result(run)
    assert all(torch.isfinite(value).all() for value in mine.values())
    other = _RESULTS.setdefault(0, mine)
    for name, value in other.items():
        torch.testing.assert_close(mine[name], value, rtol=1e-3, atol=1e-5)


@dataclass(frozen=True)
class Interrupted:
    """A run of which one rank alone hears Ctrl-C."""

    order: Order

    def __call__(self, folder: Path) -> Trained:
        quick()

        def told(step: int, *_: Any) -> None:
            if step == 2 and os.environ["RANK"] == "1":
                os.kill(os.getpid(), signal.SIGINT)

        leave = dist.destroy_process_group

        def leave_checked() -> None:
            """A model that outlived the group would wait for the group's threads for ever, now and then."""
            held = [type(x).__name__ for x in gc.get_objects() if type(x) is DistributedDataParallel]
            assert not held, f"{held} still hold the process group"
            leave()

        dist.destroy_process_group = leave_checked
        return train(self.order, told)


def test_all_ranks_stop_after_the_step_at_which_one_was_asked_to(dataset: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, steps=50)
    order = Order(dataset=str(dataset), config=config, stage=1, run=tmp_path / "run")
    ended = on_ranks(Interrupted(order), tmp_path)
    assert [(rank.step, rank.is_done) for rank in ended] == [(2, False)] * 2
    assert (order.run / "stage1" / "checkpoints" / "step-00000002").is_dir()
