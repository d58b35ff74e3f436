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
    mouth: Tensor
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
    """Mean squared error of the velocity, optionally once more at the mouth, and that of the clean latents in the face
    and of their changes."""
    clean = windows.latents_BKCTHW[:, 0]
    noise = draws.noise_BCTHW.to(clean)
    is_motion = motion_mask(draws.taken_over_B, clean.shape[2])
    x = torch.where(is_motion, clean, noised(clean, noise, draws.timestep_B))
    context = windows.context_BKFWLC[:, 0] * draws.has_audio_B[:, None, None, None, None]
    velocity = dit(x, draws.timestep_B, context, windows.reference_BCTHW)
    squares = (velocity.float() - (noise - clean).float()).square()
    velocity_B = mean_outside(squares, is_motion)
    error = clean_of(x, velocity, draws.timestep_B).float() - clean.float()
    face = _mean_where(windows.face_BKTHW, error.abs(), is_motion)
    mouth = _mean_where(windows.mouth_BKTHW, squares, is_motion)
    temporal, options = _temporal_error(error, is_motion), config.stage1
    weighted = options.face_weight * face + options.mouth_weight * mouth + options.temporal_weight * temporal
    return Loss(
        total=velocity_B.mean() + weighted,
        velocity=velocity_B.mean(), face=face, mouth=mouth, temporal=temporal, velocity_B=velocity_B.detach(),
    )  # fmt: skip


def _mean_where(shown_BKTHW: Tensor | None, values_BCTHW: Tensor, is_motion: Tensor) -> Tensor:
    """Mean over the places where something is shown that is not taken over; 0 where that is nowhere, or unknown."""
    if shown_BKTHW is None:
        return values_BCTHW.new_zeros(())
    weight = shown_BKTHW[:, 0, None].to(values_BCTHW) * ~is_motion
    return (values_BCTHW * weight).sum() / (weight.sum() * values_BCTHW.shape[1]).clamp(min=1)


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
