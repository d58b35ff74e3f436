"""What an optimizer remembers, as tensors by the names of the parameters: whole or in FSDP2's parts.

torch's own `get_optimizer_state_dict` lets an optimizer that remembers nothing yet take a step, after which it counts
one step more than it has taken (torch 2.13): its next updates would not be those of a run that was not saved.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.optim import Optimizer

from vividhead.flashhead.model.checkpoint import CheckpointError
from vividhead.flashhead.train.ranks import plain_parameters

Group = dict[str, Any]
"""Options of a parameter group, plain, and the names of its parameters as `params`."""
_PARAMS = "params"


def _names(modules: Mapping[str, Any]) -> dict[Tensor, str]:
    """module/parameter, for every parameter of the modules."""
    return {
        parameter: f"{module_name}/{name}"
        for module_name, module in modules.items()
        if isinstance(module, nn.Module)
        for name, parameter in plain_parameters(module).items()
    }


def groups_of(optimizer: Optimizer, modules: Mapping[str, Any]) -> list[Group]:
    """The parameter groups; all parameters belong to the modules."""
    names = _names(modules)
    return [group | {_PARAMS: [names[p] for p in group[_PARAMS]]} for group in optimizer.param_groups]


def _prefix(optimizer_name: str, parameter_name: str) -> str:
    return f"optimizer/{optimizer_name}/{parameter_name}/"


def tensors_of(name: str, optimizer: Optimizer, modules: Mapping[str, Any]) -> dict[str, Tensor]:
    """What is remembered of each parameter; nothing before the first step."""
    names = _names(modules)
    return {
        _prefix(name, names[parameter]) + key: value
        for parameter, remembered in optimizer.state.items()
        for key, value in remembered.items()
    }


def targets(
    name: str, optimizer: Optimizer, modules: Mapping[str, Any], saved: Mapping[str, TensorStorageMetadata]
) -> dict[str, Tensor]:
    """Tensors to read into what a checkpoint has saved of the optimizer, laid out as the parameters are now."""
    keys_of: dict[str, list[str]] = {}
    for full in saved:
        prefix, _, key = full.rpartition("/")
        keys_of.setdefault(prefix + "/", []).append(key)
    found: dict[str, Tensor] = {}
    names = _names(modules)
    for parameter in (p for group in optimizer.param_groups for p in group[_PARAMS]):
        prefix = _prefix(name, names[parameter])
        for key in keys_of.get(prefix, []):
            about = saved[prefix + key]
            is_like = about.size == parameter.shape
            found[prefix + key] = (
                torch.zeros_like(parameter, dtype=about.properties.dtype)
                if is_like
                else torch.zeros(about.size, dtype=about.properties.dtype)
            )
    return found


def restore_optimizer(
    path: Path,
    name: str,
    optimizer: Optimizer,
    modules: Mapping[str, Any],
    groups: list[Group],
    remembered: Mapping[str, Tensor],
) -> None:
    """Give the optimizer its saved options and what it remembered; raises CheckpointError where groups differ."""
    now = [group[_PARAMS] for group in groups_of(optimizer, modules)]
    if now != [group[_PARAMS] for group in groups]:
        raise CheckpointError(f"{path}: the optimizer {name} had other parameters, or in another order")
    state: dict[int, dict[str, Tensor]] = {}
    order = [parameter_name for names in now for parameter_name in names]
    places = {_prefix(name, parameter_name): place for place, parameter_name in enumerate(order)}
    for full, value in remembered.items():
        prefix, _, key = full.rpartition("/")
        state.setdefault(places[prefix + "/"], {})[key] = value
    counter = iter(range(len(order)))
    numbered = [
        {k: tuple(v) if isinstance(v, list) else v for k, v in group.items()}
        | {_PARAMS: [next(counter) for _ in group[_PARAMS]]}
        for group in groups
    ]
    optimizer.load_state_dict({"state": state, "param_groups": numbered})
