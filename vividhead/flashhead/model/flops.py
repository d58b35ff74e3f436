"""Arithmetic: what a computation costs in floating-point operations, and how many a device does in a second."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from vividhead.flashhead.buckets import Bucket
from vividhead.flashhead.config import AUDIO_WINDOW_FRAMES, FlashHeadConfig
from vividhead.flashhead.model.dit import Dit

MATMUL_SIDE = {"cpu": 1024, "cuda": 8192}
MATMUL_RUNS = 20
WARM_RUNS = 3
VENDORS_BF16_FLOPS_PER_S: Mapping[str, float] = {
    "H200": 989e12, "H100 80GB HBM3": 989e12, "H100 PCIe": 756e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12,
    "RTX 4090": 165e12, "RTX 5090": 209e12,
}  # fmt: skip
"""Dense bfloat16 with float32 sums, as the vendor's data sheets say, by a part of the name that CUDA gives."""


def _attention_flop(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


UNCOUNTED = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop}
"""What torch has no formula for: attention as the CPU does it."""


def counted_flops(action: Callable[[], object]) -> int:
    """Operations of all products that an action does, by torch's formulas."""
    with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
        action()
    return int(counter.get_total_flops())


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass of the transformer on one chunk."""

    flops: int
    blocks_flops: int
    """Of them those within blocks, which recomputation does again."""


def forward_pass(config: FlashHeadConfig, bucket: Bucket | None = None) -> Pass:
    """Counted from shapes, without computing anything; of the configuration's own chunks unless a bucket is given."""
    frames, grid_THW = config.stream.frames_per_chunk, config.grid_THW
    if bucket is not None:
        px = config.codec.stride_px
        latents_T = 1 + (bucket.frames - 1) // config.codec.stride_frames
        frames, grid_THW = bucket.frames, (latents_T, bucket.rows_px // px, bucket.columns_px // px)
    with torch.device("meta"):
        dit = Dit(config)
        latents = torch.empty(1, config.dit.latent_channels, *grid_THW)
        audio = frames, AUDIO_WINDOW_FRAMES, config.audio.layers, config.audio.width
        context, timestep = torch.empty(1, *audio), torch.empty(1)
        with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter, torch.no_grad():
            dit(latents, timestep, context, latents)
    by_module = counter.get_flop_counts()
    blocks = sum(sum(by_module[f"Dit.blocks.{number}"].values()) for number in range(config.dit.layers))
    return Pass(flops=int(counter.get_total_flops()), blocks_flops=int(blocks))


def matmul_flops_per_s(device: torch.device, dtype: torch.dtype) -> float:
    """The best rate of a large matrix product, a peak that can be reached; takes about a second."""
    side = MATMUL_SIDE[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best_s = math.inf
    for run in range(WARM_RUNS + MATMUL_RUNS):
        waited(device)
        began_s = time.perf_counter()
        torch.matmul(a, b)
        waited(device)
        if run >= WARM_RUNS:
            best_s = min(best_s, time.perf_counter() - began_s)
    return 2 * side**3 / best_s


def vendors_flops_per_s(device_name: str) -> float | None:
    """The data sheet's rate of a GPU in bfloat16; None where it is not known."""
    return next((rate for name, rate in VENDORS_BF16_FLOPS_PER_S.items() if name in device_name), None)


def waited(device: torch.device) -> None:
    """Return when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
