"""What the generator makes of its own pictures, which is what it is distilled on.

    portrait ─▶ chunk 1 ─▶ pictures, colours matched ─▶ last of them, encoded ─▶ chunk 2 ─▶ … ─▶ chunk k
    └───────────────────────── all steps, without gradient ─────────────────────────┘      steps 1 … j + 1,
                                                                                           the last with gradient

k and j are the same on all ranks, so that every rank runs as many forward passes (notes, section 2.3). Sampler and
hand-over are those of the streaming engine. Axes: K chunks, S draws of a chunk, B batch, C T H W latents.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.generate.chunk import pictures_and_motion
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.flashhead.model.colour import matched, reference_moments
from vividhead.flashhead.model.sampler import Schedule, denoised
from vividhead.flashhead.train.flow import motion_mask
from vividhead.flashhead.train.windows import Windows

Network = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Velocity [B, C, T, H, W] of latents, timesteps [B], audio context and reference latents: a Dit, wrapped or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """What all ranks do alike in one update."""

    chunks: int
    """How many are made, the last of them with a gradient."""
    exit_step: int
    """Denoising step, from 0, whose estimate of the clean latents is the last chunk."""

    def forward_passes(self, config: FlashHeadConfig) -> int:
        """How often the generator is called."""
        return (self.chunks - 1) * config.sampler.steps + self.exit_step + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The last chunk of a rollout, and what it went on from."""

    latents_BCTHW: Tensor
    """Clean, motion latents in their place; they alone carry a gradient."""
    motion_BCTHW: Tensor
    """Motion latents, padded with zeros to T."""
    is_motion_B1T11: Tensor
    before_B3HW: Tensor | None
    """Last picture of the chunk before, -1 … 1; None where there was none."""


def draw_plan(config: FlashHeadConfig, shared: torch.Generator) -> RolloutPlan:
    """One plan; every rank seeds `shared` alike and draws from it alike."""
    chunks = torch.randint(1, config.stage2.chunks + 1, (), generator=shared)
    exit_step = torch.randint(config.sampler.steps, (), generator=shared)
    return RolloutPlan(chunks=int(chunks), exit_step=int(exit_step))


def roll_out(
    generator: Network,
    codec: VideoCodec,
    windows: Windows,
    plan: RolloutPlan,
    noises_KSBCTHW: Tensor,
    config: FlashHeadConfig,
) -> Rollout:
    """Generate the chunks of a plan; the noise of each is as the sampler's `drawn`.

    Where gradients are enabled, exactly one call of the generator has one: the exit step of the last chunk.
    """
    reference = windows.reference_BCTHW
    noises = noises_KSBCTHW.to(reference)
    schedule = Schedule.few(config.sampler.steps, config.sampler.shift)
    timesteps_SB = torch.tensor(schedule.timesteps, device=reference.device)[:, None].expand(-1, len(windows))
    motion, before = reference[:, :, :1], None
    for chunk in range(plan.chunks - 1):
        with torch.no_grad():
            velocity = _velocity(generator, windows, chunk, timesteps_SB)
            latents = denoised(velocity, noises[chunk], *_taken_over(motion, reference), schedule)
        before, motion = _handed_over(latents, codec, windows, config)
    chunk, exit_step = plan.chunks - 1, plan.exit_step
    motion, is_motion = _taken_over(motion, reference)
    velocity = _velocity(generator, windows, chunk, timesteps_SB, learning_step=exit_step)
    latents = denoised(velocity, noises[chunk], motion, is_motion, schedule, exit_step)
    return Rollout(latents_BCTHW=latents, motion_BCTHW=motion, is_motion_B1T11=is_motion, before_B3HW=before)


def _velocity(
    generator: Network, windows: Windows, chunk: int, timesteps_SB: Tensor, learning_step: int | None = None
) -> Callable[[Tensor, int], Tensor]:
    """The generator in a chunk, without gradient but for the `learning_step`."""
    context, reference = windows.context_BKFWLC[:, chunk], windows.reference_BCTHW

    def velocity(x_BCTHW: Tensor, step: int) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and step == learning_step):
            return generator(x_BCTHW, timesteps_SB[step], context, reference).to(x_BCTHW)

    return velocity


def _taken_over(motion_BCTHW: Tensor, like_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
    """Motion latents padded to a chunk, and where they are."""
    taken, frames = motion_BCTHW.shape[2], like_BCTHW.shape[2]
    counts_B = torch.full((like_BCTHW.shape[0],), taken, device=like_BCTHW.device)
    return F.pad(motion_BCTHW, (0, 0, 0, 0, 0, frames - taken)), motion_mask(counts_B, frames)


@torch.no_grad()
def _handed_over(
    latents_BCTHW: Tensor, codec: VideoCodec, windows: Windows, config: FlashHeadConfig
) -> tuple[Tensor, Tensor]:
    """The last picture of a chunk, and the motion latents of the next."""
    ends_B = torch.full((len(windows),), config.stream.frames_per_chunk, device=latents_BCTHW.device)
    with _as_when_streaming(latents_BCTHW):
        colours = reference_moments(_portrait(windows)[:, :, None])
        video, motion = pictures_and_motion(_for(codec, latents_BCTHW), codec, config, colours, ends_B)
    return video[:, :, -1], motion.to(latents_BCTHW)


@torch.no_grad()
def seam_psnr_db(rollout: Rollout, codec: VideoCodec, windows: Windows, config: FlashHeadConfig) -> Tensor | None:
    """PSNR [B] of the first new picture against the last one of the chunk before, as a viewer sees them; dB.

    None for a first chunk. Motion lowers it as a jump does: compare it over time and with that of real clips.
    """
    if rollout.before_B3HW is None:
        return None
    with _as_when_streaming(rollout.latents_BCTHW):
        colours = reference_moments(_portrait(windows)[:, :, None])
        video = matched(codec.decode(_for(codec, rollout.latents_BCTHW)), colours, config.stream.colour_strength)
    change = video[:, :, config.motion_frames].clamp(-1, 1) - rollout.before_B3HW.clamp(-1, 1)
    mean_square_B = change.square().flatten(1).mean(1).clamp(min=1e-10)
    return 10 * torch.log10(4 / mean_square_B)  # the range from -1 to 1, squared


def _portrait(windows: Windows) -> Tensor:
    assert windows.portrait_B3HW is not None, "stage 2 asks for portraits"
    return windows.portrait_B3HW


def _as_when_streaming(latents_BCTHW: Tensor) -> torch.autocast:
    """Codec and colours in their own precision, whatever the networks train in."""
    return torch.autocast(latents_BCTHW.device.type, enabled=False)


def _for(codec: VideoCodec, latents_BCTHW: Tensor) -> Tensor:
    return latents_BCTHW.to(next(codec.buffers()).dtype)
