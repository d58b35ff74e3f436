"""Distribution matching: the gradient's value, and two-dimensional Gaussians that become the teacher's."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vividhead.flashhead.train.dmd import Velocity, dmd_gradient, dmd_loss, flow_loss_B
from vividhead.flashhead.train.flow import drawn_timesteps

SHAPE = (2, 3, 5, 2, 2)
MEAN = torch.tensor([1.5, -0.5])
COVARIANCE = torch.tensor([[0.5, 0.3], [0.3, 0.4]])


def motion(*taken_over: int) -> Tensor:
    return (torch.arange(5) < torch.tensor(taken_over)[:, None])[:, None, :, None, None]


def constant(value: float) -> Velocity:
    return lambda x, t: torch.full_like(x, value)


def gaussian(mean_C: Tensor, covariance_CC: Tensor) -> Velocity:
    """The exact velocity of the flow to a normal distribution; C are the channels, all else is 1."""

    variance_C, axes_CC = torch.linalg.eigh(covariance_CC)

    def velocity(x: Tensor, timestep_B: Tensor) -> Tensor:
        share = (timestep_B / 1000)[:, None]
        white = ((x.flatten(1) - (1 - share) * mean_C) @ axes_CC) / ((1 - share) ** 2 * variance_C + share**2)
        noise, clean = share * white @ axes_CC.T, mean_C + (1 - share) * white * variance_C @ axes_CC.T
        return (noise - clean).view_as(x)

    return velocity


def test_the_gradient_points_from_the_teachers_estimate_to_the_fake_one_over_the_teachers_error() -> None:
    sample, noise, timestep = torch.randn(SHAPE), torch.randn(SHAPE), torch.tensor([250.0, 800.0])
    is_motion = motion(1, 2)
    found = dmd_gradient(sample, is_motion, noise, timestep, teacher=constant(0.5), fake=constant(-1.0))
    for row, (share, taken) in enumerate([(0.25, 1), (0.8, 2)]):
        real = (1 - share) * sample[row] + share * noise[row] - share * 0.5
        error = (sample[row] - real)[:, taken:].abs().mean()
        assert torch.allclose(found[row, :, taken:], share * 1.5 / error, atol=1e-5)
        assert not found[row, :, :taken].any()


def test_scores_that_agree_leave_the_sample_alone() -> None:
    sample = torch.randn(SHAPE)
    found = dmd_gradient(sample, motion(1, 2), torch.randn(SHAPE), torch.tensor([20.0, 980]), constant(3), constant(3))
    assert not found.any()


def test_what_is_not_a_number_does_not_pull() -> None:
    def broken(x: Tensor, timestep_B: Tensor) -> Tensor:
        return torch.where(torch.arange(2)[:, None, None, None, None] == 0, torch.nan, 1.0).expand_as(x)

    sample, timestep = torch.randn(SHAPE), torch.tensor([500.0, 500.0])
    found = dmd_gradient(sample, motion(1, 1), torch.randn(SHAPE), timestep, broken, constant(0))
    assert not found[0].any()
    assert found[1, :, 1:].all()


def test_the_losss_gradient_is_the_dmd_gradient_over_the_free_latents_and_rows() -> None:
    sample, gradient = torch.randn(SHAPE, requires_grad=True), torch.randn(SHAPE)
    is_motion = motion(1, 2)
    loss = dmd_loss(sample, gradient, is_motion)
    loss.backward()
    assert sample.grad is not None
    for row, taken in enumerate((1, 2)):
        free = 3 * (5 - taken) * 4
        assert torch.allclose(sample.grad[row, :, taken:], gradient[row, :, taken:] / free / 2, atol=1e-6)
        assert not sample.grad[row, :, :taken].any()


def test_the_flow_loss_shows_motion_clean_and_counts_only_the_rest() -> None:
    clean, noise, timestep = torch.randn(SHAPE), torch.randn(SHAPE), torch.tensor([400.0, 900.0])
    seen = []

    def velocity(x: Tensor, timestep_B: Tensor) -> Tensor:
        seen.append(x)
        return noise - clean + torch.where(motion(1, 2), 100.0, 0.5)

    assert flow_loss_B(velocity, clean, motion(1, 2), noise, timestep).tolist() == pytest.approx([0.25, 0.25])
    assert torch.equal(seen[0][1, :, :2], clean[1, :, :2])
    assert torch.allclose(seen[0][1, :, 2:], (0.1 * clean + 0.9 * noise)[1, :, 2:], atol=1e-6)


class Gaussian(nn.Module):
    """A normal distribution with parameters: a generator of one step, and a family of velocities."""

    def __init__(self) -> None:
        super().__init__()
        self.mean_C = nn.Parameter(torch.tensor([-1.0, 1.0]))
        self.root_CC = nn.Parameter(torch.tensor([[1.2, 0.0], [0.0, 0.3]]))

    @property
    def covariance_CC(self) -> Tensor:
        return self.root_CC @ self.root_CC.T + 1e-4 * torch.eye(2)

    def velocity(self, x: Tensor, timestep_B: Tensor) -> Tensor:
        return gaussian(self.mean_C, self.covariance_CC)(x, timestep_B)

    def sample(self, count: int, random: torch.Generator) -> Tensor:
        return (torch.randn(count, 2, generator=random) @ self.root_CC.T + self.mean_C)[..., None, None, None]


def distilled(fake_of: Callable[[Gaussian, torch.Generator], Velocity], updates: int) -> Gaussian:
    """A generator after updates by DMD alone."""
    random, generator = torch.Generator().manual_seed(0), Gaussian()
    optimiser = torch.optim.Adam(generator.parameters(), 0.03, betas=(0.0, 0.99))
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.03, updates)
    nothing = torch.zeros(128, 1, 1, 1, 1, dtype=torch.bool)
    for _ in range(updates):
        fake = fake_of(generator, random)
        sample = generator.sample(128, random)
        noise = torch.randn(sample.shape, generator=random)
        timestep = drawn_timesteps(128, 5.0, random).clamp(20, 980)
        gradient = dmd_gradient(sample, nothing, noise, timestep, gaussian(MEAN, COVARIANCE), fake)
        optimiser.zero_grad()
        dmd_loss(sample, gradient, nothing).backward()
        optimiser.step()
        schedule.step()
    return generator


def test_a_generator_becomes_the_teachers_distribution_where_the_fake_score_is_exact() -> None:
    found = distilled(lambda generator, random: generator.velocity, 300)
    assert torch.allclose(found.mean_C, MEAN, atol=0.05)
    assert torch.allclose(found.covariance_CC, COVARIANCE, atol=0.06)


def test_a_generator_becomes_the_teachers_distribution_where_the_fake_score_learns_it_from_samples() -> None:
    critic = Gaussian()
    optimiser = torch.optim.Adam(critic.parameters(), 0.03, betas=(0.0, 0.99))
    nothing = torch.zeros(128, 1, 1, 1, 1, dtype=torch.bool)

    def learned(generator: Gaussian, random: torch.Generator) -> Velocity:
        for _ in range(3):
            sample = generator.sample(128, random).detach()
            noise = torch.randn(sample.shape, generator=random)
            timestep = drawn_timesteps(128, 5.0, random).clamp(20, 980)
            optimiser.zero_grad()
            flow_loss_B(critic.velocity, sample, nothing, noise, timestep).mean().backward()
            optimiser.step()
        return critic.velocity

    found = distilled(learned, 300)
    assert torch.allclose(found.mean_C, MEAN, atol=0.08)
    assert torch.allclose(found.covariance_CC, COVARIANCE, atol=0.1)
