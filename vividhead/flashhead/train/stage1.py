"""Stage 1, streaming-aware pre-training: velocity of a chunk from its audio, portrait and motion latents."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.train.flow import clean_of, drawn_timesteps, mean_outside, motion_mask, noised
from vividhead.flashhead.train.rollout import Network
from vividhead.flashhead.train.windows import Windows

T_BUCKETS = 5
"""The loss is told apart for so many ranges of timesteps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """All that is random in one update, drawn on the CPU so that it is the same on every device."""

    noise_BCTHW: Tensor
    timestep_B: Tensor
    taken_over_B: Tensor
    """Latent frames that are given clean: the motion latents, or one as at a cold start."""
    has_audio_B: Tensor
    """False where the audio features are zeros."""

    def to(self, device: torch.device) -> "Draws":
        """On the device."""
        return Draws(**{name: getattr(self, name).to(device) for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Of one batch."""

    total: Tensor
    velocity: Tensor
    face: Tensor
    temporal: Tensor
    velocity_B: Tensor
    """Of each window, for the log by timestep."""


def draw(shape_BCTHW: torch.Size, config: FlashHeadConfig, generator: torch.Generator) -> Draws:
    """Noise, timesteps, and which windows are a cold start or without audio."""
    count, options = shape_BCTHW[0], config.stage1
    cold = torch.rand(count, generator=generator) < options.single_frame
    return Draws(
        noise_BCTHW=torch.randn(shape_BCTHW, generator=generator),
        timestep_B=drawn_timesteps(count, config.sampler.shift, generator),
        taken_over_B=torch.where(cold, 1, config.stream.motion_latents),
        has_audio_B=torch.rand(count, generator=generator) >= options.audio_drop,
    )


def stage1_loss(dit: Network, windows: Windows, draws: Draws, config: FlashHeadConfig) -> Loss:
    """Mean squared error of the velocity, and optionally of the clean latents in the face and of their changes."""
    clean = windows.latents_BKCTHW[:, 0]
    noise = draws.noise_BCTHW.to(clean)
    is_motion = motion_mask(draws.taken_over_B, clean.shape[2])
    x = torch.where(is_motion, clean, noised(clean, noise, draws.timestep_B))
    context = windows.context_BKFWLC[:, 0] * draws.has_audio_B[:, None, None, None, None]
    velocity = dit(x, draws.timestep_B, context, windows.reference_BCTHW)
    velocity_B = mean_outside((velocity.float() - (noise - clean).float()).square(), is_motion)
    error = clean_of(x, velocity, draws.timestep_B).float() - clean.float()
    face, temporal = _face_error(error, windows, is_motion), _temporal_error(error, is_motion)
    options = config.stage1
    total = velocity_B.mean() + options.face_weight * face + options.temporal_weight * temporal
    return Loss(total=total, velocity=velocity_B.mean(), face=face, temporal=temporal, velocity_B=velocity_B.detach())


def _face_error(error_BCTHW: Tensor, windows: Windows, is_motion: Tensor) -> Tensor:
    """Mean |error| of the clean latents over the places that show the face; 0 where no face is known."""
    if windows.face_BKTHW is None:
        return error_BCTHW.new_zeros(())
    weight = windows.face_BKTHW[:, 0, None].to(error_BCTHW) * ~is_motion
    return (error_BCTHW.abs() * weight).sum() / (weight.sum() * error_BCTHW.shape[1]).clamp(min=1)


def _temporal_error(error_BCTHW: Tensor, is_motion: Tensor) -> Tensor:
    """Mean squared error of the change from each latent frame to the next; the seam to the motion latents counts."""
    free = torch.where(is_motion, 0, error_BCTHW)
    changes = free.diff(dim=2)
    return mean_outside(changes.square(), is_motion[:, :, 1:]).mean()


def by_timestep(velocity_B: Tensor, timestep_B: Tensor) -> dict[str, float]:
    """Mean loss of each range of timesteps that occurs, as `t200` for 200 … 400."""
    width = 1000 // T_BUCKETS
    buckets = (timestep_B // width).clamp(max=T_BUCKETS - 1).long()
    return {f"t{b * width}": velocity_B[buckets == b].mean().item() for b in sorted(set(buckets.tolist()))}
