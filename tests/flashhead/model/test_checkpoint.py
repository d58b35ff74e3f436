"""Checkpoint folders: strict in, the same out, and every wrong file named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.full_disk import full_disk
from safetensors.torch import load_file, save_file

from tests.flashhead.conftest import Parity
from tests.flashhead.stubs import tiny_config
from vividhead.errors import ConfigError, StorageError, VividHeadError
from vividhead.flashhead.config import FlashHeadConfig, load_config
from vividhead.flashhead.model import checkpoint
from vividhead.flashhead.model.checkpoint import (
    TENSORS_FILE,
    CheckpointError,
    config_in,
    export_dit,
    import_dit,
    model_folder,
    official_config,
)
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.fresh import initialise


@pytest.fixture
def config() -> FlashHeadConfig:
    return tiny_config()


@pytest.fixture
def saved(tmp_path: Path, config: FlashHeadConfig) -> Path:
    export_dit(initialise(Dit(config), seed=3), tmp_path)
    return tmp_path


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("text_width", [0, 8])
def test_names_shapes_types_and_values_survive(tmp_path: Path, text_width: int, dtype: torch.dtype) -> None:
    config = replace(tiny_config(), dit=replace(tiny_config().dit, text_width=text_width))
    dit = initialise(Dit(config), seed=3).to(dtype)
    first = export_dit(dit, tmp_path / "one") / TENSORS_FILE
    again, digest = import_dit(tmp_path / "one", config_in(tmp_path / "one", None))
    assert again.config == config
    assert all(torch.equal(a, b) for a, b in zip(dit.state_dict().values(), again.state_dict().values(), strict=True))
    second = export_dit(again, tmp_path / "two") / TENSORS_FILE
    assert first.read_bytes() == second.read_bytes()
    assert len(digest) == 64
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("name", ["lite", "pro"])
def test_config_json_says_what_the_published_one_says(name: str) -> None:
    said = official_config(load_config(name))
    assert len(said) == 14
    wanted = {"lite": ([1, 1, 1], [8, 32, 32], 256, 128), "pro": ([1, 2, 2], [4, 8, 8], 32, 16)}[name]
    assert (said["patch_size"], said["vae_stride"], said["in_dim"], said["out_dim"]) == wanted
    assert (said["dim"], said["ffn_dim"], said["num_heads"], said["num_layers"]) == (1536, 8960, 12, 30)


@pytest.mark.parametrize(("name", "size_bytes"), [("lite", 6_107_542_048), ("pro", 6_030_864_656)])
def test_a_whole_models_file_has_the_published_files_size_to_the_byte(name: str, size_bytes: int) -> None:
    with torch.device("meta"):
        state = Dit(load_config(name)).state_dict()
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key in sorted(state):
        start, end = end, end + 4 * state[key].numel()
        header[key] = {"dtype": "F32", "shape": list(state[key].shape), "data_offsets": [start, end]}
    text = len(json.dumps(header, separators=(",", ":")))
    assert 8 + -(-text // 8) * 8 + end == size_bytes
    config_bytes = {"lite": 357, "pro": 353}[name]
    assert len(json.dumps(official_config(load_config(name)), indent=2, sort_keys=True)) + 1 == config_bytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["lite", "pro"])
def test_the_published_names_load_strictly_and_go_out_as_they_came(
    name: str, dtype: torch.dtype, parity: Parity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All 843 tensors of the official files, without their 6 GB of numbers."""
    keys = json.loads((parity.folder / f"keys_{name}.json").read_text())
    tensors = {key: torch.empty(shape, dtype=dtype, device="meta") for key, shape in keys.items()}
    monkeypatch.setattr(checkpoint, "check_file", lambda _, path: path)
    monkeypatch.setattr(checkpoint, "digest", lambda _: "0" * 64)
    monkeypatch.setattr(checkpoint, "_read", lambda _: tensors)
    dit, _ = import_dit(tmp_path, load_config(name))
    said = {key: (list(value.shape), value.dtype) for key, value in dit.state_dict().items()}
    assert said == {key: (shape, dtype) for key, shape in keys.items()}
    del tensors["audio_emb.proj.3.bias"]
    with pytest.raises(CheckpointError, match=r"lacks audio_emb\.proj\.3\.bias"):
        import_dit(tmp_path, load_config(name))


def test_a_model_in_the_place_of_another_does_not_keep_its_options(tmp_path: Path) -> None:
    nano = load_config("nano")
    small = replace(nano, dit=replace(nano.dit, dim=24, ffn_dim=32, heads=2, layers=1))
    export_dit(Dit(small), tmp_path)
    assert config_in(tmp_path, None) == small
    export_dit(Dit(nano), tmp_path)
    assert config_in(tmp_path, None) == nano


def test_a_disk_that_is_full_is_told_and_leaves_no_part(tmp_path: Path) -> None:
    nano = load_config("nano")
    with full_disk(), pytest.raises(StorageError, match=f"cannot write .*{TENSORS_FILE}"):
        export_dit(Dit(replace(nano, dit=replace(nano.dit, dim=24, ffn_dim=32, heads=2, layers=1))), tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.rglob(TENSORS_FILE))


def test_a_missing_published_file_says_what_it_is_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(VividHeadError) as refused:
        import_dit(tmp_path, load_config("lite"))
    for word in ("Model_Lite", TENSORS_FILE, "Apache-2.0", "6.11 GB", "vividhead weights fetch flashhead-lite"):
        assert word in str(refused.value)


def test_a_missing_file_of_ones_own_is_named(tmp_path: Path, config: FlashHeadConfig) -> None:
    with pytest.raises(CheckpointError, match="Model_Tiny.*is missing"):
        import_dit(tmp_path, config)


def test_a_file_cut_short_is_refused_by_name(saved: Path, config: FlashHeadConfig) -> None:
    path = model_folder(saved, config) / TENSORS_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=TENSORS_FILE):
        import_dit(saved, config)


def test_what_is_missing_too_much_or_of_another_shape_is_named(saved: Path, config: FlashHeadConfig) -> None:
    path = model_folder(saved, config) / TENSORS_FILE
    tensors = load_file(path)
    del tensors["patch_embedding.bias"]
    tensors["stranger"] = torch.zeros(1)
    tensors["head.head.bias"] = torch.zeros(7)
    save_file(tensors, path)
    with pytest.raises(CheckpointError) as refused:
        import_dit(saved, config)
    for fault in ("lacks patch_embedding.bias", "has stranger", "head.head.bias is [7], not [4]"):
        assert fault in str(refused.value)


def test_numbers_of_mixed_types_are_refused(saved: Path, config: FlashHeadConfig) -> None:
    path = model_folder(saved, config) / TENSORS_FILE
    tensors = load_file(path)
    tensors["head.head.bias"] = tensors["head.head.bias"].to(torch.int64)
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match="float32, int64"):
        import_dit(saved, config)


def test_a_config_json_of_another_model_is_refused(saved: Path, config: FlashHeadConfig) -> None:
    path = model_folder(saved, config) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_layers": 30}))
    with pytest.raises(CheckpointError, match="num_layers is 30, where tiny has 1"):
        import_dit(saved, config)
    path.write_text("{")
    with pytest.raises(CheckpointError, match="is not JSON"):
        import_dit(saved, config)


def test_which_model_is_asked_when_there_are_several_or_none(saved: Path, config: FlashHeadConfig) -> None:
    assert config_in(saved, None) == config
    (saved / "Model_Lite").mkdir()
    with pytest.raises(CheckpointError, match=r"holds the models lite, tiny; name one with --model"):
        config_in(saved, None)
    assert config_in(saved, "lite") == load_config("lite")
    with pytest.raises(CheckpointError, match="Model_Lite is one model's folder: name the checkpoint"):
        config_in(saved / "Model_Lite", None)
    (saved / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no Model_.*vividhead weights fetch flashhead-lite"):
        config_in(saved / "empty", None)
    with pytest.raises(CheckpointError, match="is no folder"):
        config_in(saved / "nowhere", None)
    with pytest.raises(ConfigError):
        config_in(saved, "lyte")
