"""Checkpoint folders: the transformer's file and config.json as the published model lays them out, read strictly.

    checkpoint/
      Model_Lite/config.json  diffusion_pytorch_model.safetensors    (Model_Pro, Model_Nano)
      VAE_LTX/ | VAE_Wan/ | Codec_Linear/                            the video codec
      wav2vec2-base-960h/                                            the audio encoder of Lite and Pro

A configuration that is not one of the three official shapes keeps its own text beside them, in flashhead.toml.
"""

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vividhead.errors import VividHeadError
from vividhead.flashhead.config import FlashHeadConfig, as_toml, is_shipped, load_config
from vividhead.flashhead.model.dit import EPS, TIME_WIDTH, Dit
from vividhead.ledger import storage_error, sync_folder, write_atomically
from vividhead.weights import check_file, digest

TENSORS_FILE = "diffusion_pytorch_model.safetensors"
CONFIG_FILE = "config.json"
OWN_CONFIG_FILE = "flashhead.toml"
_PREFIX = "Model_"
_KNOWN_WEIGHTS = {"lite": "flashhead-lite", "pro": "flashhead-pro"}


class CheckpointError(VividHeadError):
    """A checkpoint's file is missing, cut short, or of another model."""


def model_folder(folder: Path, config: FlashHeadConfig) -> Path:
    """Where the transformer of a configuration lies in a checkpoint."""
    return folder / f"{_PREFIX}{config.name.capitalize()}"


def config_in(folder: Path, name: str | None) -> FlashHeadConfig:
    """Configuration of the model in a checkpoint folder; `name` picks one where it holds several."""
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is no folder: a checkpoint is one that holds Model_Nano/, Model_Lite/ or the like"
        )
    there = sorted(p.name.removeprefix(_PREFIX).lower() for p in folder.glob(f"{_PREFIX}*") if p.is_dir())
    if name is None and len(there) > 1:
        raise CheckpointError(f"{folder} holds the models {', '.join(there)}; name one with --model")
    if name is None and not there:
        raise CheckpointError(_no_model(folder))
    chosen = name or there[0]
    own = folder / f"{_PREFIX}{chosen.capitalize()}" / OWN_CONFIG_FILE
    return replace(load_config(str(own)), name=chosen) if own.is_file() else load_config(chosen)


def _no_model(folder: Path) -> str:
    if folder.name.startswith(_PREFIX):
        return f"{folder} is one model's folder: name the checkpoint that it lies in, {folder.parent}"
    return (
        f"{folder} holds no Model_* folder. Train one (vividhead train), or get the published one with: "
        f"vividhead weights fetch flashhead-lite ltx-vae wav2vec2 --to {folder} --accept-licence"
    )


def official_config(config: FlashHeadConfig) -> dict[str, Any]:
    """What the published config.json says of such a model."""
    dit, codec = config.dit, config.codec
    return {
        "_class_name": "WanModelAudioProject",
        "_diffusers_version": "0.36.0",
        "dim": dit.dim,
        "eps": EPS,
        "ffn_dim": dit.ffn_dim,
        "freq_dim": TIME_WIDTH,
        "has_image_input": False,
        "in_dim": 2 * dit.latent_channels,
        "num_heads": dit.heads,
        "num_layers": dit.layers,
        "out_dim": dit.latent_channels,
        "patch_size": [1, dit.patch_side, dit.patch_side],
        "text_dim": dit.text_width,
        "vae_stride": [codec.stride_frames, codec.stride_px, codec.stride_px],
    }


def dit_file(folder: Path, config: FlashHeadConfig) -> Path:
    """The transformer's file, after a look at its size and header; raises VividHeadError where it cannot be one."""
    path = model_folder(folder, config) / TENSORS_FILE
    if config.name in _KNOWN_WEIGHTS:
        return check_file(_KNOWN_WEIGHTS[config.name], path)
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing: the transformer of {config.name}; train one, or try --random-weights"
        )
    return path


def import_dit(folder: Path, config: FlashHeadConfig) -> tuple[Dit, str]:
    """The transformer in its file's precision, and the sha256 of the file. Every name and shape must be the model's."""
    path = dit_file(folder, config)
    _check_config(path.with_name(CONFIG_FILE), config)
    with torch.device("meta"):
        dit = Dit(config)
    tensors = _read(path)
    _check_tensors(path, tensors, dit.state_dict())
    dit.load_state_dict(tensors, strict=True, assign=True)
    return dit, digest(path)


def export_dit(dit: Dit, folder: Path) -> Path:
    """Write the transformer as the published one is laid out, each file whole or not at all; returns its folder.

    Raises StorageError where that cannot be written.
    """
    target = model_folder(folder, dit.config)
    config_json = json.dumps(official_config(dit.config), indent=2, sort_keys=True) + "\n"
    write_atomically(target / CONFIG_FILE, config_json.encode())
    if is_shipped(dit.config):
        (target / OWN_CONFIG_FILE).unlink(missing_ok=True)  # of another model that was here before
    else:
        write_atomically(target / OWN_CONFIG_FILE, as_toml(dit.config).encode())
    _write_tensors(target / TENSORS_FILE, {k: v.detach().cpu().contiguous() for k, v in dit.state_dict().items()})
    return target


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """As `write_atomically`, but not through memory: published tensors are 6 GB."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, part, {"format": "pt"})
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except (SafetensorError, OSError) as fault:
        with contextlib.suppress(OSError):
            part.unlink()
        raise storage_error(fault if isinstance(fault, OSError) else OSError(str(fault)), path) from fault


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as fault:
        raise CheckpointError(f"{path} is cut short or no safetensors file: {fault}") from fault


def _check_config(path: Path, config: FlashHeadConfig) -> None:
    """Does the config.json beside the tensors describe this model? It may be absent: the tensors tell as much."""
    if not path.is_file():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise CheckpointError(f"{path} is not JSON: {fault}") from fault
    for key, wanted in official_config(config).items():
        if not key.startswith("_") and key in found and found[key] != wanted:
            raise CheckpointError(f"{path}: {key} is {found[key]}, where {config.name} has {wanted}")


def _check_tensors(path: Path, tensors: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """Same names, same shapes, one precision; else what differs, in one text."""
    faults = [f"lacks {name}" for name in wanted if name not in tensors]
    faults += [f"has {name}, which the model does not" for name in tensors if name not in wanted]
    faults += [
        f"{name} is {list(tensors[name].shape)}, not {list(value.shape)}"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    kinds = {str(t.dtype).removeprefix("torch.") for t in tensors.values()}
    if not faults and (len(kinds) != 1 or not kinds <= {"float32", "bfloat16", "float16"}):
        faults.append(f"mixes or has unfit number types: {', '.join(sorted(kinds))}")
    if faults:
        more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise CheckpointError(f"{path} is of another model: {'; '.join(faults[:3])}{more}")
