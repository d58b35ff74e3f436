"""Rollouts: the same plans on all ranks, the streaming engine's own chunks, one call with a gradient."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.flashhead.stubs import tiny_flashhead
from tests.flashhead.train.tiny import Watched, codec_of, config_of, dit_of, row_of, windows_of
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.generate.chunk import ChunkBatch, ChunkGenerator
from vividhead.flashhead.model.colour import reference_moments
from vividhead.flashhead.model.sampler import Schedule
from vividhead.flashhead.train.rollout import Rollout, RolloutPlan, draw_plan, roll_out, seam_psnr_db


def noises_of(config: FlashHeadConfig, chunks: int, rows: int = 2) -> Tensor:
    shape = (chunks, config.sampler.steps + 1, rows, config.dit.latent_channels, *config.grid_THW)
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


class OneNumberPerStep(nn.Module):
    """Velocity that depends on one parameter for each denoising step."""

    def __init__(self, config: FlashHeadConfig) -> None:
        super().__init__()
        self.timesteps = torch.tensor(Schedule.few(config.sampler.steps, config.sampler.shift).timesteps)
        self.scale_S = nn.Parameter(torch.linspace(0.5, 1, config.sampler.steps))

    def forward(self, x: Tensor, timestep_B: Tensor, context: Tensor, reference: Tensor) -> Tensor:
        step = int((self.timesteps - timestep_B[0]).abs().argmin())
        return self.scale_S[step] * x


def test_two_ranks_that_seed_alike_draw_alike_and_draw_every_plan() -> None:
    config = config_of(chunks=3)
    ranks = [torch.Generator().manual_seed(5) for _ in range(2)]
    plans = [[draw_plan(config, rank) for _ in range(200)] for rank in ranks]
    assert plans[0] == plans[1]
    assert {(p.chunks, p.exit_step) for p in plans[0]} == {(k, j) for k in (1, 2, 3) for j in range(4)}


def test_a_rollout_is_what_the_streaming_engine_makes() -> None:
    model = tiny_flashhead()
    config, windows = model.config, windows_of(model.config)
    noises = noises_of(config, 3)
    engine = ChunkGenerator(model)
    mean, deviation = reference_moments(windows.portrait_B3HW[:, :, None])
    motion, before = windows.reference_BCTHW[:, :, :1], None
    for chunk in range(3):
        taken, free = motion.shape[2], config.latent_frames - motion.shape[2]
        batch = ChunkBatch(
            windows_BS=torch.zeros(0),
            noises_BSCTHW=noises[chunk].transpose(0, 1),
            motion_BCTHW=torch.cat((motion, torch.zeros(2, config.dit.latent_channels, free, 2, 2)), 2),
            is_motion_B1T11=(torch.arange(config.latent_frames) < taken)[None, None, :, None, None].expand(
                2, *[-1] * 4
            ),
            reference_BCTHW=windows.reference_BCTHW,
            colour_mean_B3111=mean,
            colour_deviation_B3111=deviation,
            end_frame_B=torch.tensor([33, 33]),
        )
        plan = RolloutPlan(chunks=chunk + 1, exit_step=config.sampler.steps - 1)
        found = roll_out(model.dit, model.codec, windows, plan, noises, config)
        assert torch.allclose(found.motion_BCTHW, batch.motion_BCTHW, atol=1e-5)
        assert torch.equal(found.is_motion_B1T11, batch.is_motion_B1T11)
        with torch.no_grad():
            latents = engine.latents(windows.context_BKFWLC[:, chunk], batch)
            video, motion = engine.pictures_of(latents, batch)
        assert torch.allclose(found.latents_BCTHW, latents, atol=1e-4)
        if before is None:
            assert found.before_B3HW is None
        else:
            assert found.before_B3HW is not None
            assert torch.allclose(found.before_B3HW, before, atol=1e-4)
        before = video[:, :, -1]


@pytest.mark.parametrize(("chunks", "exit_step"), [(1, 0), (1, 3), (2, 2), (3, 1)])
def test_one_call_has_a_gradient_that_of_the_exit_step_in_the_last_chunk(chunks: int, exit_step: int) -> None:
    config = config_of()
    network = OneNumberPerStep(config)
    watched, plan = Watched(network), RolloutPlan(chunks=chunks, exit_step=exit_step)
    found = roll_out(watched, codec_of(config), windows_of(config), plan, noises_of(config, chunks), config)
    assert watched.had_gradient == [False] * (4 * (chunks - 1) + exit_step) + [True]
    found.latents_BCTHW.square().sum().backward()
    assert network.scale_S.grad is not None
    assert network.scale_S.grad.nonzero().flatten().tolist() == [exit_step]
    assert not found.motion_BCTHW.requires_grad


def test_without_gradients_there_are_none_even_in_the_exit_step() -> None:
    config = config_of()
    watched, plan = Watched(OneNumberPerStep(config)), RolloutPlan(chunks=2, exit_step=1)
    with torch.no_grad():
        found = roll_out(watched, codec_of(config), windows_of(config), plan, noises_of(config, 2), config)
    assert not any(watched.had_gradient)
    assert not found.latents_BCTHW.requires_grad


@pytest.mark.parametrize("latents", [torch.float32, torch.bfloat16])
def test_under_autocast_gradients_reach_all_of_the_generator_and_pictures_are_made_in_the_codecs_precision(
    latents: torch.dtype,
) -> None:
    config = config_of()
    dit, codec, windows = dit_of(config, 1), codec_of(config), windows_of(config)
    windows = replace(windows, reference_BCTHW=windows.reference_BCTHW.to(latents))
    decoded: list[torch.dtype] = []
    decode = codec.decode

    def decode_watched(z: Tensor) -> Tensor:
        decoded.append(z.dtype)
        return decode(z)

    codec.decode = decode_watched  # type: ignore[method-assign]
    with torch.autocast("cpu", torch.bfloat16):
        found = roll_out(dit, codec, windows, RolloutPlan(chunks=2, exit_step=2), noises_of(config, 2), config)
    assert (decoded, found.latents_BCTHW.dtype) == ([torch.float32], latents)
    assert found.before_B3HW is not None
    assert not torch.equal(found.before_B3HW, found.before_B3HW.bfloat16().float())
    found.latents_BCTHW.float().square().sum().backward()
    assert [name for name, parameter in dit.named_parameters() if parameter.grad is None] == []


def test_a_first_chunk_goes_on_from_one_latent_of_the_portrait_and_later_ones_from_two_of_the_rollout() -> None:
    config = config_of()
    windows, codec, dit = windows_of(config), codec_of(config), dit_of(config, 1)
    first, second = (
        roll_out(dit, codec, windows, RolloutPlan(chunks=k, exit_step=0), noises_of(config, k), config) for k in (1, 2)
    )
    assert first.is_motion_B1T11[:, 0, :, 0, 0].tolist() == [[True] + [False] * 4] * 2
    assert torch.equal(first.latents_BCTHW[:, :, 0], windows.reference_BCTHW[:, :, 0])
    assert second.is_motion_B1T11[:, 0, :, 0, 0].tolist() == [[True] * 2 + [False] * 3] * 2
    assert torch.equal(second.latents_BCTHW[:, :, :2], second.motion_BCTHW[:, :, :2])
    assert second.before_B3HW is not None
    last = codec.encode(second.before_B3HW[:, :, None].expand(-1, -1, 9, -1, -1))
    assert not torch.allclose(second.motion_BCTHW[:, :, :1], windows.reference_BCTHW[:, :, :1])
    assert not second.motion_BCTHW[:, :, 2:].any()
    assert torch.allclose(second.motion_BCTHW[:, :, 1], last[:, :, 1], atol=0.5)


def test_rows_of_a_rollout_are_what_they_are_alone() -> None:
    config = config_of()
    windows, codec, dit, noises = windows_of(config), codec_of(config), dit_of(config, 1), noises_of(config, 3)
    plan = RolloutPlan(chunks=3, exit_step=2)
    together = roll_out(dit, codec, windows, plan, noises, config)
    for row in range(2):
        alone = roll_out(dit, codec, row_of(windows, row), plan, noises[:, :, row : row + 1], config)
        assert torch.allclose(together.latents_BCTHW[row], alone.latents_BCTHW[0], atol=1e-5)
        assert torch.allclose(together.motion_BCTHW[row], alone.motion_BCTHW[0], atol=1e-5)


def test_the_seam_is_measured_between_the_last_picture_before_and_the_first_new_one() -> None:
    config = config_of()
    config = replace(config, stream=replace(config.stream, colour_strength=0.0))
    windows, codec = windows_of(config), codec_of(config)
    latents = windows.latents_BKCTHW[:, 0] * 0.3
    steps_off = torch.tensor([0.01, 0.1])[:, None, None, None]
    first_new = codec.decode(latents)[:, :, config.motion_frames]
    no_motion = torch.zeros(2, 1, 5, 1, 1, dtype=torch.bool)
    found = seam_psnr_db(
        Rollout(latents_BCTHW=latents, motion_BCTHW=latents, is_motion_B1T11=no_motion,
                before_B3HW=(first_new + steps_off * first_new.sign().neg())),
        codec, windows, config,
    )  # fmt: skip
    assert found is not None
    assert found.tolist() == pytest.approx([46.02, 26.02], abs=0.01)


def test_a_first_chunk_has_no_seam() -> None:
    config = config_of()
    windows, codec = windows_of(config), codec_of(config)
    plan = RolloutPlan(chunks=1, exit_step=3)
    found = roll_out(dit_of(config, 1), codec, windows, plan, noises_of(config, 1), config)
    assert seam_psnr_db(found, codec, windows, config) is None
