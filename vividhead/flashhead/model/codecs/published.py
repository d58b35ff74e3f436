"""Read the published video codecs from what was downloaded: strictly, as diffusers names things or as the authors do.

Both come in two forms: diffusers' folder (`diffusion_pytorch_model.safetensors`), and one file with the authors' own
names, which diffusers' converters translate. Nothing here goes to the network, and no code in a file is run.
"""

import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vividhead.errors import VividHeadError
from vividhead.weights import check_file, locate, missing_weights, model, refused_weights

Tensors = dict[str, Tensor]
SUFFIXES = (".safetensors", ".pth", ".pt")
WITHIN_A_MODEL = "vae."
"""What the authors' names begin with where the file holds a whole model, not the codec alone."""
SHOWN = 3
"""Tensors named in an error before it says how many more there are."""


def diffusers_module(name: str) -> ModuleType:
    """A module of diffusers, which only the extra `flashhead` brings; raises VividHeadError without it."""
    try:
        return import_module(name)
    except ImportError as fault:
        raise VividHeadError(
            f"the video codecs of FlashHead lite and pro need diffusers ({fault}); pip install 'vividhead[flashhead]'"
        ) from fault


def codec_file(name: str, folder: Path) -> Path:
    """The file of the codec `name`: `folder` itself if it is a file, else in it, or in or beside a checkpoint.

    The published name comes first; any other lone file with tensors will do. Raises VividHeadError that says what is
    missing and how to get it, or which files there are too many.
    """
    if folder.is_file():
        return check_file(name, folder)
    wanted = model(name)
    published = [file.name for file in wanted.files if Path(file.name).suffix in SUFFIXES]
    own = folder if folder.name == Path(wanted.folder).name else locate(name, folder)
    there = sorted(p.name for p in own.iterdir() if p.suffix in SUFFIXES and p.is_file()) if own.is_dir() else []
    chosen = [file for file in published if file in there] or there
    if not chosen:
        raise missing_weights(name, own / published[0])
    if len(chosen) > 1:
        raise VividHeadError(f"{own} holds {', '.join(chosen)}; leave the one that is {wanted.role}")
    return check_file(name, own / chosen[0])


def read_tensors(name: str, path: Path) -> Tensors:
    """All tensors of the file, or of the codec where it holds a whole model; float32."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                names = list(file.keys())
                ours = [key for key in names if key.startswith(WITHIN_A_MODEL)] or names
                stored: object = {key: file.get_tensor(key) for key in ours}
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as fault:
        first_line = str(fault).partition("\n")[0]
        raise refused_weights(name, path, f"cannot be read ({first_line})") from fault
    if not isinstance(stored, dict) or not all(isinstance(t, Tensor) for t in stored.values()):
        raise refused_weights(name, path, "holds something else than tensors by name")
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in stored.items()}


def converted(converter: str, tensors: Tensors) -> Tensors:
    """The authors' names as diffusers' own, by diffusers' converter of this name."""
    convert = getattr(diffusers_module("diffusers.loaders.single_file_utils"), converter)
    found: Tensors = convert(tensors)
    return found


def filled(name: str, path: Path, network: nn.Module, tensors: Tensors) -> None:
    """Give an empty network its tensors; anything missing, unknown or of another shape is refused by name."""
    wanted = network.state_dict()
    faults = [f"lacks {_some(wanted.keys() - tensors.keys())}", f"has unknown {_some(tensors.keys() - wanted.keys())}"]
    faults = [fault for fault in faults if not fault.endswith(" ")]
    faults += [
        f"has {key} {list(tensors[key].shape)} {_kind(tensors[key])} instead of {list(t.shape)} {_kind(t)}"
        for key, t in wanted.items()
        if key in tensors and (tensors[key].shape, tensors[key].dtype) != (t.shape, t.dtype)
    ]
    if faults:
        raise refused_weights(name, path, "; ".join(faults[:SHOWN]))
    network.load_state_dict(tensors, strict=True, assign=True)


def empty(build: Callable[[], nn.Module]) -> nn.Module:
    """A network that takes no memory until tensors are assigned."""
    with torch.device("meta"):
        return build()


def with_random_tensors(network: nn.Module, seed: int) -> nn.Module:
    """Fill an empty network: noise that neither grows nor fades through a layer, and norms that change nothing."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for key, like in network.state_dict().items():
        last = key.rpartition(".")[2]
        if last in ("gamma", "latents_std") or (last == "weight" and like.dim() == 1):
            tensors[key] = torch.ones(like.shape)
        elif like.dim() > 1:
            reach = math.sqrt(3 / math.prod(like.shape[1:]))
            tensors[key] = torch.empty(like.shape).uniform_(-reach, reach, generator=generator)
        else:
            tensors[key] = torch.zeros(like.shape)
    network.load_state_dict(tensors, strict=True, assign=True)
    return network


def _some(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
