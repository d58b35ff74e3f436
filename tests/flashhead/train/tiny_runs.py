"""Runs of the whole loop that take seconds, and what they leave."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from vividhead.flashhead.config import FlashHeadConfig, as_toml, load_config


def tiny(folder: Path, steps: int = 4, save_every: int = 2, **stage1: Any) -> FlashHeadConfig:
    """Nano as small as it gets, as a user would write it: a file."""
    nano = load_config("nano")
    config = replace(
        nano,
        dit=replace(nano.dit, dim=24, ffn_dim=32, heads=2, layers=1, latent_channels=8),
        stream=replace(nano.stream, side_px=32),
        data=replace(nano.data, workers=0),  # ranks that tests start may start no processes
        stage1=replace(nano.stage1, steps=steps, batch=2, warmup_steps=2, cooldown=0.0, **stage1),
        stage2=replace(nano.stage2, steps=2, batch=1, chunks=2, critic_updates=2),
        loop=replace(
            nano.loop, log_every=1, validate_every=2, validation_windows=2, save_every=save_every, sample_every=4
        ),
    )
    path = folder / "tiny.toml"
    path.write_text(as_toml(config), encoding="utf-8")
    return load_config(str(path))


def result(run: Path, stage: int = 1) -> dict[str, Tensor]:
    return load_file(run / f"stage{stage}" / "checkpoint" / "Model_Tiny" / "diffusion_pytorch_model.safetensors")


def log(run: Path, stage: int) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / f"stage{stage}" / "log.jsonl").read_text().splitlines()]


def saved(run: Path, stage: int) -> list[Path]:
    return sorted((run / f"stage{stage}" / "checkpoints").glob("step-*/checkpoint.json"))
