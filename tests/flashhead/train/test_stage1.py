"""The loss of stage 1: what counts, how much, and where."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.flashhead.train.tiny import config_of, windows_of
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.train.stage1 import Draws, by_timestep, draw, stage1_loss
from vividhead.flashhead.train.windows import FACE_OVAL, MOUTH, Windows, shown_at


@pytest.fixture
def config() -> FlashHeadConfig:
    return config_of()


@pytest.fixture
def windows(config: FlashHeadConfig) -> Windows:
    return windows_of(config, rows=3)


@pytest.fixture
def draws(config: FlashHeadConfig, windows: Windows) -> Draws:
    made = draw(windows.reference_BCTHW.shape, config, torch.Generator().manual_seed(0))
    return replace(made, taken_over_B=torch.tensor([2, 1, 2]))


def silent(x: Tensor, timestep_B: Tensor, context: Tensor, reference: Tensor) -> Tensor:
    """A network whose velocity is zero everywhere."""
    return torch.zeros_like(x)


def weighted(config: FlashHeadConfig, **weights: float) -> FlashHeadConfig:
    none = {"face_weight": 0.0, "mouth_weight": 0.0, "temporal_weight": 0.0}
    return replace(config, stage1=replace(config.stage1, **(none | weights)))


def test_the_velocity_is_noise_less_latents_where_nothing_was_taken_over(
    config: FlashHeadConfig, windows: Windows, draws: Draws
) -> None:
    loss = stage1_loss(silent, windows, draws, weighted(config))
    clean = windows.latents_BKCTHW[:, 0]
    rows = [(draws.noise_BCTHW - clean)[row, :, taken:].square().mean() for row, taken in enumerate((2, 1, 2))]
    assert torch.allclose(loss.velocity_B, torch.stack(rows))
    assert loss.total == loss.velocity == loss.velocity_B.mean()


def test_motion_latents_are_seen_clean_and_others_as_noisy_as_the_timestep_says(
    config: FlashHeadConfig, windows: Windows, draws: Draws
) -> None:
    seen: list[Tensor] = []

    def watching(x: Tensor, timestep_B: Tensor, context: Tensor, reference: Tensor) -> Tensor:
        seen.append(x)
        return torch.zeros_like(x)

    stage1_loss(watching, windows, draws, config)
    clean = windows.latents_BKCTHW[:, 0]
    share = (draws.timestep_B / 1000)[:, None, None, None, None]
    noisy = (1 - share) * clean + share * draws.noise_BCTHW
    for row, taken in enumerate((2, 1, 2)):
        assert torch.equal(seen[0][row, :, :taken], clean[row, :, :taken])
        assert torch.allclose(seen[0][row, :, taken:], noisy[row, :, taken:], atol=1e-6)


def test_the_mouth_counts_once_more_by_its_weight_and_only_where_it_is_shown(
    config: FlashHeadConfig, windows: Windows, draws: Draws
) -> None:
    mouth = torch.zeros(windows.latents_BKCTHW[:, :, 0].shape)
    mouth[0, 0, 3, 1, 0] = mouth[2, 0, 0, 0, 0] = 1  # the second lies in a latent frame that is taken over
    shown = replace(windows, mouth_BKTHW=mouth)
    loss = stage1_loss(silent, shown, draws, weighted(config, mouth_weight=3.0))
    error = (draws.noise_BCTHW - windows.latents_BKCTHW[:, 0])[0, :, 3, 1, 0].square().mean()
    assert torch.allclose(loss.mouth, error)
    assert torch.allclose(loss.total, loss.velocity + 3 * error)


def test_the_face_counts_by_the_distance_of_the_clean_latents(
    config: FlashHeadConfig, windows: Windows, draws: Draws
) -> None:
    face = torch.zeros(windows.latents_BKCTHW[:, :, 0].shape)
    face[1, 0, 2, 0, 1] = 1
    loss = stage1_loss(silent, replace(windows, face_BKTHW=face), draws, weighted(config, face_weight=0.5))
    clean = windows.latents_BKCTHW[1, 0, :, 2, 0, 1]
    share = draws.timestep_B[1] / 1000
    seen = (1 - share) * clean + share * draws.noise_BCTHW[1, :, 2, 0, 1]
    assert torch.allclose(loss.face, (seen - clean).abs().mean())  # velocity zero: what is seen is taken for clean
    assert torch.allclose(loss.total, loss.velocity + 0.5 * loss.face)


def test_without_landmarks_face_and_mouth_are_no_part_of_the_loss(
    config: FlashHeadConfig, windows: Windows, draws: Draws
) -> None:
    loss = stage1_loss(silent, windows, draws, weighted(config, face_weight=1.0, mouth_weight=1.0))
    assert (loss.face, loss.mouth) == (0, 0) and loss.total == loss.velocity


def test_a_mouth_is_in_the_latents_that_its_box_touches_in_the_middle_of_each_latent_frame(
    config: FlashHeadConfig,
) -> None:
    px, frames = config.codec.stride_px, config.stream.frames_per_chunk
    landmarks = torch.zeros(1, frames, 478, 3)
    right, top, left, low = MOUTH
    landmarks[0, :, right, :2] = torch.tensor([0.2 * px, 1.5 * px])
    landmarks[0, :, left, :2] = torch.tensor([0.8 * px, 1.5 * px])
    landmarks[0, :, top, :2] = torch.tensor([0.5 * px, 1.4 * px])
    landmarks[0, :, low, :2] = torch.tensor([0.5 * px, 1.6 * px])
    middle = 1 + config.codec.stride_frames + config.codec.stride_frames // 2  # of latent frame 2
    landmarks[0, middle, :, 0] += px
    landmarks[0, 1 + config.codec.stride_frames // 2] = math.nan  # no face in the middle of latent frame 1
    shown = shown_at(landmarks, MOUTH, config, 1)[0, 0]
    assert shown[0].nonzero().tolist() == [[1, 0]]
    assert shown[1].sum() == 0
    assert shown[2].nonzero().tolist() == [[1, 1]]


def test_the_oval_of_a_face_surrounds_its_mouth() -> None:
    assert not set(FACE_OVAL) & set(MOUTH) and len(set(FACE_OVAL)) == 36


def test_the_loss_is_told_apart_by_timestep() -> None:
    by = by_timestep(torch.tensor([1.0, 3.0, 10.0]), torch.tensor([450.0, 599.0, 1000.0]))
    assert by == {"t400": 2.0, "t800": 10.0}


def test_changes_count_from_the_seam_on_whatever_the_network_says_of_motion_latents(
    config: FlashHeadConfig, windows: Windows, draws: Draws
) -> None:
    def shouting(x: Tensor, timestep_B: Tensor, context: Tensor, reference: Tensor) -> Tensor:
        return torch.full_like(x, 5.0)

    loss = stage1_loss(shouting, windows, draws, weighted(config, temporal_weight=0.25))
    clean, rows = windows.latents_BKCTHW[:, 0], []
    for row, taken in enumerate((2, 1, 2)):
        error = draws.timestep_B[row] / 1000 * (draws.noise_BCTHW[row] - clean[row] - 5)
        error[:, :taken] = 0
        rows.append((error[:, taken:] - error[:, taken - 1 : -1]).square().mean())
    assert torch.allclose(loss.temporal, torch.stack(rows).mean(), rtol=1e-4)
    assert torch.allclose(loss.total, loss.velocity + 0.25 * loss.temporal)


def test_windows_without_audio_hear_features_of_zeros_and_the_others_their_own(
    config: FlashHeadConfig, windows: Windows, draws: Draws
) -> None:
    heard: list[Tensor] = []

    def listening(x: Tensor, timestep_B: Tensor, context: Tensor, reference: Tensor) -> Tensor:
        heard.append(context)
        return torch.zeros_like(x)

    stage1_loss(listening, windows, replace(draws, has_audio_B=torch.tensor([True, False, True])), config)
    own = windows.context_BKFWLC[:, 0]
    assert torch.equal(heard[0][[0, 2]], own[[0, 2]]) and own[1].any()
    assert not heard[0][1].any()


def test_about_as_many_windows_as_asked_are_cold_starts_or_without_audio(config: FlashHeadConfig) -> None:
    own = replace(config, stage1=replace(config.stage1, single_frame=0.1, audio_drop=0.3))
    made = draw(torch.Size((4000, 1, 1, 1, 1)), own, torch.Generator().manual_seed(0))
    assert set(made.taken_over_B.tolist()) == {1, config.stream.motion_latents}
    assert (made.taken_over_B == 1).float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert made.has_audio_B.float().mean().item() == pytest.approx(0.7, abs=0.03)
    assert made.timestep_B.median().item() == pytest.approx(1000 * 5 / 6, abs=10), "uniform, then shifted by 5"
