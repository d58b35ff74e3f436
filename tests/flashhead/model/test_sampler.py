"""The denoising steps: the published timesteps, and where a perfect velocity leads."""

import pytest
import torch
from torch import Tensor

from vividhead.flashhead.model.sampler import Schedule, denoised, drawn, guided

SHAPE = (2, 3, 5, 2, 2)


def no_motion(rows: int = 2) -> Tensor:
    return torch.zeros(rows, 1, 5, 1, 1, dtype=torch.bool)


def test_timesteps_are_the_published_ones() -> None:
    assert Schedule.few(4, 5.0).timesteps == pytest.approx((1000, 937.5, 833.3333, 625))
    assert Schedule.few(2, 5.0).timesteps == pytest.approx((1000, 833.3333))
    assert Schedule.few(1, 5.0).timesteps == (1000.0,)
    assert Schedule.few(4, 5.0).sigmas(torch.bfloat16) == [1, 0.9375, 0.83203125, 0.625, 0]
    teacher = Schedule.teacher(5.0).timesteps
    assert len(teacher) == 20
    assert (teacher[0], teacher[-1]) == pytest.approx((1000, 4.985), rel=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_perfect_velocity_leads_to_the_clean_latents(steps: int) -> None:
    clean, schedule = torch.randn(SHAPE), Schedule.few(steps, 5.0)
    sigmas = schedule.sigmas(torch.float32)
    noises = torch.randn(steps + 1, *SHAPE)

    def velocity(x: Tensor, step: int) -> Tensor:
        return (x - clean) / sigmas[step]

    found = denoised(velocity, noises, torch.zeros(SHAPE), no_motion(), schedule)
    assert torch.allclose(found, clean, atol=1e-5)


def test_what_is_taken_over_is_put_back_clean_in_every_step_and_at_the_end() -> None:
    is_motion = no_motion()
    is_motion[0, :, :1] = is_motion[1, :, :2] = True
    motion, seen = torch.randn(SHAPE), []

    def velocity(x: Tensor, step: int) -> Tensor:
        seen.append(x)
        return torch.randn_like(x)

    schedule = Schedule.few(4, 5.0)
    seen.append(denoised(velocity, torch.randn(5, *SHAPE), motion, is_motion, schedule))
    for x in seen:
        assert torch.equal(x[0, :, 0], motion[0, :, 0])
        assert torch.equal(x[1, :, :2], motion[1, :, :2])
        assert not torch.equal(x[0, :, 1], motion[0, :, 1])


def test_a_last_step_gives_the_estimate_of_the_clean_latents_after_it() -> None:
    schedule, noises, steps = Schedule.few(4, 5.0), torch.randn(5, *SHAPE), []
    estimates = torch.randn(4, *SHAPE)

    def velocity(x: Tensor, step: int) -> Tensor:
        steps.append(step)
        return (x - estimates[step]) / schedule.sigmas(torch.float32)[step]

    for last in range(4):
        found = denoised(velocity, noises, torch.zeros(SHAPE), no_motion(), schedule, last)
        assert torch.allclose(found, estimates[last], atol=1e-5)
    assert steps == [0, 0, 1, 0, 1, 2, 0, 1, 2, 3]


def test_guidance_goes_beyond_the_conditional_velocity() -> None:
    noise, towards = torch.randn(SHAPE), torch.randn(SHAPE)
    schedule = Schedule.teacher(5.0)
    found = guided(
        lambda x, s: towards, lambda x, s: torch.zeros_like(x), noise, torch.zeros(SHAPE), no_motion(), schedule
    )
    assert torch.allclose(found, noise - 3.0 * towards, atol=1e-4)
    plain = guided(lambda x, s: towards, lambda x, s: towards, noise, torch.zeros(SHAPE), no_motion(), schedule)
    assert torch.allclose(plain, noise - towards, atol=1e-4)


def test_noise_is_drawn_as_the_published_sampler_draws_it_the_last_of_no_weight_too() -> None:
    ours = drawn((1, 4, 5), 4, torch.Generator().manual_seed(42), torch.zeros(1))
    theirs = torch.Generator().manual_seed(42)
    assert ours.shape == (5, 1, 4, 5)
    for noise in ours:
        assert torch.equal(noise, torch.randn(1, 4, 5, generator=theirs))
