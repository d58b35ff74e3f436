"""Distribution matching distillation: where two scores disagree about a sample is where the sample should move.

The teacher's score is that of real latents, the fake one that of what the generator makes; both are velocities of the
same flow. DMD2 (arXiv 2405.14867) in the form of Self-Forcing (arXiv 2506.08009), on the latents that are not taken
over. Knows of no model: any velocity of latents [B, C, T, H, W] and timesteps [B] will do.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from vividhead.flashhead.train.flow import clean_of, mean_outside, noised

Velocity = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def dmd_gradient(
    sample_BCTHW: Tensor,
    is_motion_B1T11: Tensor,
    noise_BCTHW: Tensor,
    timestep_B: Tensor,
    teacher: Velocity,
    fake: Velocity,
) -> Tensor:
    """From the teacher's estimate of the clean latents to the fake score's, in units of the teacher's own error.

    float32; zero where latents are taken over, and where it is not a number.
    """
    x = noised(sample_BCTHW, noise_BCTHW.to(sample_BCTHW), timestep_B)
    real = clean_of(x.float(), teacher(x, timestep_B).float(), timestep_B)
    made = clean_of(x.float(), fake(x, timestep_B).float(), timestep_B)
    error_B = mean_outside((sample_BCTHW.float() - real).abs(), is_motion_B1T11)
    gradient = (made - real) / error_B[:, None, None, None, None]
    return torch.where(is_motion_B1T11 | gradient.isnan(), 0, gradient)


def dmd_loss(sample_BCTHW: Tensor, gradient_BCTHW: Tensor, is_motion_B1T11: Tensor) -> Tensor:
    """Half the mean squared distance to where the gradient leads: its own gradient is the given one, over the mean."""
    sample = sample_BCTHW.float()
    goal = (sample - gradient_BCTHW).detach()
    return 0.5 * mean_outside((sample - goal).square(), is_motion_B1T11).mean()


def flow_loss_B(
    velocity: Velocity, clean_BCTHW: Tensor, is_motion_B1T11: Tensor, noise_BCTHW: Tensor, timestep_B: Tensor
) -> Tensor:
    """Mean squared error [B] of a velocity that sees the latents noised, but those that are taken over clean."""
    noise = noise_BCTHW.to(clean_BCTHW)
    x = torch.where(is_motion_B1T11, clean_BCTHW, noised(clean_BCTHW, noise, timestep_B))
    return mean_outside((velocity(x, timestep_B).float() - (noise - clean_BCTHW).float()).square(), is_motion_B1T11)
