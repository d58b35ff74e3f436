"""The transformer against the published model's own numbers, and what must hold for any batch."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.flashhead.conftest import Parity
from vividhead.flashhead.config import FlashHeadConfig, load_config
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.fresh import initialise

GRIDS = {"lite": (5, 4, 4), "pro": (9, 8, 8)}
BF16_ULP_AT_4 = 2**-5
"""Distance of neighbouring bfloat16 numbers at 4 … 8, where the largest velocities are."""


def two_layers(name: str) -> FlashHeadConfig:
    config = load_config(name)
    return replace(config, dit=replace(config.dit, layers=2, ffn_dim=512, text_width=64))


def tiny(**changes: Any) -> FlashHeadConfig:
    config = load_config("nano")
    dit = replace(config.dit, dim=48, ffn_dim=64, heads=2, layers=2, latent_channels=6, **changes)
    return replace(config, dit=dit, audio=replace(config.audio, width=8))


def inputs(parity: Parity, name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape = (1, load_config(name).dit.latent_channels, *GRIDS[name])
    x, y = parity.noise(f"{name}.x", shape), parity.noise(f"{name}.y", shape)
    context = parity.noise(f"{name}.context", (1, 33, 5, 12, 768), 0.5)
    return x, torch.tensor([833.3333]), context, y


@pytest.mark.parametrize("name", GRIDS)
def test_names_and_shapes_are_those_of_the_published_checkpoint(name: str, parity: Parity) -> None:
    with torch.device("meta"):
        state = Dit(load_config(name)).state_dict()
    keys = json.loads((parity.folder / f"keys_{name}.json").read_text())
    assert {key: list(value.shape) for key, value in state.items()} == keys
    assert len(keys) == 843
    assert sum(value.numel() for value in state.values()) == {"lite": 1_526_864_256, "pro": 1_507_694_912}[name]


@pytest.fixture(scope="module", params=GRIDS)
def published(request: pytest.FixtureRequest, parity: Parity) -> tuple[str, Dit]:
    """A model of the published widths, with the weights that the numbers were made with."""
    dit = Dit(two_layers(request.param), exact_rope=True)
    parity.fill_module(dit)
    return request.param, dit.requires_grad_(False)


@torch.inference_mode()
def test_velocity_is_the_published_models_alone_and_in_a_batch(published: tuple[str, Dit], parity: Parity) -> None:
    name, dit = published
    wanted = parity.outputs(f"dit_{name}")["velocity_f32"]
    x, t, context, y = inputs(parity, name)
    limit = 2e-4 * wanted.std().item()
    assert (dit(x, t, context, y) - wanted).abs().max() <= limit
    other = torch.randn_like(x), torch.tensor([100.0]), torch.randn_like(context), torch.randn_like(y)
    batch = [torch.cat((a, b)) for a, b in zip(other, (x, t, context, y), strict=True)]
    assert (dit(*batch)[1:] - wanted).abs().max() <= limit


@torch.inference_mode()
def test_neither_float32_positions_nor_fused_products_change_the_velocity(
    published: tuple[str, Dit], parity: Parity
) -> None:
    name, dit = published
    wanted = parity.outputs(f"dit_{name}")["velocity_f32"]
    fast = copy.deepcopy(dit).for_generation()
    fast.exact_rope = False
    assert (fast(*inputs(parity, name)) - wanted).abs().max() <= 2e-4 * wanted.std()


@torch.inference_mode()
def test_bfloat16_velocity_is_the_published_models_alone_and_in_a_batch(
    published: tuple[str, Dit], parity: Parity
) -> None:
    name, dit = published
    wanted = parity.outputs(f"dit_{name}")["velocity_bf16"]
    x, t, context, y = inputs(parity, name)
    assert 4 <= wanted.abs().max() < 8
    lower = copy.deepcopy(dit).bfloat16()
    other = torch.randn_like(x), torch.tensor([100.0]), torch.randn_like(context), torch.randn_like(y)
    batch = [torch.cat((a, b)) for a, b in zip(other, (x, t, context, y), strict=True)]
    for rows, times, contexts, references in ((x, t, context, y), batch):
        found = lower(rows.bfloat16(), times, contexts, references.bfloat16())
        assert found.dtype == torch.bfloat16
        assert (found[-1:].float() - wanted.float()).abs().max() <= 2 * BF16_ULP_AT_4


def test_audio_of_a_latent_frame_reaches_the_others_only_through_self_attention() -> None:
    dit = initialise(Dit(tiny()), seed=1)
    for block in dit.blocks:
        torch.nn.init.zeros_(block.self_attn.o.weight)  # type: ignore[union-attr, arg-type]
    grid = (5, 2, 2)
    x, y = torch.randn(1, 6, *grid), torch.randn(1, 6, *grid)
    context = torch.randn(1, 33, 5, 1, 8)
    touched = context.clone()
    touched[:, 9:17] += 1  # pictures 9 … 16 are latent frame 2
    with torch.inference_mode():
        moved = (dit(x, torch.tensor([500.0]), touched, y) - dit(x, torch.tensor([500.0]), context, y)).abs()
    assert moved[0, :, 2].max() > 1e-4
    assert moved[0, :, [0, 1, 3, 4]].max() == 0


def test_positions_kept_in_inference_mode_do_no_harm_in_training() -> None:
    dit = initialise(Dit(tiny()), seed=1)
    grid = (5, 2, 2)
    given = torch.randn(1, 6, *grid), torch.tensor([500.0]), torch.randn(1, 33, 5, 1, 8), torch.randn(1, 6, *grid)
    with torch.inference_mode():
        dit(*given)
    dit(*given).sum().backward()
    assert dit.blocks[0].self_attn.q.weight.grad is not None  # type: ignore[union-attr]


def test_a_fresh_model_is_a_function_of_its_seed_and_every_used_parameter_gets_a_gradient() -> None:
    one, same, other = (initialise(Dit(tiny()), seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.patch_embedding.weight, other.patch_embedding.weight)
    grid = (5, 2, 2)
    context = torch.randn(2, 33, 5, 1, 8)
    one(torch.randn(2, 6, *grid), torch.tensor([500.0]), context, torch.randn(2, 6, *grid)).square().sum().backward()
    assert [name for name, p in one.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []
