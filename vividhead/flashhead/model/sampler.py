"""From noise to the latents of a chunk in a few steps, or in twenty guided ones as the teacher takes them.

Flow matching: x_t = (1 - t) x_0 + t · noise, and the model's velocity is noise - x_0 (notes, section 1.5). In each step
the latents that a chunk takes over from the one before are put back clean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NOISE_T = 1000.0
"""The timestep of pure noise; 0 is clean."""
BASE_STEPS = {1: (1000.0,), 2: (1000.0, 500.0), 4: (1000.0, 750.0, 500.0, 250.0)}
"""Steps before the shift, by their number."""
TEACHER_STEPS = 20
TEACHER_GUIDANCE = 3.0
Velocity = Callable[[Tensor, int], Tensor]
"""Velocity of latents at the step of this number."""


def shifted(timesteps: Tensor, shift: float) -> Tensor:
    """Draw timesteps (0 … 1000) towards noise: at shift 5, 500 becomes 833."""
    sigma = timesteps / NOISE_T
    return NOISE_T * shift * sigma / (1 + (shift - 1) * sigma)


@dataclass(frozen=True)
class Schedule:
    """Timesteps of the denoising steps, first to last; after the last the latents are clean."""

    timesteps: tuple[float, ...]

    @classmethod
    def few(cls, steps: int, shift: float) -> "Schedule":
        """The distilled generator's: 1, 2 or 4 steps."""
        return cls(tuple(shifted(torch.tensor(BASE_STEPS[steps], dtype=torch.float64), shift).tolist()))

    @classmethod
    def teacher(cls, shift: float) -> "Schedule":
        """The pre-trained model's: twenty steps."""
        base = torch.linspace(NOISE_T, 1.0, TEACHER_STEPS, dtype=torch.float64)
        return cls(tuple(shifted(base, shift).tolist()))

    def sigmas(self, dtype: torch.dtype) -> list[float]:
        """Share of noise before each step, rounded to the model's precision, and 0 at the end."""
        return [torch.tensor(t / NOISE_T).to(dtype).item() for t in self.timesteps] + [0.0]


def drawn(shape: Sequence[int], steps: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """The noise of one stream's chunk [steps + 1, *shape]: where it begins, and what each step adds.

    The last addition has no weight and is drawn all the same, so that a stream's random numbers stay those of the
    published sampler. Drawn from the stream's own generator: what else is in the batch changes nothing.
    """
    return torch.stack(
        [torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device) for _ in range(steps + 1)]
    )


def denoised(
    velocity: Velocity,
    noises_SBCTHW: Tensor,
    motion_BCTHW: Tensor,
    is_motion_B1T11: Tensor,
    schedule: Schedule,
    last_step: int | None = None,
) -> Tensor:
    """Latents of a chunk by re-noised estimates of the clean ones (the distilled sampler).

    `motion` holds what is taken over where `is_motion`; `noises` are of `drawn`. Where a `last_step` is given, the
    result is the estimate after that step, as distillation learns from it.
    """
    sigmas = schedule.sigmas(noises_SBCTHW.dtype)
    last = len(schedule.timesteps) - 1 if last_step is None else last_step
    x_BCTHW = noises_SBCTHW[0]
    for step in range(last + 1):
        x_BCTHW = torch.where(is_motion_B1T11, motion_BCTHW, x_BCTHW)
        clean = x_BCTHW - velocity(x_BCTHW, step) * sigmas[step]
        after = 0.0 if step == last else sigmas[step + 1]
        x_BCTHW = (1 - after) * clean + after * noises_SBCTHW[step + 1]
    return torch.where(is_motion_B1T11, motion_BCTHW, x_BCTHW)


def guided(
    conditional: Velocity,
    unconditional: Velocity,
    noise_BCTHW: Tensor,
    motion_BCTHW: Tensor,
    is_motion_B1T11: Tensor,
    schedule: Schedule,
    guidance: float = TEACHER_GUIDANCE,
) -> Tensor:
    """Latents by Euler steps along unconditional + guidance · (conditional - unconditional), the teacher's sampler.

    Unconditional means audio features of zeros, not features of silent sound.
    """
    sigmas = schedule.sigmas(noise_BCTHW.dtype)
    x_BCTHW = noise_BCTHW
    for step in range(len(schedule.timesteps)):
        x_BCTHW = torch.where(is_motion_B1T11, motion_BCTHW, x_BCTHW)
        without = unconditional(x_BCTHW, step)
        flow = without + guidance * (conditional(x_BCTHW, step) - without)
        x_BCTHW = x_BCTHW + flow * (sigmas[step + 1] - sigmas[step])
    return torch.where(is_motion_B1T11, motion_BCTHW, x_BCTHW)
