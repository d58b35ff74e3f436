"""Stage 2, oracle-guided bidirectional distillation: a few steps instead of twenty guided ones, fed on its own output.

    z = the generator's rollout            m = its own motion latents        s, noise: one draw for both scores
    x = (1 - s) z + s · noise              with true motion latents  ─▶ teacher, guided ─▶ real ┐
                                           with m                    ─▶ fake score      ─▶ fake ┴▶ fake - real

The teacher judges as if the past had gone well (the oracle), so the generator learns to come back to it; the fake
score learns what the generator makes. SoulX-FlashHead, arXiv 2602.07449; what it leaves open: notes, section 2.3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.flashhead.train.dmd import Velocity, dmd_gradient, dmd_loss, flow_loss_B
from vividhead.flashhead.train.flow import drawn_timesteps, mean_outside
from vividhead.flashhead.train.rollout import Network, Rollout, RolloutPlan, roll_out, seam_psnr_db
from vividhead.flashhead.train.windows import Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """All begin as the model of stage 1."""

    generator: Network
    """Learns from `generator_loss` alone; the result."""
    teacher: Network
    """Never learns."""
    fake: Network
    """Learns from `critic_loss` alone."""
    codec: VideoCodec
    """Frozen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """What is random in one update and other on every rank, drawn on the CPU so that it is the same on every device."""

    noises_KSBCTHW: Tensor
    """Of the sampler, for each chunk of the rollout."""
    noise_BCTHW: Tensor
    """Under which the scores see the last chunk."""
    timestep_B: Tensor
    """At which they do."""

    def to(self, device: torch.device) -> "Draws":
        """On the device."""
        return Draws(**{name: getattr(self, name).to(device) for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorLoss:
    """Of one batch; all but `total` is for the log, without gradient."""

    total: Tensor
    regression: Tensor
    """Mean squared distance of the latents to the true ones."""
    dmd_gradient: Tensor
    """Mean |DMD gradient|."""
    seam_psnr_db: Tensor | None
    """Mean PSNR over the seam to the chunk before; None for a first chunk, or when not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticLoss:
    """Of one batch."""

    total: Tensor
    velocity_B: Tensor
    """Of each window, for the log by timestep; without gradient."""


def draw(shape_BCTHW: torch.Size, plan: RolloutPlan, config: FlashHeadConfig, generator: torch.Generator) -> Draws:
    """Noise of a rollout and of the scores, and the scores' timesteps."""
    count, options = shape_BCTHW[0], config.stage2
    timestep_B = drawn_timesteps(count, config.sampler.shift, generator)
    return Draws(
        noises_KSBCTHW=torch.randn((plan.chunks, config.sampler.steps + 1, *shape_BCTHW), generator=generator),
        noise_BCTHW=torch.randn(shape_BCTHW, generator=generator),
        timestep_B=timestep_B.clamp(options.least_t, options.greatest_t),
    )


def generator_loss(
    networks: Networks,
    windows: Windows,
    plan: RolloutPlan,
    draws: Draws,
    config: FlashHeadConfig,
    measures_seam: bool = True,
) -> GeneratorLoss:
    """DMD and the distance to the true latents; the gradient reaches one call of the generator and nothing else.

    `measures_seam` decodes the last chunk too.
    """
    rollout = roll_out(networks.generator, networks.codec, windows, plan, draws.noises_KSBCTHW, config)
    made, is_motion = rollout.latents_BCTHW, rollout.is_motion_B1T11
    true = windows.latents_BKCTHW[:, plan.chunks - 1]
    teacher, fake = scores(networks, windows, plan, rollout, config)
    gradient = dmd_gradient(made, is_motion, draws.noise_BCTHW, draws.timestep_B, teacher, fake)
    regression = mean_outside((made.float() - true.float()).square(), is_motion).mean()
    seam_B = seam_psnr_db(rollout, networks.codec, windows, config) if measures_seam else None
    return GeneratorLoss(
        total=dmd_loss(made, gradient, is_motion) + config.stage2.regression * regression,
        regression=regression.detach(),
        dmd_gradient=mean_outside(gradient.abs(), is_motion).mean(),
        seam_psnr_db=None if seam_B is None else seam_B.mean(),
    )


def critic_loss(
    networks: Networks, windows: Windows, plan: RolloutPlan, draws: Draws, config: FlashHeadConfig
) -> CriticLoss:
    """Flow matching of the fake score on what the generator makes; the gradient reaches the fake score alone."""
    with torch.no_grad():
        rollout = roll_out(networks.generator, networks.codec, windows, plan, draws.noises_KSBCTHW, config)
    _, fake = scores(networks, windows, plan, rollout, config)
    velocity_B = flow_loss_B(fake, rollout.latents_BCTHW, rollout.is_motion_B1T11, draws.noise_BCTHW, draws.timestep_B)
    return CriticLoss(total=velocity_B.mean(), velocity_B=velocity_B.detach())


def scores(
    networks: Networks, windows: Windows, plan: RolloutPlan, rollout: Rollout, config: FlashHeadConfig
) -> tuple[Velocity, Velocity]:
    """The teacher's velocity and the fake one for the last chunk of a rollout, each with the motion it is given.

    The teacher's is guided: without + guidance · (with - without), where without audio means features of zeros.
    """
    context, reference = windows.context_BKFWLC[:, plan.chunks - 1], windows.reference_BCTHW
    is_motion, guidance = rollout.is_motion_B1T11, config.stage2.guidance
    true = windows.latents_BKCTHW[:, plan.chunks - 1]
    past = true if config.stage2.oracle else rollout.motion_BCTHW

    def teacher(x_BCTHW: Tensor, timestep_B: Tensor) -> Tensor:
        seen = torch.where(is_motion, past, x_BCTHW)
        both = (_twice(seen), _twice(timestep_B), torch.cat((context, torch.zeros_like(context))), _twice(reference))
        with_audio, without = networks.teacher(*both).float().chunk(2)
        return without + guidance * (with_audio - without)

    def fake(x_BCTHW: Tensor, timestep_B: Tensor) -> Tensor:
        return networks.fake(torch.where(is_motion, rollout.motion_BCTHW, x_BCTHW), timestep_B, context, reference)

    return teacher, fake


def _twice(rows: Tensor) -> Tensor:
    return torch.cat((rows, rows))
