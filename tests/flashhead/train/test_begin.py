"""What a model begins with: nobody's weights, a FlashHead's, or as far as shapes allow Wan's."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.flashhead.stubs import tiny_config
from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.checkpoint import CheckpointError, export_dit
from vividhead.flashhead.train.begin import fresh, from_flashhead, from_wan
from vividhead.flashhead.train.loop import Order, _beginning


def config_of(patch_side: int = 2) -> FlashHeadConfig:
    """Of a published model's parts, as small as they get; patches of two as Pro's and Wan's, of one as Lite's."""
    config = tiny_config(side_px=32)
    return replace(config, dit=replace(config.dit, patch_side=patch_side, text_width=32, portrait_prior=False))


def wans(config: FlashHeadConfig) -> dict[str, Tensor]:
    """Every name that Wan2.1-T2V shares with the model, in Wan's shapes: half the channels in, no sound."""
    theirs = {
        name: torch.randn(value.shape) for name, value in fresh(config, 1).state_dict().items()
        if not name.startswith(("audio_proj", "audio_emb", "patch_embedding"))
    }  # fmt: skip
    theirs["patch_embedding.weight"] = torch.randn(config.dit.dim, config.dit.latent_channels, 1, 2, 2)
    theirs["patch_embedding.bias"] = torch.randn(config.dit.dim)
    theirs["img_emb.proj.0.weight"] = torch.randn(3)  # something that the model lacks
    return theirs


def test_all_that_has_a_place_is_taken_and_the_portraits_channels_begin_at_zero(tmp_path: Path) -> None:
    config, path = config_of(), tmp_path / "wan.safetensors"
    theirs = wans(config)
    save_file(theirs, path)
    dit, left = from_wan(path, config, seed=0)
    ours = dit.state_dict()
    assert {name.split(".")[0] for name in left} == {"audio_proj", "audio_emb"}
    for name, value in theirs.items():
        if name in ours and name != "patch_embedding.weight":
            assert torch.equal(ours[name], value), name
    patches = ours["patch_embedding.weight"]
    channels = config.dit.latent_channels
    assert torch.equal(patches[:, :channels], theirs["patch_embedding.weight"])
    assert not patches[:, channels:].any()


def test_other_patches_and_another_head_stay_fresh(tmp_path: Path) -> None:
    """As in Lite, whose latents are not Wan's."""
    config, path = config_of(patch_side=1), tmp_path / "wan.safetensors"
    save_file(wans(config_of()), path)
    dit, left = from_wan(path, config, seed=3)
    assert {"patch_embedding.weight", "head.head.weight", "head.head.bias"} <= set(left)
    assert "blocks.0.cross_attn.k.weight" not in left
    untouched = fresh(config, 3).state_dict()
    assert all(torch.equal(dit.state_dict()[name], untouched[name]) for name in left)


def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    config, path = config_of(), tmp_path / "wan.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(VividHeadError, match="cannot be read as the transformer of Wan2.1-T2V-1.3B"):
        from_wan(path, config, 0)
    save_file({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(VividHeadError, match=r"is not the transformer of Wan.*no blocks.0.self_attn.q.weight"):
        from_wan(path, config, 0)


def test_a_flashhead_goes_on_with_its_own_values_and_no_other_shape(tmp_path: Path) -> None:
    config = config_of()
    trained = fresh(config, 5)
    export_dit(trained, tmp_path)
    again = from_flashhead(tmp_path, config)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in trained.state_dict().items())
    assert {value.dtype for value in again.state_dict().values()} == {torch.float32}
    with pytest.raises(CheckpointError, match=r"holds another tiny: train with --config of its flashhead.toml"):
        from_flashhead(tmp_path, replace(config, dit=replace(config.dit, layers=2)))


def test_fresh_weights_are_a_function_of_the_seed() -> None:
    config = config_of()
    one, same, other = (fresh(config, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["blocks.0.ffn.0.weight"], other["blocks.0.ffn.0.weight"])


def test_a_file_of_a_wider_model_is_refused_by_its_width(tmp_path: Path) -> None:
    """Nothing of it has a place, and a model that was said to begin with it would be fresh."""
    config, path = config_of(), tmp_path / "wan.safetensors"
    wide = 2 * config.dit.dim
    save_file(wans(replace(config, dit=replace(config.dit, dim=wide))), path)
    with pytest.raises(VividHeadError, match=f"{wide} wide, those of {config.name} {config.dit.dim}"):
        from_wan(path, config, 0)


def test_stage_two_does_not_begin_with_a_file_of_wans(tmp_path: Path) -> None:
    config, path = config_of(), tmp_path / "wan.safetensors"
    save_file(wans(config), path)
    order = Order(dataset="dataset", config=config, stage=2, run=tmp_path / "run", begin_from=path)
    with pytest.raises(UsageError, match="stage 2 begins with what stage 1 made"):
        _beginning(order, path)
