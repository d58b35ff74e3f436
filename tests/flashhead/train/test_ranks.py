import json
import weakref
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from tests.flashhead.train.learners import Learner, differing
from tests.flashhead.train.processes import on_ranks
from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.train import ranks
from vividhead.flashhead.train.logs import Log
from vividhead.flashhead.train.ranks import (
    Place,
    clipped_norm,
    from_first,
    joined,
    own_generator,
    place_in,
    plain_parameters,
    shared_generator,
    summed,
    together,
    wrapped,
)
from vividhead.flashhead.train.saving import Checkpoints

Found = dict[str, Any]
CPU = torch.device("cpu")


def test_a_process_alone_needs_no_process_group() -> None:
    assert place_in({}) == Place(rank=0, world=1, local_rank=0)
    assert together(lambda: 3) == [3]
    assert from_first(lambda: 4) == 4
    assert summed({"loss": (2.0, 4.0)}) == {"loss": (2.0, 4.0)}
    dit = Learner(seed=0).dit
    assert wrapped(dit, CPU) is dit
    with joined("cpu") as (place, device):
        assert (place, device) == (Place(), CPU)
        assert not dist.is_initialized()


@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "0"},
        {"RANK": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "0"},
        {"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0"},
    ],
)
def test_a_place_that_cannot_be_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="RANK"):
        place_in(environment)


class Cycle:
    """Goes only when it is looked for, as a module does that its own hooks hold."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize("fault", [None, ValueError("in the middle of training")])
def test_what_was_made_inside_is_gone_before_the_group_is(
    fault: ValueError | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that outlives its group can wait for the group's threads for ever; see `joined`."""
    left: list[weakref.ref[Cycle]] = []
    found: list[Cycle | None] = []
    monkeypatch.setattr(ranks, "place_in", lambda: Place(world=2))
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: found.append(left[0]()))

    def train() -> None:
        model = Cycle()
        left.append(weakref.ref(model))
        if fault is not None:
            raise fault

    with pytest.raises(ValueError, match="middle") if fault else nullcontext(), joined("cpu"):
        train()
    assert found == [None]


def test_a_device_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "5")):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="LOCAL_RANK 5, but 1 CUDA devices are here"), joined("cuda"):
        pass


def test_draws_are_functions_of_their_numbers() -> None:
    def first(generator: torch.Generator) -> float:
        return torch.rand((), generator=generator, dtype=torch.float64).item()

    assert first(shared_generator(1, 2)) == first(shared_generator(1, 2))
    drawn = [first(shared_generator(1, step)) for step in range(20)] + [first(shared_generator(2, 1))]
    drawn += [first(own_generator(1, rank, step)) for rank in range(4) for step in range(4)]
    assert len(set(drawn)) == len(drawn)


def test_names_are_those_without_wrappers() -> None:
    module = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    bare = set(plain_parameters(module))
    module[0] = cast(nn.Module, torch.compile(module[0], backend="eager"))
    assert set(plain_parameters(module)) == bare == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_gradients_are_scaled_to_the_norm_that_they_may_have() -> None:
    module = nn.Linear(1, 2, bias=False)
    module.weight.grad = torch.tensor([[3.0], [4.0]])
    assert clipped_norm(module.parameters(), 1.0) == 5.0
    torch.testing.assert_close(module.weight.grad, torch.tensor([[0.6], [0.8]]))


def full(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.full_tensor() if isinstance(v, DTensor) else v for k, v in tensors.items()}


def gradients(learner: Learner) -> dict[str, Tensor]:
    parameters = plain_parameters(learner.network)
    return full({k: p.grad.clone() for k, p in parameters.items() if p.grad is not None})


def train_on_two_ranks(folder: Path) -> Found:
    """All that the tests below look at, in one go."""
    with joined("cpu") as (place, device):
        return train(folder, place, device)


def train(folder: Path, place: Place, device: torch.device) -> Found:
    found: Found = {"place": place}
    found["shared"] = torch.rand(3, generator=shared_generator(1, 2))
    found["own"] = torch.rand(3, generator=own_generator(1, place.rank))
    names = {"all": (1.0, 1.0), f"only {place.rank}": (2.0, 4.0)}
    found["summed"] = summed(names)
    found["together"] = together(lambda: place.rank)
    found["first"] = from_first(lambda: place.rank + 10)
    try:
        together(lambda: fail_on_second(place))
    except VividHeadError as fault:
        found["fault"] = (type(fault), str(fault))
    with Log(folder / "log", place) as log:
        log.add({"loss": float(place.rank), f"t{place.rank}": 3.0}, samples=2)
        found["line"] = log.write(1)

    for kind in ("replicated", "sharded"):
        learner = Learner(seed=1, rank=place.rank)
        learner.network = wrapped(learner.dit, device, shard=kind == "sharded")
        learner.prepare()
        learner.loss(learner.generator).backward()
        found[kind] = {"gradients": gradients(learner), "norm": clipped_norm(learner.network.parameters(), 1e9)}
        learner.optimizer.step()
        learner.ema.update()
        with torch.no_grad(), learner.ema.swapped_in():  # as validation does, which must leave no trace
            learner.loss(torch.Generator().manual_seed(9))
        found[kind]["is sharded"] = {isinstance(p, DTensor) for p in learner.network.parameters()}
        checkpoints = Checkpoints(folder / kind, learner.config, place)
        own = {"generator": learner.generator.get_state()}
        checkpoints.save(1, learner.modules, learner.optimizers, {"rank": place.rank}, own=own)
        learner.update(1)  # while it is saved
        checkpoints.wait()
        found[kind]["seen"] = checkpoints.newest()
        found[kind]["after"] = full(learner.values())

    # From one to the other: what was saved whole goes on in parts.
    other = Learner(seed=2, rank=place.rank)
    other.network = wrapped(other.dit, device, shard=True)
    other.prepare()
    restored = checkpoints.load(folder / "replicated" / "step-00000001", other.modules, other.optimizers)
    assert restored.own is not None
    other.generator.set_state(restored.own["generator"])
    found["extra"] = restored.extra
    other.update(1)
    found["went on"] = full(other.values())
    return found


def fail_on_second(place: Place) -> None:
    if place.rank == 1:
        raise UsageError("no such thing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two_ranks")


@pytest.fixture(scope="module")
def two(folder: Path) -> Iterator[list[Found]]:
    """What each of two ranks found, in processes of their own."""
    yield on_ranks(train_on_two_ranks, folder)


def test_ranks_know_their_places(two: list[Found]) -> None:
    assert [rank["place"] for rank in two] == [Place(0, 2, 0), Place(1, 2, 1)]
    assert [rank["together"] for rank in two] == [[0, 1]] * 2
    assert [rank["first"] for rank in two] == [10, 10]


def test_ranks_draw_alike_what_is_shared_and_not_what_is_their_own(two: list[Found]) -> None:
    assert torch.equal(two[0]["shared"], two[1]["shared"])
    assert not torch.equal(two[0]["own"], two[1]["own"])


def test_a_fault_on_one_rank_is_one_on_all(two: list[Found]) -> None:
    assert two[0]["fault"] == (VividHeadError, "rank 1: no such thing")
    assert two[1]["fault"] == (UsageError, "no such thing")


def test_sums_join_what_only_some_ranks_know(two: list[Found]) -> None:
    assert two[0]["summed"] == two[1]["summed"] == {"all": (2.0, 2.0), "only 0": (2.0, 4.0), "only 1": (2.0, 4.0)}


def test_the_log_has_means_over_ranks(two: list[Found], folder: Path) -> None:
    (line,) = [json.loads(text) for text in (folder / "log" / "log.jsonl").read_text().splitlines()]
    assert (line["loss"], line["t0"], line["t1"]) == (0.5, 3.0, 3.0)
    assert line["samples_per_s"] > 0
    assert [rank["line"]["loss"] for rank in two] == [0.5, 0.5]


@pytest.mark.parametrize("kind", ["replicated", "sharded"])
def test_gradients_are_the_means_of_those_of_the_ranks(two: list[Found], kind: str) -> None:
    learner = Learner(seed=1)
    ((learner.loss(own_generator(1, 0)) + learner.loss(own_generator(1, 1))) / 2).backward()
    expected = gradients(learner)
    norm = clipped_norm(learner.dit.parameters(), 1e9)
    for rank in two:
        found = rank[kind]["gradients"]
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7)
        assert rank[kind]["norm"] == pytest.approx(norm, rel=1e-5)
    assert two[0][kind]["norm"] == two[1][kind]["norm"]
    assert [rank[kind]["is sharded"] for rank in two] == [{kind == "sharded"}] * 2


@pytest.mark.parametrize("kind", ["replicated", "sharded"])
def test_ranks_stay_equal_but_for_what_is_their_own(two: list[Found], kind: str) -> None:
    assert differing(two[0][kind]["after"], two[1][kind]["after"]) == ["generator"]


@pytest.mark.parametrize("kind", ["replicated", "sharded"])
def test_what_two_ranks_saved_goes_on_in_one(two: list[Found], folder: Path, kind: str) -> None:
    assert [rank[kind]["seen"] for rank in two] == [folder / kind / "step-00000001"] * 2
    learner, reference = Learner(seed=3), Learner(seed=1)
    checkpoints = Checkpoints(folder / kind, learner.config, Place())
    restored = checkpoints.load(two[0][kind]["seen"], learner.modules, learner.optimizers)
    assert (restored.step, restored.extra, restored.own) == (1, {"rank": 0}, None)

    generators = [own_generator(1, rank) for rank in range(2)]
    for _ in range(2):  # the first is what the ranks did before they saved, here on the reference
        at_work = reference if reference.optimizer.state == {} else learner
        at_work.optimizer.zero_grad()
        (sum(at_work.loss(g) for g in generators) / 2).backward()  # type: ignore[union-attr]
        at_work.optimizer.step()
        at_work.ema.update()
    after, found = learner.values(), two[0][kind]["after"]
    for name in after.keys() - {"generator"}:
        torch.testing.assert_close(after[name], found[name], rtol=1e-4, atol=1e-6, msg=name)


def test_what_was_saved_whole_goes_on_in_parts(two: list[Found]) -> None:
    for rank in two:
        assert rank["extra"] == {"rank": 0}
        after, found = rank["replicated"]["after"], rank["went on"]
        assert after.keys() == found.keys()
        for name, value in after.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)
