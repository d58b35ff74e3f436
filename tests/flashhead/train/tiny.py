"""Windows and networks of a tiny FlashHead in training."""

from dataclasses import fields, replace

import torch
from torch import Tensor

from tests.flashhead.stubs import BlockMeans, tiny_config
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.fresh import initialise
from vividhead.flashhead.train.windows import Windows


def config_of(chunks: int = 3, **stage2: object) -> FlashHeadConfig:
    """Stage 2 with other options than nano's."""
    config = tiny_config()
    return replace(config, stage2=replace(config.stage2, chunks=chunks, **stage2))  # type: ignore[arg-type]


def codec_of(config: FlashHeadConfig, seed: int = 0) -> BlockMeans:
    mix = torch.randn(config.dit.latent_channels, 3, generator=torch.Generator().manual_seed(seed))
    return BlockMeans(config.codec.stride_frames, config.codec.stride_px, mix)


def dit_of(config: FlashHeadConfig, seed: int) -> Dit:
    """Random weights, all of which matter, as in training: nothing frozen."""
    dit = initialise(Dit(config), seed)
    torch.nn.init.normal_(dit.head.head.weight, std=0.2, generator=torch.Generator().manual_seed(seed))
    return dit


def windows_of(config: FlashHeadConfig, rows: int = 2, chunks: int = 3, seed: int = 0) -> Windows:
    random = torch.Generator().manual_seed(seed)
    side, frames = config.stream.side_px, config.stream.frames_per_chunk
    portrait = torch.rand(rows, 3, 1, side, side, generator=random) * 1.6 - 0.8
    latents = (rows, chunks, config.dit.latent_channels, *config.grid_THW)
    context = (rows, chunks, frames, 5, config.audio.layers, config.audio.width)
    return Windows(
        latents_BKCTHW=torch.randn(latents, generator=random),
        context_BKFWLC=torch.randn(context, generator=random),
        reference_BCTHW=codec_of(config).encode(portrait.expand(-1, -1, frames, -1, -1)),
        portrait_B3HW=portrait[:, :, 0],
    )


def row_of(windows: Windows, row: int) -> Windows:
    """One window alone."""
    parts = {f.name: getattr(windows, f.name) for f in fields(windows)}
    return Windows(**{name: None if part is None else part[row : row + 1] for name, part in parts.items()})


class Watched:
    """A network that remembers what it saw, and whether with gradient."""

    def __init__(self, network: object) -> None:
        self.network = network
        self.seen: list[tuple[Tensor, ...]] = []
        self.had_gradient: list[bool] = []

    def __call__(self, *inputs: Tensor) -> Tensor:
        self.seen.append(inputs)
        self.had_gradient.append(torch.is_grad_enabled())
        velocity: Tensor = self.network(*inputs)  # type: ignore[operator]
        return velocity
