from pathlib import Path
from typing import Any

import authors_names
import pytest
import torch
from small_codecs import TINY_WAN, clips

from vividhead.flashhead.config import load_config
from vividhead.flashhead.model.codecs.wan import DEVIATIONS, MEANS, WanCodec, empty_wan, load_wan, random_wan

diffusers = pytest.importorskip("diffusers", reason="needs the extra: pip install 'vividhead[flashhead]'")


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return diffusers.AutoencoderKLWan(**TINY_WAN).eval()


@pytest.fixture(scope="module")
def folder(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """diffusers' folder, which is not what FlashHead publishes but what Wan does."""
    checkpoint = tmp_path_factory.mktemp("checkpoint")
    network.save_pretrained(checkpoint / "VAE_Wan")
    return checkpoint


def test_it_is_diffusers_codec_normalised_by_the_published_statistics(network: Any, folder: Path) -> None:
    codec = load_wan(folder, **TINY_WAN)
    video = clips(codec, 2, 3)
    mean, deviation = (torch.tensor(values[:4]).reshape(1, 4, 1, 1, 1) for values in (MEANS, DEVIATIONS))
    with torch.inference_mode():
        latents = codec.encode(video)
        wanted = (network.encode(video).latent_dist.mode() - mean) / deviation
        torch.testing.assert_close(latents, wanted, rtol=1e-5, atol=1e-5)
        wanted = network.decode(latents * deviation + mean).sample
        torch.testing.assert_close(codec.decode(latents), wanted, rtol=1e-5, atol=1e-5)


def test_statistics_are_those_that_diffusers_has_for_wan() -> None:
    config = empty_wan().config  # type: ignore[union-attr]
    assert (list(config.latents_mean), list(config.latents_std)) == (list(MEANS), list(DEVIATIONS))


def test_pictures_are_clamped(folder: Path) -> None:
    codec = load_wan(folder, **TINY_WAN)
    with torch.inference_mode():
        pictures = codec.decode(1000 * torch.randn(1, 4, 2, 2, 2, generator=torch.Generator().manual_seed(0)))
    assert pictures.abs().max() <= 1


def test_a_generator_changes_nothing_as_pro_is_published_without_draws(folder: Path) -> None:
    codec = load_wan(folder, **TINY_WAN)
    video = clips(codec, 1, 2)
    with torch.inference_mode():
        assert torch.equal(codec.encode(video, torch.Generator().manual_seed(0)), codec.encode(video))


def test_the_published_file_of_the_authors_is_the_same_codec(network: Any, folder: Path, tmp_path: Path) -> None:
    tensors = {authors_names.wan(name): tensor for name, tensor in network.state_dict().items()}
    assert {"conv1.weight", "encoder.conv1.weight", "decoder.upsamples.4.shortcut.weight"} <= tensors.keys()
    assert "decoder.middle.1.to_qkv.weight" in tensors and "encoder.downsamples.9.residual.3.gamma" in tensors
    torch.save(tensors, tmp_path / "wan.pth")
    codec, published = load_wan(tmp_path / "wan.pth", **TINY_WAN), load_wan(folder, **TINY_WAN)
    assert codec.state_dict().keys() == published.state_dict().keys()
    for name, tensor in published.state_dict().items():
        assert torch.equal(codec.state_dict()[name], tensor), name


def test_the_published_layout_has_the_published_size() -> None:
    """194 tensors, the number and the bytes of diffusers' published file of Wan 2.1 (507 591 892 with its header)."""
    state = empty_wan().state_dict()
    assert len(state) == 194
    assert sum(4 * tensor.numel() for tensor in state.values()) == 507_570_124


def test_the_published_codec_has_the_strides_of_pro() -> None:
    codec = WanCodec(diffusers.AutoencoderKLWan(base_dim=8))
    config = load_config("pro")
    assert (codec.stride_frames, codec.stride_px) == (config.codec.stride_frames, config.codec.stride_px) == (4, 8)
    assert codec.channels == config.dit.latent_channels == 16


def test_random_weights_keep_signals_in_range() -> None:
    codec = random_wan(0, **TINY_WAN)
    with torch.inference_mode():
        latents = codec.encode(clips(codec, 1, 2))
        pictures = codec.decode(torch.randn(1, 4, 2, 2, 2, generator=torch.Generator().manual_seed(0)))
    for values in (latents, pictures):
        assert 0.01 < values.std() < 100
