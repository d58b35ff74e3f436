"""Flow matching, as both stages use it: x_t = (1 - t) x_0 + t · noise, and the velocity noise - x_0.

The sign is fixed by the published sampler (notes, section 2.1; the paper's equation 1 runs the other way). Latents that
a chunk takes over stay clean in place and out of every loss.
"""

import torch
from torch import Tensor

from vividhead.flashhead.model.sampler import NOISE_T, shifted


def drawn_timesteps(count: int, shift: float, generator: torch.Generator) -> Tensor:
    """Timesteps 0 … 1000, uniform and then drawn towards noise by the shift; [count], on the CPU."""
    return shifted(NOISE_T * torch.rand(count, generator=generator), shift)


def sigma_of(timestep_B: Tensor) -> Tensor:
    """Share of noise, to multiply [B, C, T, H, W]."""
    return (timestep_B / NOISE_T)[:, None, None, None, None]


def noised(clean_BCTHW: Tensor, noise_BCTHW: Tensor, timestep_B: Tensor) -> Tensor:
    """Latents at the timestep."""
    sigma = sigma_of(timestep_B).to(clean_BCTHW)
    return (1 - sigma) * clean_BCTHW + sigma * noise_BCTHW


def clean_of(x_BCTHW: Tensor, velocity_BCTHW: Tensor, timestep_B: Tensor) -> Tensor:
    """The clean latents that a velocity points to."""
    return x_BCTHW - sigma_of(timestep_B).to(x_BCTHW) * velocity_BCTHW


def motion_mask(taken_over_B: Tensor, latent_frames: int) -> Tensor:
    """Which latent frames are taken over, bool [B, 1, T, 1, 1]."""
    places = torch.arange(latent_frames, device=taken_over_B.device)
    return (places < taken_over_B[:, None])[:, None, :, None, None]


def mean_outside(values_BCTHW: Tensor, is_motion_B1T11: Tensor) -> Tensor:
    """Mean of each row [B] over the latents that are not taken over, float32."""
    free = (~is_motion_B1T11).expand_as(values_BCTHW)
    return (values_BCTHW.float() * free).flatten(1).sum(1) / free.flatten(1).sum(1)
