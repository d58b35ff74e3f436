"""A tiny model in training: all that a checkpoint holds."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tests.flashhead.stubs import tiny_config
from tests.flashhead.train.tiny import dit_of
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.train.ema import Ema
from vividhead.flashhead.train.ranks import own_generator, plain_parameters


class Learner:
    """A Dit, its average, its optimizer with two groups, and a generator that noise is drawn from."""

    def __init__(self, seed: int, config: FlashHeadConfig | None = None, rank: int = 0) -> None:
        self.config = config or tiny_config()
        self.dit = dit_of(self.config, seed)
        self.network: nn.Module = self.dit
        self.generator = own_generator(seed, rank)
        self.prepare()

    def prepare(self) -> None:
        """Make what follows from the network: again, once it is wrapped."""
        parameters = plain_parameters(self.network)
        flat = [p for p in parameters.values() if p.ndim < 2]
        wide = [p for p in parameters.values() if p.ndim >= 2]
        groups = [{"params": wide, "weight_decay": 0.1}, {"params": flat, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.99))
        self.ema = Ema(self.network, 0.9)

    @property
    def modules(self) -> dict[str, Any]:
        return {"dit": self.network, "ema": self.ema}

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"dit": self.optimizer}

    def loss(self, generator: torch.Generator) -> Tensor:
        """Of random latents; one draw after another moves the generator on."""
        config = self.config
        latents = torch.randn(1, config.dit.latent_channels, *config.grid_THW, generator=generator)
        shape = (1, config.stream.frames_per_chunk, 5, config.audio.layers, config.audio.width)
        context = torch.randn(shape, generator=generator)
        velocity: Tensor = self.network(latents, torch.tensor([500.0]), context, latents.flip(0))
        return (velocity - latents).square().mean()

    def update(self, times: int) -> None:
        for _ in range(times):
            self.optimizer.zero_grad()
            self.loss(self.generator).backward()
            self.optimizer.step()
            self.ema.update()

    def values(self) -> dict[str, Tensor]:
        """Copies of all that it is made of."""
        remembered = self.optimizer.state_dict()["state"]
        return {
            **{f"dit.{k}": v.detach().clone() for k, v in plain_parameters(self.network).items()},
            **{f"ema.{k}": v.clone() for k, v in self.ema.state_dict().items()},
            **{f"optimizer.{n}.{k}": v.clone() for n, state in remembered.items() for k, v in state.items()},
            "generator": self.generator.get_state(),
        }


def differing(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """Names of values that are not equal in every bit."""
    assert one.keys() == other.keys()
    return [name for name, value in one.items() if not torch.equal(value, other[name])]
