"""The exponential moving average of a model's parameters: what training gives, smoother than its last step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vividhead.flashhead.train.ranks import plain_parameters

_UPDATES = "updates"
_SHADOW = "shadow."


class Ema:
    """A float32 shadow of the parameters that are trained, on their devices and, under FSDP2, in their parts.

    After n updates the next one has a decay of min(decay, (1 + n) / (10 + n)): at first the average follows closely,
    so that the values of no training are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Begin with the parameters as they are."""
        self.decay = decay
        self._live = {name: p for name, p in plain_parameters(module).items() if p.requires_grad}
        self._shadow = {name: p.detach().to(torch.float32, copy=True) for name, p in self._live.items()}
        self._n_updates = torch.zeros((), dtype=torch.int64)

    @property
    def next_decay(self) -> float:
        """Weight that the average keeps at the next update."""
        n = int(self._n_updates)
        return min(self.decay, (1 + n) / (10 + n))

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the parameters; call it after each step of the optimizer."""
        live = [p.detach().float() for p in self._live.values()]
        torch._foreach_lerp_(list(self._shadow.values()), live, 1 - self.next_decay)
        self._n_updates += 1

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Within it the model has the averaged values: to validate, to sample, to export."""
        trained = {name: p.detach().clone() for name, p in self._live.items()}
        self._give(self._shadow)
        try:
            yield
        finally:
            self._give(trained)

    @torch.no_grad()
    def _give(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._live.items():
            parameter.copy_(values[name])

    def state_dict(self) -> dict[str, Tensor]:
        """The shadow and the number of updates: the tensors themselves, not copies."""
        return {_UPDATES: self._n_updates} | {_SHADOW + name: value for name, value in self._shadow.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved state, of the same parameters."""
        mine = self.state_dict()
        if mine.keys() != state.keys():
            differing = ", ".join(sorted(mine.keys() ^ state.keys())[:3])
            raise KeyError(f"the average is of other parameters: {differing} on one side alone")
        for name, value in mine.items():
            value.copy_(state[name])
