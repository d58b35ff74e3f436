import pytest
import torch
from torch import nn

from vividhead.flashhead.train.ema import Ema


def module_of(value: float, dtype: torch.dtype = torch.float32) -> nn.Linear:
    module = nn.Linear(2, 2, dtype=dtype)
    for parameter in module.parameters():
        nn.init.constant_(parameter, value)
    return module


def fill(module: nn.Module, value: float) -> None:
    for parameter in module.parameters():
        nn.init.constant_(parameter, value)


def shadow(ema: Ema, name: str = "weight") -> torch.Tensor:
    return ema.state_dict()[f"shadow.{name}"]


def test_the_average_follows_closely_at_first_and_slowly_later() -> None:
    module = module_of(0.0)
    ema = Ema(module, 0.5)
    expected, value = 0.0, 0.0
    for n, decay in enumerate((1 / 10, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5)):
        assert ema.next_decay == pytest.approx(decay)
        value = n + 1.0
        fill(module, value)
        ema.update()
        expected = decay * expected + (1 - decay) * value
        torch.testing.assert_close(shadow(ema), torch.full((2, 2), expected))


def test_bfloat16_parameters_have_a_float32_average() -> None:
    module = module_of(1.0, torch.bfloat16)
    ema = Ema(module, 0.999)
    for _ in range(50):
        ema.update()
    before = shadow(ema).clone()
    fill(module, 1.0078125)  # the next bfloat16 after 1
    ema.update()
    assert shadow(ema).dtype == torch.float32
    assert (before < shadow(ema)).all() and (shadow(ema) < 1.0078125).all()


def test_the_averaged_values_are_in_the_model_within_and_the_trained_ones_after() -> None:
    module = module_of(0.0)
    ema = Ema(module, 0.9)
    fill(module, 1.0)
    ema.update()
    fill(module, 5.0)
    with ema.swapped_in():
        torch.testing.assert_close(module.weight.detach(), torch.full((2, 2), 0.9))
    assert (module.weight == 5.0).all() and (module.bias == 5.0).all()
    with pytest.raises(RuntimeError, match="no picture"), ema.swapped_in():
        raise RuntimeError("no picture")
    assert (module.weight == 5.0).all()


def test_what_is_frozen_is_not_averaged() -> None:
    module = module_of(0.0)
    module.bias.requires_grad_(False)
    assert Ema(module, 0.9).state_dict().keys() == {"updates", "shadow.weight"}


def test_a_saved_average_goes_on_as_if_it_had_not_been_saved() -> None:
    module = module_of(0.0)
    ema = Ema(module, 0.9)
    fill(module, 1.0)
    ema.update()
    other = Ema(module_of(7.0), 0.9)
    other.load_state_dict({name: value.clone() for name, value in ema.state_dict().items()})
    assert other.next_decay == ema.next_decay
    assert torch.equal(shadow(other), shadow(ema))


def test_the_average_of_another_model_is_refused() -> None:
    with pytest.raises(KeyError, match="shadow.bias on one side alone"):
        Ema(nn.Linear(2, 2, bias=False), 0.9).load_state_dict(Ema(module_of(0.0), 0.9).state_dict())
