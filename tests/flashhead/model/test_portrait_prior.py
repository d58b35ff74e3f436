"""The best linear guess about a portrait: against regression on draws of the very case it is made for."""

import pytest
import torch
from torch import Tensor

from vividhead.flashhead.model.portrait_prior import LEAST_DEVIATION, UNMEASURED, PortraitPrior

SHAPE = (2, 3, 4, 50, 50)
DEVIATION_C = torch.tensor([0.05, 0.4, 1.5])


@pytest.fixture
def prior() -> PortraitPrior:
    made = PortraitPrior(3)
    made.deviation_C.copy_(DEVIATION_C)
    return made


def drawn(share: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Portrait, noisy latents, their velocity and the timestep, for latents as the prior has it."""
    generator = torch.Generator().manual_seed(4)
    portrait = 3 * torch.randn((2, 3, 1, 50, 50), generator=generator).expand(SHAPE)
    clean = portrait + DEVIATION_C[:, None, None, None] * torch.randn(SHAPE, generator=generator)
    noise = torch.randn(SHAPE, generator=generator)
    return portrait, (1 - share) * clean + share * noise, noise - clean, torch.full((2,), 1000 * share)


@pytest.mark.parametrize("share", [1.0, 0.9, 0.5, 0.1])
def test_no_line_through_the_draws_guesses_the_velocity_better(prior: PortraitPrior, share: float) -> None:
    portrait, x, velocity, timestep = drawn(share)
    guess = prior.velocity(torch.zeros(SHAPE), x, timestep, portrait)
    for channel in range(3):
        seen = (x - (1 - share) * portrait)[:, channel].flatten()
        wanted = (velocity + portrait)[:, channel].flatten()
        slope = (seen @ wanted) / (seen @ seen)
        best = (wanted - slope * seen).square().mean()
        ours = (velocity - guess)[:, channel].square().mean()
        assert ours == pytest.approx(best.item(), rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("share", [1.0, 0.9, 0.5, 0.1])
def test_what_the_network_reads_and_what_is_left_for_it_to_say_have_unit_power(
    prior: PortraitPrior, share: float
) -> None:
    portrait, x, velocity, timestep = drawn(share)
    read = prior.beyond(x, timestep, portrait)
    nothing, one = torch.zeros(SHAPE), torch.ones(SHAPE)
    guess = prior.velocity(nothing, x, timestep, portrait)
    left = (velocity - guess) / (prior.velocity(one, x, timestep, portrait) - guess)
    for values in (read, left):
        assert torch.allclose(values.square().mean((0, 2, 3, 4)), torch.ones(3), rtol=0.05)


def test_clean_latents_have_a_finite_velocity_too(prior: PortraitPrior) -> None:
    portrait, x, _, timestep = drawn(0.0)
    assert torch.isfinite(prior.velocity(torch.ones(SHAPE), x, timestep, portrait)).all()


def test_rows_have_timesteps_of_their_own(prior: PortraitPrior) -> None:
    portrait, x, _, _ = drawn(0.5)
    timestep = torch.tensor([900.0, 300.0])
    both = prior.velocity(torch.ones(SHAPE), x, timestep, portrait)
    alone = prior.velocity(torch.ones(1, *SHAPE[1:]), x[1:], timestep[1:], portrait[1:])
    assert torch.equal(both[1:], alone)


def test_deviations_are_measured_where_a_chunk_is_generated_and_never_zero() -> None:
    prior = PortraitPrior(3)
    assert (prior.deviation_C == UNMEASURED).all()
    reference = torch.randn(2, 3, 5, 8, 8)
    latents = reference.clone()
    latents[:, 0, 0] += 100  # the first latent frame is taken over, always
    latents[:, 1, 1:3] += 0.1
    latents[:, 1, 3:] += 0.1 * 7**0.5  # a root of mean squares of 0.2, a mean of 0.18
    prior.measured(latents, reference)
    assert torch.allclose(prior.deviation_C, torch.tensor([LEAST_DEVIATION, 0.2, LEAST_DEVIATION]), atol=1e-6)
    assert list(prior.state_dict()) == ["deviation_C"]
