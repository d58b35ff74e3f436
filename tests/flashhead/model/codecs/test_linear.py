import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vividhead.errors import VividHeadError
from vividhead.flashhead.model.codecs.fit_linear import reconstruction
from vividhead.flashhead.model.codecs.linear import FILE, FOLDER, LinearCodec, frequency_codec, load_linear

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def codec() -> LinearCodec:
    return frequency_codec(4, 8, 24)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_decoded_pictures_encode_to_the_latents_they_came_from(codec: LinearCodec) -> None:
    latents = noise(2, 24, 3, 2, 4)
    torch.testing.assert_close(codec.encode(codec.decode(latents)), latents, rtol=1e-4, atol=1e-4)


def test_a_second_round_loses_nothing(codec: LinearCodec) -> None:
    once = codec.decode(codec.encode(0.4 * noise(1, 3, 9, 16, 16)))
    torch.testing.assert_close(codec.decode(codec.encode(once)), once, rtol=1e-4, atol=1e-4)


def test_pictures_of_one_colour_come_back_as_they_were(codec: LinearCodec) -> None:
    colours = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [0.8, -0.5, 0.1], [-0.9, 0.9, -0.9]])
    video = colours[:, :, None, None, None].expand(4, 3, 5, 16, 16)
    torch.testing.assert_close(codec.decode(codec.encode(video)), video, rtol=0, atol=1e-4)


def test_a_change_stays_in_its_block(codec: LinearCodec) -> None:
    video = 0.4 * noise(1, 3, 9, 16, 16)
    changed = video.clone()
    changed[:, :, 6, 10, 3] += 1  # latent frame 2, row 1, column 0
    touched = (codec.encode(changed) - codec.encode(video)).abs().amax((0, 1)) > 1e-5
    assert touched.nonzero().tolist() == [[2, 1, 0]]
    pictures = (codec.decode(codec.encode(changed)) - codec.decode(codec.encode(video))).abs().amax((0, 1)) > 1e-5
    inside = torch.zeros_like(pictures)
    inside[5:9, 8:16, 0:8] = True
    assert pictures.any() and not (pictures & ~inside).any()


def test_a_face_of_128_px_keeps_26_db_before_anything_was_fitted(shared: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    import numpy as np

    with pillow.open(shared / "footage" / "portrait_girl.png") as picture:
        side = min(picture.size)
        small = picture.convert("RGB").crop((0, 0, side, side)).resize((128, 128), resample=pillow.Resampling.BOX)
    still = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)[:, None] / 127.5 - 1
    found = reconstruction(frequency_codec(8, 16, 128), [still.expand(3, 9, 128, 128)])
    assert found.psnr_db > 26


def test_a_saved_codec_comes_back_and_its_bytes_are_always_the_same(codec: LinearCodec, tmp_path: Path) -> None:
    path = codec.save(tmp_path / "a")
    assert path == tmp_path / "a" / FOLDER / FILE
    assert path.read_bytes() == codec.save(tmp_path / "b").read_bytes()
    loaded = load_linear(tmp_path / "a")
    assert (loaded.stride_frames, loaded.stride_px, loaded.channels, loaded.basis.blocks) == (4, 8, 24, 0)
    video = 0.4 * noise(1, 3, 9, 16, 16)
    torch.testing.assert_close(loaded.encode(video), codec.encode(video), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loaded.decode(codec.encode(video)), codec.decode(codec.encode(video)))
    assert loaded.save(tmp_path / "c").read_bytes() == path.read_bytes()


def without(tensors: Tensors) -> None:
    del tensors["later.mean_P"]


def with_another(tensors: Tensors) -> None:
    tensors["third.mean_P"] = torch.zeros(3)


def of_another_shape(tensors: Tensors) -> None:
    tensors["first.scale_C"] = torch.ones(23)


def in_half_precision(tensors: Tensors) -> None:
    tensors["first.mean_P"] = tensors["first.mean_P"].half()


def with_nan(tensors: Tensors) -> None:
    tensors["later.scale_C"][0] = torch.nan


def not_orthonormal(tensors: Tensors) -> None:
    tensors["later.vectors_CP"][1] = tensors["later.vectors_CP"][0]


def without_scale(tensors: Tensors) -> None:
    tensors["first.scale_C"][5] = 0


@pytest.mark.parametrize(
    "spoil",
    [without, with_another, of_another_shape, in_half_precision, with_nan, not_orthonormal, without_scale],
)
def test_a_damaged_file_is_refused_by_name(
    spoil: Callable[[Tensors], None], codec: LinearCodec, tmp_path: Path
) -> None:
    path = codec.save(tmp_path)
    with safe_open(path, "pt") as file:
        about = file.metadata()
    tensors = load_file(path)
    spoil(tensors)
    save_file(tensors, path, about)
    with pytest.raises(VividHeadError, match="is damaged") as caught:
        load_linear(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kept", [0, 5, 2000, -1])
def test_a_file_that_is_cut_short_is_refused_by_name(kept: int, codec: LinearCodec, tmp_path: Path) -> None:
    path = codec.save(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(VividHeadError, match="is cut short or no safetensors file") as caught:
        load_linear(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("about", "why"),
    [
        (None, "holds no linear video codec"),
        ({"linear_codec": "{}"}, "holds no linear video codec"),
        ({"linear_codec": "7"}, "holds no linear video codec"),
        ({"version": 2}, "is a linear codec of version 2, this vividhead reads 1"),
        ({"stride_px": 16}, "is damaged: its tensors are not those of strides 4, 16 and 24 channels"),
    ],
)
def test_a_file_that_says_something_else_is_refused(
    about: dict[str, object] | None, why: str, codec: LinearCodec, tmp_path: Path
) -> None:
    path = codec.save(tmp_path)
    with safe_open(path, "pt") as file:
        told = json.loads(file.metadata()["linear_codec"])
    if about and "linear_codec" not in about:
        about = {"linear_codec": json.dumps(told | about)}
    save_file(load_file(path), path, about)
    with pytest.raises(VividHeadError, match=why):
        load_linear(tmp_path)


@pytest.mark.parametrize("frames", [1, 9, 33])
def test_a_still_is_encoded_as_the_same_picture_over_and_over(frames: int) -> None:
    codec = frequency_codec(8, 16, 20)
    picture = torch.rand((2, 3, 32, 48), generator=torch.Generator().manual_seed(2)) * 2 - 1
    expected = codec.encode(picture[:, :, None].expand(-1, -1, frames, -1, -1))
    assert torch.equal(codec.encode_still(picture, frames), expected)
