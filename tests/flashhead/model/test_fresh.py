"""Models that nobody trained: where they look, and what they say."""

from dataclasses import replace

import pytest
import torch

from vividhead.flashhead.config import FlashHeadConfig, load_config
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.fresh import PLACED_BLOCKS, initialise
from vividhead.flashhead.model.rope import rope_tables, rotated


@pytest.fixture(scope="module")
def nano() -> FlashHeadConfig:
    return load_config("nano")


@pytest.fixture(scope="module")
def fresh(nano: FlashHeadConfig) -> Dit:
    return initialise(Dit(nano), 0)


def inputs(config: FlashHeadConfig) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    shape = (2, config.dit.latent_channels, *config.grid_THW)
    x, reference = torch.randn((2, *shape), generator=generator)
    context = torch.randn((2, config.stream.frames_per_chunk, 5, 1, 160), generator=generator)
    return x, torch.tensor([900.0, 500.0]), context, reference


def test_with_a_portrait_prior_the_network_has_little_to_say(fresh: Dit, nano: FlashHeadConfig) -> None:
    x, timestep, context, reference = inputs(nano)
    assert fresh.prior is not None
    with torch.no_grad():
        said = fresh(x, timestep, context, reference)
    guess = fresh.prior.velocity(torch.zeros_like(x), x, timestep, reference)
    assert 0 < (said - guess).square().mean() < 0.01 * guess.square().mean()


def test_every_parameter_gets_a_gradient_at_once(nano: FlashHeadConfig) -> None:
    dit = initialise(Dit(nano), 0)
    dit(*inputs(nano)).square().mean().backward()
    silent = [name for name, p in dit.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert silent == []


@pytest.mark.parametrize("block", range(PLACED_BLOCKS))
def test_attention_begins_at_the_same_place_in_frames_before(fresh: Dit, nano: FlashHeadConfig, block: int) -> None:
    """With no content at all, each head attends most to its own row and column, as many frames back as it should."""
    attention = fresh.typed_blocks()[block].self_attn
    frames, rows, columns = nano.grid_THW
    tokens = frames * rows * columns
    tables = rope_tables(nano.grid_THW, nano.dit.dim // nano.dit.heads, torch.float32)
    with torch.no_grad():
        q, k = (
            rotated(attention.parted(norm(bias.expand(1, tokens, -1))), tables)[0]
            for norm, bias in ((attention.norm_q, attention.q.bias), (attention.norm_k, attention.k.bias))
        )
    agree_HTT = torch.einsum("nhd,mhd->hnm", q, k)
    place = torch.arange(tokens).view(frames, rows, columns)
    for head in range(nano.dit.heads):
        back = head + 1 - block
        from_frame = frames - 1
        seen = agree_HTT[head, place[from_frame].flatten()].argmax(1)
        assert torch.equal(seen, place[from_frame - back].flatten())


def test_without_a_prior_the_velocity_leads_to_the_portrait(nano: FlashHeadConfig) -> None:
    config = replace(nano, dit=replace(nano.dit, dim=256, heads=4, portrait_prior=False))
    dit = initialise(Dit(config), 0)
    x, _, context, reference = inputs(config)
    with torch.no_grad():
        velocity = dit(x, torch.tensor([1000.0]), context, reference)
    assert torch.nn.functional.cosine_similarity(velocity.flatten(), (x - reference).flatten(), 0) > 0.9
    assert set(dit.state_dict()) == {n for n in initialise(Dit(nano), 0).state_dict() if n != "prior.deviation_C"}


def test_the_seed_decides_everything(nano: FlashHeadConfig) -> None:
    one, same, other = (initialise(Dit(nano), seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["patch_embedding.weight"], other["patch_embedding.weight"])
