import json
import socket
from pathlib import Path
from typing import Any

import authors_names
import pytest
import torch
from safetensors.torch import save_file
from small_codecs import TINY_LTX, clips

from vividhead.errors import VividHeadError
from vividhead.flashhead.config import load_config
from vividhead.flashhead.model.codecs.ltx import LtxCodec, empty_ltx, load_ltx, random_ltx
from vividhead.weights import model

diffusers = pytest.importorskip("diffusers", reason="needs the extra: pip install 'vividhead[flashhead]'")
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def network() -> Any:
    """diffusers' own small network, its weights random and its statistics not those of a new one."""
    torch.manual_seed(0)
    made = diffusers.AutoencoderKLLTXVideo(**TINY_LTX).eval()
    made.latents_mean.normal_()
    made.latents_std.uniform_(0.5, 2)
    return made


@pytest.fixture(scope="module")
def folder(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As published: diffusers' folder VAE_LTX in a checkpoint."""
    checkpoint = tmp_path_factory.mktemp("checkpoint")
    network.save_pretrained(checkpoint / "VAE_LTX")
    return checkpoint


def expected_latents(network: Any, latents: torch.Tensor) -> torch.Tensor:
    mean, deviation = (t.reshape(1, -1, 1, 1, 1) for t in (network.latents_mean, network.latents_std))
    return (latents - mean) / deviation


def test_it_is_diffusers_codec_normalised_by_the_files_statistics(network: Any, folder: Path) -> None:
    codec = load_ltx(folder, **TINY_LTX)
    video = clips(codec, 2, 2)
    with torch.inference_mode():
        latents = codec.encode(video)
        wanted = expected_latents(network, network.encode(video).latent_dist.mode())
        torch.testing.assert_close(latents, wanted, rtol=1e-5, atol=1e-5)
        raw = latents * network.latents_std.reshape(-1, 1, 1, 1) + network.latents_mean.reshape(-1, 1, 1, 1)
        torch.testing.assert_close(codec.decode(latents), network.decode(raw).sample, rtol=1e-5, atol=1e-5)


def test_a_generator_draws_from_the_posterior_as_the_published_model_does(network: Any, folder: Path) -> None:
    codec = load_ltx(folder, **TINY_LTX)
    video = clips(codec, 2, 2)
    with torch.inference_mode():
        posterior = network.encode(video).latent_dist
        wanted = expected_latents(network, posterior.sample(torch.Generator().manual_seed(7)))
        drawn = codec.encode(video, torch.Generator().manual_seed(7))
        torch.testing.assert_close(drawn, wanted, rtol=1e-5, atol=1e-5)
        assert (drawn - codec.encode(video)).abs().max() > 0.1


def test_the_published_layout_has_the_published_size() -> None:
    network = empty_ltx()
    state = network.state_dict()
    assert len(state) == 190
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in sorted(state):
        begin, end = end, end + 4 * state[name].numel()
        header[name] = {"dtype": "F32", "shape": list(state[name].shape), "data_offsets": [begin, end]}
    length = len(json.dumps(header, separators=(",", ":")))
    published = {file.name: file.size_bytes for file in model("ltx-vae").files}
    size = 8 + (length + 7) // 8 * 8 + end
    assert size == published["diffusion_pytorch_model.safetensors"] == 1_676_798_532
    assert {p.device.type for p in network.parameters()} == {"meta"}


def test_the_published_codec_has_the_strides_of_lite() -> None:
    with torch.device("meta"):
        codec = LtxCodec(diffusers.AutoencoderKLLTXVideo(layers_per_block=(1,) * 5))
    config = load_config("lite")
    assert (codec.stride_frames, codec.stride_px) == (config.codec.stride_frames, config.codec.stride_px) == (8, 32)
    assert codec.channels == config.dit.latent_channels == 128


@pytest.mark.parametrize("prefix", ["vae.", ""])
def test_the_authors_single_file_is_the_same_codec(prefix: str, network: Any, folder: Path, tmp_path: Path) -> None:
    tensors = {authors_names.ltx(name).replace("vae.", prefix): t for name, t in network.state_dict().items()}
    tensors |= {f"{prefix}per_channel_statistics.{name}": torch.zeros(6) for name in ("channel", "mean-of-stds")}
    if prefix:
        tensors["model.diffusion_model.proj_out.weight"] = torch.zeros(3, 3)
    save_file(tensors, tmp_path / "ltx-video-2b-v0.9.safetensors")
    codec, published = load_ltx(tmp_path / "ltx-video-2b-v0.9.safetensors", **TINY_LTX), load_ltx(folder, **TINY_LTX)
    assert codec.state_dict().keys() == published.state_dict().keys()
    for name, tensor in published.state_dict().items():
        assert torch.equal(codec.state_dict()[name], tensor), name


def test_loading_opens_no_connection(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("went to the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    load_ltx(folder, **TINY_LTX)


def test_a_later_version_of_the_codec_is_refused(network: Any, tmp_path: Path) -> None:
    """0.9.1 decodes with timesteps: it has tensors that the published Lite does not know."""
    later = diffusers.AutoencoderKLLTXVideo(**(TINY_LTX | {"timestep_conditioning": True}))
    later.save_pretrained(tmp_path / "VAE_LTX")
    with pytest.raises(VividHeadError, match=r"has unknown decoder\.\S+ .*not the video codec of FlashHead Lite"):
        load_ltx(tmp_path, **TINY_LTX)


def test_random_weights_keep_signals_in_range() -> None:
    """What is measured for speed must not be slowed or sped up by infinities."""
    codec = random_ltx(0, **TINY_LTX)
    with torch.inference_mode():
        latents = codec.encode(clips(codec, 1, 2))
        pictures = codec.decode(torch.randn(1, 6, 2, 2, 2, generator=torch.Generator().manual_seed(0)))
    for values in (latents, pictures):
        assert 0.01 < values.std() < 100
