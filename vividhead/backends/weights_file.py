"""A network's tensors from a file of others, strictly: what is missing, unknown or of another shape is named."""

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vividhead.errors import VividHeadError

NAMED_AT_MOST = 4
COUNTER = "num_batches_tracked"
"""Batch norm's count of training steps: older files lack it, and inference does not read it."""

Net = TypeVar("Net", bound=nn.Module)


def loaded(make: Callable[[], Net], path: Path, device: str) -> Net:
    """What `make` builds, with the file's tensors, for inference. Raises VividHeadError for a wrong file."""
    with torch.device("meta"):
        network = make()
    wanted, found = network.state_dict(), _tensors(path)
    counters = {name: torch.zeros((), dtype=torch.long) for name in wanted if name.endswith(COUNTER)}
    found = {**counters, **found}
    shapes = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted.keys() & found.keys()
        if found[name].shape != wanted[name].shape
    ]
    wrong = [
        *_said("lacks", wanted.keys() - found.keys()),
        *_said("has unknown", found.keys() - wanted.keys()),
        *_said("has another shape in", shapes),
    ]
    if wrong:
        raise VividHeadError(f"{path} {'; '.join(wrong)}: not the weights of {type(network).__name__}")
    network.load_state_dict(found, strict=True, assign=True)
    return network.to(device).eval().requires_grad_(False)


def _said(what: str, names: object) -> list[str]:
    assert isinstance(names, set | list)
    those = sorted(names)
    more = f" and {len(those) - NAMED_AT_MOST} more" if len(those) > NAMED_AT_MOST else ""
    return [f"{what} {', '.join(those[:NAMED_AT_MOST])}{more}"] if those else []


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            stored: object = load_file(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as fault:
        raise VividHeadError(f"{path} cannot be read as tensors by name: {str(fault).partition(chr(10))[0]}") from fault
    if not isinstance(stored, dict) or not all(isinstance(tensor, Tensor) for tensor in stored.values()):
        raise VividHeadError(f"{path} holds something else than tensors by name")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored.items()}
