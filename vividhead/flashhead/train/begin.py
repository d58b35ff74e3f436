"""What a model's weights are when its training begins: fresh, a FlashHead's, or as far as shapes allow Wan's."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vividhead.errors import VividHeadError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.checkpoint import CheckpointError, config_in, import_dit
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.fresh import initialise
from vividhead.flashhead.train.feeding import Encoder, Training, first_windows

LOOKED_AT = 64
"""Windows from which a prior is measured."""
WAN_REFERENCE = "the transformer of Wan2.1-T2V-1.3B (diffusion_pytorch_model.safetensors, Apache-2.0)"


def fresh(config: FlashHeadConfig, seed: int) -> Dit:
    """A model that nobody trained: at first its velocity leads to the portrait."""
    return initialise(Dit(config), seed)


def look_around(dit: Dit, training: Training, encode: Encoder) -> None:
    """Measure how far clips are from their portraits, for a fresh model that begins there. The same on every rank."""
    if dit.prior is None:
        return
    windows = first_windows(training, encode, LOOKED_AT)
    dit.prior.measured(windows.latents_BKCTHW[:, 0], windows.reference_BCTHW)


def from_flashhead(folder: Path, config: FlashHeadConfig) -> Dit:
    """A trained model from a checkpoint folder, in float32. Raises CheckpointError where it is of other shapes."""
    found = config_in(folder, config.name)
    if (found.dit, found.codec, found.audio, found.stream) != (config.dit, config.codec, config.audio, config.stream):
        raise CheckpointError(f"{folder} holds another {config.name}: train with --config of its flashhead.toml")
    dit, _ = import_dit(folder, config)
    return dit.float()


def from_wan(path: Path, config: FlashHeadConfig, seed: int) -> tuple[Dit, list[str]]:
    """A fresh model with all weights of Wan2.1-T2V-1.3B that have a place in it, and the names of those that are fresh.

    Blocks and time are the same in both. Of the patch embedding Pro takes Wan's for the noisy channels and zeros for
    the portrait's; Lite has other latents, so its patch embedding and head stay fresh, as does the audio projection.
    Audio tokens come in where Wan's text did: the cross attention is taken over (notes, section 2.1).
    """
    dit = fresh(config, seed)
    try:
        with safe_open(path, "pt") as file:
            theirs = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as fault:
        raise VividHeadError(f"{path} cannot be read as {WAN_REFERENCE}: {fault}") from fault
    if "blocks.0.self_attn.q.weight" not in theirs:
        raise VividHeadError(f"{path} is not {WAN_REFERENCE}: it has no blocks.0.self_attn.q.weight")
    left: list[str] = []
    with torch.no_grad():
        for name, ours in dit.named_parameters():
            if not _taken(name, ours, theirs.get(name)):
                left.append(name)
    if "blocks.0.self_attn.q.weight" in left:
        theirs_wide, ours_wide = theirs["blocks.0.self_attn.q.weight"].shape[0], config.dit.dim
        raise VividHeadError(
            f"{path}: its blocks are {theirs_wide} wide, those of {config.name} {ours_wide}, so none of its weights "
            f"has a place: take {WAN_REFERENCE} for lite or pro, or begin without --from"
        )
    return dit, left


def _taken(name: str, ours: Tensor, given: Tensor | None) -> bool:
    if given is not None and given.shape == ours.shape:
        ours.copy_(given)
        return True
    if name == "patch_embedding.weight" and given is not None and given.shape[2:] == ours.shape[2:]:
        channels = given.shape[1]
        if 2 * channels == ours.shape[1] and len(given) == len(ours):
            ours[:, :channels], ours[:, channels:] = given, 0
            return True
    return False
