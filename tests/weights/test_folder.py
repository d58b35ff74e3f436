"""Where files lie, whether they can be read, and the one text for a missing file."""

import json
import struct
from pathlib import Path

import pytest

from vividhead.errors import VividHeadError
from vividhead.weights import check_file, home, locate, missing_weights, model, refused_weights
from vividhead.weights.folder import human
from weights.conftest import TENSORS, Shop, get, safetensors


def test_a_missing_file_says_what_it_is_how_large_its_licence_and_the_command(tmp_path: Path) -> None:
    wanted = tmp_path / "my checkpoint" / "Model_Lite" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(VividHeadError) as raised:
        check_file("flashhead-lite", wanted)
    text = str(raised.value)
    assert text.startswith(f"{wanted} is not there: ")
    assert model("flashhead-lite").role in text
    assert "6.11 GB, licence Apache-2.0 (commercial use allowed)" in text
    assert text.endswith(f"vividhead weights fetch flashhead-lite --to '{tmp_path / 'my checkpoint'}'")


def test_the_command_is_shorter_for_the_weights_folder_and_accepts_what_must_be_accepted() -> None:
    text = str(missing_weights("syncnet", home() / "syncnet" / "syncnet_v2.model"))
    assert text.endswith("\nGet it with: vividhead weights fetch syncnet --accept-licence")
    assert "licence not stated (commercial use not settled)" in text


def test_the_command_of_a_missing_folder_names_where_it_was_looked_for(tmp_path: Path) -> None:
    text = str(missing_weights("buffalo_l", tmp_path / "insightface" / "models" / "buffalo_l"))
    assert text.endswith(f"fetch buffalo_l --to {tmp_path} --accept-licence")
    assert "341 MB" in text


def test_the_command_told_puts_the_file_where_it_was_missed(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "Free" / "model.safetensors"
    command = str(missing_weights("free", path)).split(" fetch ")[1].split()
    assert command[:2] == ["free", "--to"]
    get(command[0], to=Path(command[2]))
    assert check_file("free", path) == path


def test_one_word_for_a_file_that_is_another(shop: Shop) -> None:
    text = str(refused_weights("free", shop.root / "Free" / "config.json", "has no dim"))
    assert text.startswith(f"{shop.root}/Free/config.json has no dim: not a free thing")
    assert text.endswith("vividhead weights fetch free")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (TENSORS[:-1], "is cut short: 100,0"),
        (TENSORS + b"x", "has 1 bytes too many"),
        (TENSORS[:20], "is cut short within its header"),
        (b"", "is no safetensors file"),
        (b"<!doctype html> no such page", "is no safetensors file"),
        (struct.pack("<Q", 2) + b"[]", "has a header that is no safetensors header"),
        (struct.pack("<Q", 9) + b'{"t": {}}', "has a header that is no safetensors header"),
    ],
)
def test_a_broken_safetensors_file_is_refused_by_name(shop: Shop, tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(VividHeadError, match=words) as raised:
        check_file("free", path)
    assert str(raised.value).startswith(str(path))


def test_ones_own_safetensors_of_another_size_passes(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(1234))
    assert check_file("free", path) == path


def test_metadata_in_a_safetensors_header_is_no_tensor(shop: Shop, tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    assert check_file("free", path) == path


@pytest.mark.parametrize(("size", "words"), [(299, "cut short"), (301, "another file")])
def test_other_formats_are_held_against_the_published_size(shop: Shop, tmp_path: Path, size: int, words: str) -> None:
    path = tmp_path / "bound.pth"
    path.write_bytes(b"b" * size)
    with pytest.raises(VividHeadError, match=f"has {size} bytes, the published one 300: {words}"):
        check_file("bound", path)


def test_a_model_is_found_in_the_checkpoint_then_beside_it_then_in_the_weights_folder(
    shop: Shop, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "models" / "mine"
    assert locate("free", checkpoint) == checkpoint / "Free"
    assert locate("free") == shop.root / "Free"
    (checkpoint / "Free").mkdir(parents=True)
    (checkpoint / "Free" / ".config.json.part").touch()
    for place in (shop.root, checkpoint.parent, checkpoint):
        (place / "Free").mkdir(parents=True, exist_ok=True)
        (place / "Free" / "config.json").touch()
        assert locate("free", checkpoint) == place / "Free"


def test_without_a_word_the_weights_folder_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIVIDHEAD_WEIGHTS", raising=False)
    assert home() == Path.home() / ".cache" / "vividhead" / "weights"


def test_sizes_read_well() -> None:
    sizes = (0, 357, 1_000, 54_573_114, 6_107_542_048)
    assert [human(size) for size in sizes] == ["0 bytes", "357 bytes", "1 kB", "54.6 MB", "6.11 GB"]
