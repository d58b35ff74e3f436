"""What a model is judged by: the same draws every time, its own sound and another's, never none."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.flashhead.train.tiny import config_of, windows_of
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.train.validation import Validation


class Recording:
    """A network without parameters that keeps what it heard."""

    def __init__(self) -> None:
        self.heard: list[Tensor] = []
        self.seen: list[Tensor] = []

    def __call__(self, x: Tensor, timestep_B: Tensor, context: Tensor, reference: Tensor) -> Tensor:
        self.heard.append(context)
        self.seen.append(x)
        return torch.zeros_like(x)


@pytest.fixture
def config() -> FlashHeadConfig:
    return config_of()


def judge_of(config: FlashHeadConfig, *batches: Any) -> Validation:
    judge = object.__new__(Validation)
    judge.__dict__.update(_config=config, _device=torch.device("cpu"), _batches=list(batches), codec_psnr_db=30.0)
    return judge


def test_windows_are_heard_whole_and_then_each_with_anothers_sound(config: FlashHeadConfig) -> None:
    windows, network = windows_of(config, rows=2), Recording()
    judge_of(config, windows)(network)  # type: ignore[arg-type]
    own = windows.context_BKFWLC[:, 0]
    assert len(network.heard) == 2
    assert torch.equal(network.heard[0], own)
    assert torch.equal(network.heard[1], own.flip(0))


def test_a_window_alone_is_misheard_backwards(config: FlashHeadConfig) -> None:
    windows, network = windows_of(config, rows=1), Recording()
    judge_of(config, windows)(network)  # type: ignore[arg-type]
    assert torch.equal(network.heard[1], network.heard[0].flip(1))
    assert not torch.equal(network.heard[1], network.heard[0])


def test_noise_is_the_same_every_time_and_batches_count_by_their_windows(config: FlashHeadConfig) -> None:
    network = Recording()
    batches = windows_of(config, rows=3), windows_of(config, rows=1, seed=1)
    judge = judge_of(config, *batches)
    first, again = judge(network), judge(network)  # type: ignore[arg-type]
    assert first == again
    assert all(torch.equal(a, b) for a, b in zip(network.seen[:2], network.seen[4:6], strict=True))
    alone = [judge._loss(network, windows, n).velocity.item() for n, windows in enumerate(batches)]  # type: ignore[arg-type]
    assert first["validation_velocity"] == pytest.approx((3 * alone[0] + alone[1]) / 4)


def test_what_is_validated_is_what_training_makes_small(config: FlashHeadConfig) -> None:
    network, windows = Recording(), windows_of(config, rows=2)
    judge = judge_of(config, windows)
    figures = judge(network)  # type: ignore[arg-type]
    loss = judge._loss(network, windows, 0)  # type: ignore[arg-type]
    assert figures["validation"] == pytest.approx(loss.total.item())
    assert figures["validation_velocity"] == pytest.approx(loss.velocity.item()) != figures["validation"]
