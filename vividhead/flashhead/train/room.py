"""What a stage needs of a GPU's memory at the least, and what would fit where that is too much."""

from dataclasses import dataclass

import torch

from vividhead.errors import UsageError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.dit import Dit

LEARNS_B, AVERAGE_B, VALUES_B = 18, 4, 6
"""Bytes a parameter: float32 values, gradients and two moments of a network that learns, and the bfloat16 copy that
products are made with; float32 of an average; values and copy of a network that does not learn."""
_WIDTHS, _HIDDEN, _BYTES = 19, 2, 2
"""Of a block are kept for the backward pass, in bfloat16, so many vectors as wide as a token (what enters its layers,
norms and attention; the float32 sums between them count twice) and as wide as the feed-forward layer's inside."""


@dataclass(frozen=True, slots=True)
class Need:
    """At the least; what a codec, an allocator and torch itself take comes on top."""

    networks: int
    """Bytes on all ranks together, for parameters and what an optimizer and an average hold of them."""
    on_each: int
    """Bytes on every rank: stage 2's teacher, which is not spread."""
    window: int
    """Bytes for each window of a batch, kept until its backward pass."""

    def bytes_on_a_gpu(self, batch: int, parts: int) -> int:
        """With networks in so many parts."""
        return self.networks // parts + self.on_each + batch * self.window


def need_of(config: FlashHeadConfig, stage: int, *, recomputes: bool) -> Need:
    """Of one stage."""
    with torch.device("meta"):
        parameters = sum(p.numel() for p in Dit(config).parameters())
    each, whole = (LEARNS_B + AVERAGE_B, 0) if stage == 1 else (2 * LEARNS_B + AVERAGE_B, VALUES_B)
    dit, frames = config.dit, config.latent_frames
    tokens = frames * (config.latent_side // dit.patch_side) ** 2
    block = tokens * (_WIDTHS * dit.dim + _HIDDEN * dit.ffn_dim) * _BYTES
    kept = dit.layers * tokens * dit.dim * 2 * _BYTES + block if recomputes else dit.layers * block
    return Need(networks=parameters * each, on_each=parameters * whole, window=kept)


def room_for(config: FlashHeadConfig, stage: int, device: torch.device, parts: int = 1) -> None:
    """Refuse what cannot fit into a GPU's memory, before anything is read. `parts`: ranks that share parameters."""
    if device.type != "cuda":
        return
    _, there = torch.cuda.mem_get_info(device)
    batch = (config.stage1 if stage == 1 else config.stage2).batch
    recomputes = config.loop.recompute_blocks
    needed = need_of(config, stage, recomputes=recomputes).bytes_on_a_gpu(batch, parts)
    if needed > there:
        raise UsageError(
            f"stage {stage} of {config.name} needs at least {needed / 1e9:.0f} GB on each GPU for a batch of {batch}, "
            f"and {_name(device)} has {there / 1e9:.0f} GB. What would fit: {_ways_out(config, stage, there, parts)}"
        )


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device)


def _ways_out(config: FlashHeadConfig, stage: int, there: int, parts: int) -> str:
    """Single changes that would, else what has to be done together."""
    batch, recomputes = (config.stage1 if stage == 1 else config.stage2).batch, config.loop.recompute_blocks
    as_is, least = (need_of(config, stage, recomputes=r) for r in (recomputes, True))
    ways = []
    if (smaller := (there - as_is.bytes_on_a_gpu(0, parts)) // as_is.window) > 0:
        ways.append(f"stage{stage}.batch = {smaller}")
    if not recomputes and least.bytes_on_a_gpu(batch, parts) <= there:
        ways.append("loop.recompute_blocks = true")
    if as_is.on_each + batch * as_is.window < there:
        ways.append(f"--shard with {_parts(as_is, batch, there)} GPUs")
    if not ways and least.on_each + least.window < there:
        ways.append(
            f"loop.recompute_blocks = true with stage{stage}.batch = 1 and --shard with {_parts(least, 1, there)} GPUs"
        )
    return ", or ".join(ways) or "a smaller --config"


def _parts(need: Need, batch: int, there: int) -> int:
    """The fewest GPUs over which the networks have to be spread."""
    return max(2, -(-need.networks // (there - need.on_each - batch * need.window)))
