"""What a benchmark says of the machine that it ran on, and how much memory it took."""

import resource
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

PEAKS = ("peak_gpu_memory_mb", "peak_memory_mb")


def told_where(device: str) -> dict[str, str]:
    """On what something is measured, and when."""
    return {
        "measured": datetime.now(UTC).isoformat(timespec="minutes"),
        "vividhead": version("vividhead"),
        "device": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }


def forget_peak(device: str) -> None:
    """Measure peak memory from here on, where that can be: on a GPU."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device: str) -> dict[str, float]:
    """Of the GPU, or of this process since it began."""
    if device == "cuda":
        return {PEAKS[0]: round(torch.cuda.max_memory_allocated() / 1e6)}
    return {PEAKS[1]: round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)}


def memory_of(figures: Mapping[str, Any]) -> str:
    """Peak memory among the figures, as the end of a line."""
    found = [f", {name.removesuffix('_mb').replace('_', ' ')} {figures[name]} MB" for name in PEAKS if name in figures]
    return "".join(found)
