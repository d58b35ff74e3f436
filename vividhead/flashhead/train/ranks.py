"""Those that train together: who this process is, what all of them draw alike, and how a model is spread over them.

torchrun (or Ray Train) starts one process for each device and tells it its place in the environment. A process alone
needs no process group: everything here then answers for one.
"""

import gc
import hashlib
import os
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.model.dit import Block, Dit

PATIENCE = timedelta(minutes=30)
"""The others wait so long for one that samples a video or writes a checkpoint."""
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
"""Of a process group, by kind of device. gloo beside nccl: what goes into logs and checkpoints lies on the CPU."""
T = TypeVar("T")
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_WRAPPERS = frozenset({"_orig_mod", "_checkpoint_wrapped_module"})


@dataclass(frozen=True, slots=True)
class Place:
    """Of this process among all; counted from 0."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    """On this machine: the number of its device."""

    @property
    def is_first(self) -> bool:
        """Whether it writes files and speaks to the user for all of them."""
        return self.rank == 0


def place_in(environment: Mapping[str, str] = os.environ) -> Place:
    """The place that torchrun gave this process, or that of one alone."""
    given = {name: environment[name] for name in _VARIABLES if name in environment}
    if not given:
        return Place()
    if set(given) != set(_VARIABLES) or not all(value.isdecimal() for value in given.values()):
        raise UsageError(f"{', '.join(_VARIABLES)} are {given}: three whole numbers, as torchrun sets them, or none")
    place = Place(*(int(given[name]) for name in _VARIABLES))
    if place.rank >= place.world:
        raise UsageError(f"RANK {place.rank} is not below WORLD_SIZE {place.world}")
    return place


@contextmanager
def joined(kind: str) -> Iterator[tuple[Place, torch.device]]:
    """Take this process's place, and its device: "cpu", "cuda" for that of its place, "cuda:1"; leave at the end.

    A process group that is there already (Ray Train makes one) is taken as it is. Of models that are `wrapped` inside,
    none may be held by the frame that leaves. Who trains twice in one process of
    several makes one first: torch cannot make a second one at the same address.
    """
    place = place_in()
    device = torch.device(kind, place.local_rank) if kind == "cuda" else torch.device(kind)
    if device.type == "cuda":
        if device.index >= torch.cuda.device_count():
            raise UsageError(f"LOCAL_RANK {place.local_rank}, but {torch.cuda.device_count()} CUDA devices are here")
        torch.cuda.set_device(device)
    is_ours = place.world > 1 and not dist.is_initialized()
    if is_ours:
        dist.init_process_group(BACKENDS[device.type], timeout=PATIENCE)
    try:
        yield place, device
    except BaseException as fault:
        if is_ours:
            traceback.clear_frames(fault.__traceback__)  # they hold wrapped models
        raise
    finally:
        if is_ours:
            # A wrapped model that outlives the group is its last owner, and waits for the group's threads without
            # letting go of the interpreter, which they may be waiting for: for ever.
            gc.collect()
            dist.destroy_process_group()


def shared_generator(seed: int, step: int) -> torch.Generator:
    """For what all ranks draw alike in one step; a function of both numbers, so there is nothing to save."""
    return _seeded(f"shared {seed} {step}")


def own_generator(seed: int, rank: int, step: int = 0) -> torch.Generator:
    """For what each rank draws for itself: noise, timesteps. Made anew for each step, it needs no saving."""
    return _seeded(f"own {seed} {rank} {step}")


def window_generator(seed: int, position: int) -> torch.Generator:
    """For what becomes of the window at a position of the order, whichever rank reads it."""
    return _seeded(f"window {seed} {position}")


def _seeded(name: str) -> torch.Generator:
    # The CPU's generator heeds no more than 32 bits of a seed.
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little"))


def together(action: Callable[[], T], group: dist.ProcessGroup | None = None) -> list[T]:
    """Do it on every rank and give the results of all; returns when all are through.

    A VividHeadError on one of them becomes one on each, so that none waits for another that has given up.
    """
    if not dist.is_initialized():
        return [action()]
    result, fault = None, None
    try:
        result = action()
    except VividHeadError as raised:
        fault = raised
    outcomes: list[tuple[T, str | None]] = [None] * dist.get_world_size(group)  # type: ignore[list-item]
    dist.all_gather_object(outcomes, (result, None if fault is None else str(fault)), group)
    if fault is not None:
        raise fault
    for rank, (_, text) in enumerate(outcomes):
        if text is not None:
            raise VividHeadError(f"rank {rank}: {text}")
    return [result for result, _ in outcomes]


def from_first(action: Callable[[], T], group: dist.ProcessGroup | None = None) -> T:
    """Do it on the first rank alone and give its result on all."""
    is_first = not dist.is_initialized() or dist.get_rank() == 0
    return together(lambda: action() if is_first else None, group)[0]  # type: ignore[return-value]


def summed(totals: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Sums and counts over all ranks, by name; a name may be known to some of them only."""
    added: dict[str, tuple[float, float]] = {}
    for theirs in together(lambda: dict(totals)):
        for name, (total, count) in theirs.items():
            known_total, known_count = added.get(name, (0.0, 0.0))
            added[name] = known_total + total, known_count + count
    return added


def wrapped(dit: Dit, device: torch.device, *, shard: bool = False, compute: torch.dtype | None = None) -> nn.Module:
    """The model as several ranks train it, whose gradients are means over all of them; alone, the model itself.

    Call its `forward`: nothing else reaches the others. Replicated by DistributedDataParallel, or with `shard` by
    FSDP2, block by block: each rank keeps its part of the float32 parameters, and of what an optimizer and an Ema (both
    made afterwards) hold of them. `compute`: precision in which sharded parameters travel, beside autocast.
    """
    if not dist.is_initialized() or not any(p.requires_grad for p in dit.parameters()):
        return dit
    if not shard:
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(dit, devices, gradient_as_bucket_view=True)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    # Inputs stay as they are: the tables of positions would lose their precision.
    policy = MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32, cast_forward_inputs=False)
    # Parts again after every forward pass, the root too: else a pass without gradient leaves it gathered, and neither
    # an Ema's nor a checkpoint's values would reach the next update.
    options: dict[str, Any] = {"mesh": mesh, "mp_policy": policy, "reshard_after_forward": True}
    for block in dit.blocks:
        assert isinstance(block, Block)
        # The audio's keys and values are made before the blocks run, so this part is gathered on its own.
        fully_shard(block.cross_attn, **options)
        register_fsdp_forward_method(block.cross_attn, "memory")
        fully_shard(block, **options)
    fully_shard(dit, **options)
    # It warns of changes in place to views that modules return, of which the model has none.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor", UserWarning)
    return dit


def whole(dit: Dit) -> Dit | None:
    """A copy on the CPU of the first rank, of nobody's parts; None on the others. All ranks call it."""
    is_first = not dist.is_initialized() or dist.get_rank() == 0
    values: dict[str, Tensor] = {}
    for name, value in dit.state_dict().items():  # one after the other: no device holds more than its part and one
        full = value.full_tensor() if isinstance(value, DTensor) else value
        if is_first:
            values[name] = full.detach().to("cpu", copy=True)
    if not is_first:
        return None
    with torch.device("meta"):
        copy = Dit(dit.config, dit.exact_rope)
    copy.load_state_dict(values, assign=True)
    return copy


def plain_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters by the names that they have without DDP, torch.compile and recomputation around them."""
    inner = module.module if isinstance(module, DistributedDataParallel) else module
    return {
        ".".join(part for part in name.split(".") if part not in _WRAPPERS): parameter
        for name, parameter in inner.named_parameters()
    }


def clipped_norm(parameters: Iterable[nn.Parameter], most: float) -> float:
    """Scale the gradients down to a norm of `most` over all ranks' parts; returns the norm that they had.

    It is the same on all ranks, so they agree to skip an update where it is not finite.
    """
    norm: Tensor = clip_grad_norm_(parameters, most)
    return (norm.full_tensor() if isinstance(norm, DTensor) else norm).item()
