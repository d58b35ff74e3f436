from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_codecs import TINY_LTX, TINY_WAN, clips
from torch import nn

from vividhead.errors import ConfigError, VividHeadError
from vividhead.flashhead.config import load_config
from vividhead.flashhead.latents.plan import STILL_LATENTS
from vividhead.flashhead.model.codecs import VideoCodec, load_codec, random_codec
from vividhead.flashhead.model.codecs.linear import frequency_codec
from vividhead.flashhead.model.codecs.ltx import random_ltx
from vividhead.flashhead.model.codecs.wan import random_wan


@pytest.fixture(scope="module", params=["linear", "ltx", "wan"])
def codec(request: pytest.FixtureRequest) -> VideoCodec:
    if request.param == "linear":
        return frequency_codec(8, 16, 24)
    pytest.importorskip("diffusers", reason="needs the extra: pip install 'vividhead[flashhead]'")
    return random_ltx(0, **TINY_LTX) if request.param == "ltx" else random_wan(0, **TINY_WAN)


def test_shapes_follow_from_the_strides(codec: VideoCodec) -> None:
    for latent_frames in (1, 3):
        video = clips(codec, 2, latent_frames)
        with torch.inference_mode():
            latents = codec.encode(video)
            assert latents.shape == (2, codec.channels, latent_frames, 2, 3)
            assert codec.decode(latents).shape == video.shape


def test_a_beginning_encodes_to_the_beginning(codec: VideoCodec) -> None:
    """One encode of 33 pictures gives the motion latents of its first 9 (or 5) as well."""
    latent_frames = 1 + 32 // codec.stride_frames
    video = clips(codec, 1, latent_frames)
    assert video.shape[2] == 33
    with torch.inference_mode():
        whole, beginning = codec.encode(video), codec.encode(video[:, :, : codec.stride_frames + 1])
    torch.testing.assert_close(whole[:, :, :2], beginning, rtol=1e-4, atol=1e-4)
    video[:, :, codec.stride_frames + 1 :] *= -1
    with torch.inference_mode():
        changed = codec.encode(video)
    torch.testing.assert_close(changed[:, :, :2], beginning, rtol=1e-4, atol=1e-4)
    assert (changed[:, :, 2] - whole[:, :, 2]).abs().max() > 0.01


def test_latents_of_a_still_repeat_from_where_a_cache_leaves_them_out(codec: VideoCodec) -> None:
    picture = clips(codec, 1, 1)
    stored = STILL_LATENTS.get(codec.kind, 5)
    with torch.inference_mode():
        whole = codec.encode(picture.expand(-1, -1, 1 + 4 * codec.stride_frames, -1, -1))
        part = codec.encode(picture.expand(-1, -1, 1 + (stored - 1) * codec.stride_frames, -1, -1))
    repeated = torch.cat((part, part[:, :, -1:].expand(-1, -1, 5 - stored, -1, -1)), 2)
    torch.testing.assert_close(repeated, whole, rtol=1e-5, atol=1e-5)


def test_a_row_is_the_same_alone_and_in_any_batch(codec: VideoCodec) -> None:
    video = clips(codec, 3, 2)
    with torch.inference_mode():
        latents = codec.encode(video)
        pictures = codec.decode(latents)
        for row in range(3):
            alone = codec.encode(video[row : row + 1])
            torch.testing.assert_close(latents[row : row + 1], alone, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(pictures[row : row + 1], codec.decode(alone), rtol=1e-5, atol=1e-5)


def test_channels_last_keeps_every_value_and_its_layout_from_convolution_to_convolution(codec: VideoCodec) -> None:
    twin, kept = deepcopy(codec).in_channels_last(), []

    def look(convolution: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        form = torch.channels_last_3d if given[0].dim() == 5 else torch.channels_last
        kept.append(given[0].is_contiguous(memory_format=form))

    for module in twin.modules():
        if isinstance(module, nn.Conv3d | nn.Conv2d):
            module.register_forward_pre_hook(look)
    video = clips(codec, 2, 2)
    with torch.inference_mode():
        latents = codec.encode(video)
        torch.testing.assert_close(twin.encode(video), latents, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(twin.decode(latents), codec.decode(latents), rtol=1e-4, atol=1e-4)
    if codec.kind != "linear":
        assert sum(kept) > 0.8 * len(kept) > 0


def test_encoding_twice_gives_the_same_latents(codec: VideoCodec) -> None:
    video = clips(codec, 1, 2)
    with torch.inference_mode():
        assert torch.equal(codec.encode(video), codec.encode(video))


def test_pictures_that_do_not_fit_are_told(codec: VideoCodec) -> None:
    video = clips(codec, 1, 2)
    for wrong in (video[:, :, :-1], video[..., :-1, :], video[..., :-1], video[:, :2]):
        assert not codec.fits(wrong)
        with pytest.raises(AssertionError, match="does not fit the codec's strides"):
            codec.encode(wrong)


def test_half_precision_stays_near(codec: VideoCodec) -> None:
    video = clips(codec, 1, 2)
    coarse = deepcopy(codec).to(torch.bfloat16)
    with torch.inference_mode():
        exact, half = codec.encode(video), coarse.encode(video.bfloat16())
        pictures = coarse.decode(half)
    assert half.dtype is pictures.dtype is torch.bfloat16
    assert (half.float() - exact).abs().max() < 0.1 * exact.abs().max()


def test_a_loss_on_pictures_reaches_the_latents_and_no_weight(codec: VideoCodec) -> None:
    latents = codec.encode(clips(codec, 1, 2)).requires_grad_()
    codec.decode(latents).square().sum().backward()
    assert latents.grad is not None and (latents.grad.abs().amax((0, 2, 3, 4)) > 0).all()
    assert [name for name, parameter in codec.named_parameters() if parameter.requires_grad] == []


def test_nano_needs_no_file_for_a_trial() -> None:
    config = load_config("nano")
    codec, again = random_codec(config, 0), random_codec(config, 1)
    assert (codec.kind, codec.channels) == ("linear", config.dit.latent_channels)
    assert (codec.stride_frames, codec.stride_px) == (config.codec.stride_frames, config.codec.stride_px)
    video = clips(codec, 1, 2)
    assert torch.equal(codec.encode(video), again.encode(video))


def test_random_weights_follow_the_seed() -> None:
    pytest.importorskip("diffusers", reason="needs the extra: pip install 'vividhead[flashhead]'")
    codec = random_ltx(0, **TINY_LTX)
    state = torch.random.get_rng_state()
    video = clips(codec, 1, 2)
    latents = [random_ltx(seed, **TINY_LTX).encode(video) for seed in (0, 1)]
    assert torch.equal(codec.encode(video), latents[0])
    assert not torch.allclose(latents[0], latents[1], atol=1e-2)
    assert torch.equal(torch.random.get_rng_state(), state), "the process's own random numbers were used"


def test_a_codec_of_other_strides_than_the_configuration_is_refused(tmp_path: Path) -> None:
    nano = load_config("nano")
    other = replace(nano, dit=replace(nano.dit, latent_channels=20))
    random_codec(other, 0).save(tmp_path)  # type: ignore[operator]
    assert load_codec(other, tmp_path).channels == 20
    with pytest.raises(ConfigError, match=r"dit\.latent_channels are .*128\), but this linear codec's are .*20\)"):
        load_codec(nano, tmp_path)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("nano", ["Codec_Linear/codec.safetensors", "fitted on the clips"]),
        ("lite", ["VAE_LTX", "LTX-Video", "1.68 GB", "LTX-Video Open Weights", "vividhead weights fetch ltx-vae"]),
        ("pro", ["Wan2.1_VAE.pth", "Wan 2.1", "508 MB", "Apache-2.0", "vividhead weights fetch wan-vae"]),
    ],
)
def test_a_missing_file_says_what_it_is_and_how_to_get_it(
    name: str, parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != "nano":
        pytest.importorskip("diffusers", reason="needs the extra: pip install 'vividhead[flashhead]'")
    monkeypatch.setenv("VIVIDHEAD_WEIGHTS", str(tmp_path / "weights"))
    with pytest.raises(VividHeadError) as caught:
        load_codec(load_config(name), tmp_path / "checkpoint")
    assert [part for part in parts if part not in str(caught.value)] == []
