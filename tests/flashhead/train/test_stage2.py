"""Stage 2: who sees what, whom a gradient reaches, and what the losses are."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.flashhead.train.tiny import Watched, codec_of, config_of, dit_of, row_of, windows_of
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.train.rollout import Network, RolloutPlan, draw_plan, roll_out
from vividhead.flashhead.train.stage2 import Draws, Networks, critic_loss, draw, generator_loss, scores
from vividhead.flashhead.train.windows import Windows

PLANS = [RolloutPlan(chunks=1, exit_step=3), RolloutPlan(chunks=3, exit_step=1)]


def draws_of(windows: Windows, plan: RolloutPlan, config: FlashHeadConfig, seed: int = 0) -> Draws:
    return draw(windows.reference_BCTHW.shape, plan, config, torch.Generator().manual_seed(seed))


def networks_of(config: FlashHeadConfig, **others: Network) -> Networks:
    """Three networks that differ, all of which could learn."""
    parts = {name: dit_of(config, seed) for seed, name in enumerate(("generator", "teacher", "fake"))} | others
    return Networks(codec=codec_of(config), **parts)


def learned(network: Network) -> bool:
    assert isinstance(network, nn.Module)
    return any(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("plan", PLANS)
def test_the_generators_loss_reaches_one_call_of_the_generator_and_neither_score(plan: RolloutPlan) -> None:
    config = config_of()
    windows, dit = windows_of(config), dit_of(config, 0)
    watched = Watched(dit)
    networks = networks_of(config, generator=watched)
    generator_loss(networks, windows, plan, draws_of(windows, plan, config), config).total.backward()
    assert sum(watched.had_gradient) == 1
    assert all(p.grad is not None and p.grad.isfinite().all() for p in dit.parameters())
    assert not learned(networks.teacher)
    assert not learned(networks.fake)


@pytest.mark.parametrize("plan", PLANS)
def test_the_critics_loss_reaches_the_fake_score_alone(plan: RolloutPlan) -> None:
    config = config_of()
    windows, networks = windows_of(config), networks_of(config)
    found = critic_loss(networks, windows, plan, draws_of(windows, plan, config), config)
    found.total.backward()
    assert learned(networks.fake)
    assert not learned(networks.generator)
    assert not learned(networks.teacher)
    assert found.velocity_B.mean().item() == pytest.approx(found.total.item())


@pytest.mark.parametrize(("plan", "taken"), [(PLANS[0], 1), (PLANS[1], 2)])
def test_an_oracle_differs_in_the_teachers_motion_and_in_nothing_else_that_a_score_sees(
    plan: RolloutPlan, taken: int
) -> None:
    seen = {}
    for oracle in (True, False):
        config = config_of(oracle=oracle)
        windows = windows_of(config)
        teacher, fake = Watched(dit_of(config, 1)), Watched(dit_of(config, 2))
        networks = networks_of(config, teacher=teacher, fake=fake)
        draws = draws_of(windows, plan, config)
        generator_loss(networks, windows, plan, draws, config)
        seen[oracle] = (teacher.seen, fake.seen)
        rollout = roll_out(networks.generator, networks.codec, windows, plan, draws.noises_KSBCTHW, config)
        past = windows.latents_BKCTHW[:, plan.chunks - 1] if oracle else rollout.motion_BCTHW
        [(x, *_)], [(fake_x, *_)] = seen[oracle]
        assert torch.equal(x[:, :, :taken], past[:, :, :taken].repeat(2, 1, 1, 1, 1))
        assert torch.equal(fake_x[:, :, :taken], rollout.motion_BCTHW[:, :, :taken])
        assert torch.equal(x[:2, :, taken:], fake_x[:, :, taken:])
    (oracle_teacher, oracle_fake), (own_teacher, own_fake) = seen[True], seen[False]
    assert torch.equal(oracle_teacher[0][0][:, :, taken:], own_teacher[0][0][:, :, taken:])
    for one, other in zip((*oracle_teacher[0][1:], *oracle_fake[0]), (*own_teacher[0][1:], *own_fake[0]), strict=True):
        assert torch.equal(one, other)


def test_scores_see_the_audio_of_the_last_chunk_at_the_drawn_timestep() -> None:
    config, plan = config_of(), RolloutPlan(chunks=2, exit_step=0)
    windows = windows_of(config)
    fake = Watched(dit_of(config, 2))
    draws = draws_of(windows, plan, config)
    critic_loss(networks_of(config, fake=fake), windows, plan, draws, config)
    [(_, timestep, context, reference)] = fake.seen
    assert torch.equal(timestep, draws.timestep_B)
    assert torch.equal(context, windows.context_BKFWLC[:, 1])
    assert torch.equal(reference, windows.reference_BCTHW)


def test_the_teacher_is_guided_away_from_audio_features_of_zeros() -> None:
    plan = RolloutPlan(chunks=2, exit_step=0)

    def loudness(x: Tensor, timestep_B: Tensor, context: Tensor, reference: Tensor) -> Tensor:
        heard = context.abs().flatten(1).sum(1)[:, None, None, None, None]
        return torch.where(heard > 0, 2.0, 5.0).expand_as(x)

    for guidance, velocity in ((1.0, 2.0), (3.0, -4.0)):
        config = config_of(guidance=guidance)
        windows, networks = windows_of(config), networks_of(config, teacher=loudness)
        noises = draws_of(windows, plan, config).noises_KSBCTHW
        rollout = roll_out(networks.generator, networks.codec, windows, plan, noises, config)
        teacher, _ = scores(networks, windows, plan, rollout, config)
        found = teacher(rollout.latents_BCTHW, torch.tensor([100.0, 900.0]))
        assert torch.equal(found, torch.full_like(found, velocity))


def test_the_regression_is_the_distance_to_the_true_latents_of_the_last_chunk_by_its_weight() -> None:
    plan, totals = RolloutPlan(chunks=2, exit_step=2), []
    for weight in (0.0, 0.5):
        config = config_of(regression=weight)
        windows, networks = windows_of(config), networks_of(config)
        draws = draws_of(windows, plan, config)
        found = generator_loss(networks, windows, plan, draws, config)
        totals.append(found.total.item())
    rollout = roll_out(networks.generator, networks.codec, windows, plan, draws.noises_KSBCTHW, config)
    true = windows.latents_BKCTHW[:, 1]
    distance = (rollout.latents_BCTHW - true)[:, :, 2:].square().mean().item()
    assert found.regression.item() == pytest.approx(distance, rel=1e-4)
    assert totals[1] - totals[0] == pytest.approx(0.5 * distance, rel=1e-3)
    assert not found.regression.requires_grad


def test_rows_do_not_touch_the_loss_of_a_batch_is_the_mean_of_its_windows_alone() -> None:
    config, plan = config_of(), RolloutPlan(chunks=3, exit_step=2)
    windows, networks = windows_of(config), networks_of(config)
    draws = draws_of(windows, plan, config)
    together = generator_loss(networks, windows, plan, draws, config)
    critic = critic_loss(networks, windows, plan, draws, config)
    alone = []
    for row in range(2):
        own = Draws(
            noises_KSBCTHW=draws.noises_KSBCTHW[:, :, row : row + 1],
            noise_BCTHW=draws.noise_BCTHW[row : row + 1],
            timestep_B=draws.timestep_B[row : row + 1],
        )
        alone.append(generator_loss(networks, row_of(windows, row), plan, own, config))
        assert critic_loss(networks, row_of(windows, row), plan, own, config).total.item() == pytest.approx(
            critic.velocity_B[row].item(), rel=1e-4
        )
    for name in ("total", "regression", "dmd_gradient", "seam_psnr_db"):
        parts = [getattr(loss, name).item() for loss in alone]
        assert parts[0] != pytest.approx(parts[1], rel=1e-3)
        assert getattr(together, name).item() == pytest.approx(sum(parts) / 2, rel=1e-4)


def test_a_seam_is_told_where_there_is_one_and_it_is_asked_for() -> None:
    config = config_of()
    windows, networks = windows_of(config), networks_of(config)
    for chunks, asked, told in ((1, True, False), (2, True, True), (2, False, False)):
        plan = RolloutPlan(chunks=chunks, exit_step=3)
        found = generator_loss(networks, windows, plan, draws_of(windows, plan, config), config, asked)
        assert (found.seam_psnr_db is not None) == told


def test_timesteps_of_the_scores_are_shifted_towards_noise_and_kept_from_the_ends() -> None:
    config = config_of(least_t=300.0, greatest_t=970.0)
    plan = RolloutPlan(chunks=1, exit_step=0)
    timesteps = draw(torch.Size((4000, 1, 1, 1, 1)), plan, config, torch.Generator().manual_seed(0)).timestep_B
    assert (timesteps.min().item(), timesteps.max().item()) == (300, 970)
    assert timesteps.median().item() == pytest.approx(833.3, abs=10)
    uneven = draw(torch.Size((4000, 1, 1, 1, 1)), plan, replace(config, sampler=replace(config.sampler, shift=1.0)),
                  torch.Generator().manual_seed(0)).timestep_B  # fmt: skip
    assert uneven.median().item() == pytest.approx(500, abs=20)


def towards(clean: Tensor) -> Network:
    """The velocity of a flow to one clip."""

    def velocity(x: Tensor, timestep_B: Tensor, context: Tensor, reference: Tensor) -> Tensor:
        return (x - clean.expand_as(x)) / (timestep_B / 1000)[:, None, None, None, None]

    return velocity


def test_distillation_alone_pulls_a_generator_to_what_its_teacher_holds_for_true() -> None:
    config = config_of(regression=0.0)
    windows, networks = windows_of(config), networks_of(config)
    goal = torch.tensor([1.0, -1.0, 0.5, 0.0])[None, :, None, None, None]
    optimiser = torch.optim.Adam(networks.generator.parameters(), 0.01)
    shared, distances = torch.Generator().manual_seed(1), []
    for update in range(20):
        plan = draw_plan(config, shared)
        draws = draws_of(windows, plan, config, seed=update)
        with torch.no_grad():
            rollout = roll_out(networks.generator, networks.codec, windows, plan, draws.noises_KSBCTHW, config)
        distances.append((rollout.latents_BCTHW - goal)[:, :, 2:].square().mean().item())
        exact = replace(networks, teacher=towards(goal), fake=towards(rollout.latents_BCTHW))
        optimiser.zero_grad()
        generator_loss(exact, windows, plan, draws, config, measures_seam=False).total.backward()
        optimiser.step()
    assert sum(distances[-5:]) < 0.2 * sum(distances[:5])


@pytest.mark.parametrize("plan", PLANS)
def test_the_critics_loss_vanishes_for_the_velocity_to_what_the_generator_makes(plan: RolloutPlan) -> None:
    config = config_of()
    windows, networks = windows_of(config), networks_of(config)
    draws = draws_of(windows, plan, config)
    made = roll_out(networks.generator, networks.codec, windows, plan, draws.noises_KSBCTHW, config).latents_BCTHW
    for off, wanted in ((0.0, 0.0), (1.0, (1 / (draws.timestep_B / 1000).square()).mean().item())):
        exact = replace(networks, fake=towards(made.detach() + off))
        found = critic_loss(exact, windows, plan, draws, config).total.item()
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4)
