"""What is refused, for both codecs that are downloaded."""

import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_codecs import TINY_LTX, TINY_WAN

from vividhead.errors import VividHeadError
from vividhead.flashhead.model.codecs.ltx import load_ltx, random_ltx
from vividhead.flashhead.model.codecs.published import codec_file
from vividhead.flashhead.model.codecs.wan import load_wan

pytest.importorskip("diffusers", reason="needs the extra: pip install 'vividhead[flashhead]'")
Tensors = dict[str, torch.Tensor]
NAME = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small codec in a file of the published name."""
    import diffusers

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("written") / "VAE_LTX"
    diffusers.AutoencoderKLLTXVideo(**TINY_LTX).save_pretrained(folder)
    return folder / NAME


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    (tmp_path / "VAE_LTX").mkdir()
    return Path(shutil.copy(written, tmp_path / "VAE_LTX" / NAME))


def without_one(tensors: Tensors) -> None:
    del tensors["decoder.conv_in.conv.bias"]


def with_one_more(tensors: Tensors) -> None:
    tensors["decoder.extra"] = torch.zeros(1)


def of_another_shape(tensors: Tensors) -> None:
    tensors["latents_std"] = torch.ones(7)


def of_whole_numbers(tensors: Tensors) -> None:
    tensors["latents_mean"] = torch.zeros(6, dtype=torch.int64)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (without_one, r"lacks decoder\.conv_in\.conv\.bias"),
        (with_one_more, r"has unknown decoder\.extra"),
        (of_another_shape, r"has latents_std \[7\] float32 instead of \[6\] float32"),
        (of_whole_numbers, r"has latents_mean \[6\] int64 instead of \[6\] float32"),
    ],
)
def test_tensors_that_are_not_the_codecs_are_refused_by_name(
    spoil: Callable[[Tensors], None], why: str, path: Path
) -> None:
    tensors = load_file(path)
    spoil(tensors)
    save_file(tensors, path)
    with pytest.raises(VividHeadError, match=why) as caught:
        load_ltx(path.parent.parent, **TINY_LTX)
    assert str(path) in str(caught.value)
    assert "Get it again with: vividhead weights fetch ltx-vae" in str(caught.value)


@pytest.mark.parametrize(("kept", "why"), [(0, "no safetensors"), (300, "cut short within"), (-1, "is cut short:")])
def test_a_file_that_is_cut_short_is_refused_by_name(kept: int, why: str, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(VividHeadError, match=why) as caught:
        load_ltx(path.parent, **TINY_LTX)
    assert str(path) in str(caught.value)


def test_precision_of_the_file_does_not_matter(path: Path) -> None:
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(path).items()}
    save_file(tensors, path)
    codec = load_ltx(path, **TINY_LTX)
    assert {tensor.dtype for tensor in codec.state_dict().values()} == {torch.float32}
    assert torch.equal(
        codec.state_dict()["decoder.conv_in.conv.weight"], tensors["decoder.conv_in.conv.weight"].float()
    )


class Trap:
    """Says when it is unpickled."""

    sprung = False

    def __reduce__(self) -> tuple[object, ...]:
        return spring, ()


def spring() -> None:
    Trap.sprung = True


@pytest.mark.parametrize("content", ["code", "cut", "list", "text"])
def test_a_pth_that_is_none_is_refused_and_no_code_in_it_runs(content: str, tmp_path: Path) -> None:
    path = tmp_path / "wan.pth"
    if content == "code":
        path.write_bytes(pickle.dumps({"conv1.weight": Trap()}, protocol=2))
    elif content == "list":
        torch.save([torch.zeros(3)], path)
    elif content == "cut":
        torch.save({"conv1.weight": torch.zeros(9)}, path)
        path.write_bytes(path.read_bytes()[:-40])
    else:
        path.write_text("not found")
    with pytest.raises(VividHeadError, match=r"cannot be read|holds something else than tensors by name") as caught:
        load_wan(path, **TINY_WAN)
    assert str(path) in str(caught.value)
    assert not Trap.sprung


def test_a_cut_download_of_the_published_pth_is_told_by_its_size(tmp_path: Path) -> None:
    (tmp_path / "VAE_Wan").mkdir()
    torch.save({"conv1.weight": torch.zeros(9)}, tmp_path / "VAE_Wan" / "Wan2.1_VAE.pth")
    with pytest.raises(VividHeadError, match="507,609,880: cut short"):
        load_wan(tmp_path, **TINY_WAN)


def test_another_codec_in_the_folder_is_told_apart(path: Path, tmp_path: Path) -> None:
    with pytest.raises(VividHeadError, match=r"lacks .* not the video codec of FlashHead Pro"):
        load_wan(path, **TINY_WAN)


def test_the_published_name_comes_first_and_two_strangers_are_asked_about(path: Path) -> None:
    folder = path.parent
    for name in ("a.safetensors", "b.safetensors"):
        shutil.copy(path, folder / name)
    assert codec_file("ltx-vae", folder) == path
    path.unlink()
    with pytest.raises(VividHeadError, match=r"holds a\.safetensors, b\.safetensors; leave the one that is"):
        codec_file("ltx-vae", folder)
    (folder / "b.safetensors").unlink()
    assert codec_file("ltx-vae", folder) == folder / "a.safetensors"


def test_a_codec_beside_the_checkpoint_and_in_the_weights_folder_is_found(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    assert codec_file("ltx-vae", checkpoint) == path
    monkeypatch.setenv("VIVIDHEAD_WEIGHTS", str(tmp_path))
    elsewhere = tmp_path / "elsewhere" / "checkpoint"
    elsewhere.mkdir(parents=True)
    assert codec_file("ltx-vae", elsewhere) == path


@pytest.mark.parametrize("make", [lambda: load_ltx(Path("nowhere")), lambda: random_ltx(0)])
def test_without_the_extra_it_says_what_to_install(make: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(VividHeadError, match=r"need diffusers .* pip install 'vividhead\[flashhead\]'"):
        make()
