import ast
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from vividhead.errors import VividHeadError
from vividhead.flashhead.model.audio_encoders.wav2vec2 import (
    Wav2Vec2Encoder,
    load_wav2vec2,
    normalised,
    random_wav2vec2,
)

if TYPE_CHECKING:
    from tests.flashhead.conftest import Parity

transformers = pytest.importorskip(
    "transformers", reason="wav2vec 2.0 needs the extra: pip install 'vividhead[flashhead]'"
)

TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
Tensors = dict[str, torch.Tensor]


def waves(rows: int, samples: int = 32_000) -> torch.Tensor:
    return 0.1 * torch.randn(rows, samples, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def encoder() -> Wav2Vec2Encoder:
    return random_wav2vec2(0, **TINY)


@pytest.fixture(scope="module")
def published() -> Tensors:
    """A small network's weights, named as in the published file: a recogniser's, with the weight norm's old names."""
    torch.manual_seed(0)
    network = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(mask_time_prob=0.0, **TINY))
    renamed = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    tensors = {}
    for name, tensor in network.state_dict().items():
        for new, old in renamed.items():
            name = name.replace(new, old)
        tensors[name] = tensor.clone()
    return tensors


def test_features_are_those_of_the_published_model_alone_and_in_a_batch(parity: "Parity", tmp_path: Path) -> None:
    shapes = json.loads((parity.folder / "keys_audio_small.json").read_text(encoding="utf-8"))
    save_file({name: parity.fill(name, tuple(shape)) for name, shape in shapes.items()}, tmp_path / "model.safetensors")
    with safe_open(parity.folder / "audio.safetensors", "pt") as file:
        sizes = {name: ast.literal_eval(file.metadata()[name]) for name in TINY}
    encoder = load_wav2vec2(tmp_path, **sizes)
    walk_S = parity.noise("audio.wave", (128_000,)).cumsum(0)
    wave_S = (walk_S - walk_S.mean()) / walk_S.abs().max()
    wave_S[:40_000] = 0
    wanted_TLC = parity.outputs("audio")["features_every_4th"]
    for rows_BS in (wave_S[None], torch.stack((torch.zeros(128_000), waves(1, 128_000)[0], wave_S))):
        features_TLC = encoder.features(rows_BS)[-1]
        assert features_TLC.shape == (200, *wanted_TLC.shape[1:])
        assert (features_TLC[::4] - wanted_TLC).abs().max() <= 2e-4 * wanted_TLC.std()


def test_names_and_shapes_are_the_published_files_to_the_byte() -> None:
    with torch.device("meta"):
        network = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(mask_time_prob=0.0))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in sorted(network.state_dict().items()):
        name = name.replace("parametrizations.weight.original0", "weight_g")
        name = name.replace("parametrizations.weight.original1", "weight_v")
        start, end = end, end + 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
    assert 8 + len(json.dumps(header, separators=(",", ":"))) + end == 377_607_901


def test_the_real_networks_shapes_hold_and_nothing_is_decided_by_data() -> None:
    with FakeTensorMode():  # no numbers, so that a look at one would raise
        features = random_wav2vec2(0).features(torch.zeros(2, 128_000))
        assert features.shape == (2, 200, 12, 768)
        assert features.dtype == torch.float32


def without_prefix(tensors: Tensors) -> Tensors:
    """As a `Wav2Vec2Model` saves itself today, with the vector that only its training uses."""
    plain = {name.removeprefix("wav2vec2."): tensor for name, tensor in tensors.items() if "lm_head" not in name}
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        plain[f"encoder.pos_conv_embed.conv.parametrizations.weight.{new}"] = plain.pop(
            f"encoder.pos_conv_embed.conv.{old}"
        )
    return plain | {"masked_spec_embed": torch.zeros(32)}


@pytest.mark.parametrize("layout", ["published", "with_mask", "plain", "bin"])
def test_every_layout_of_the_same_weights_gives_the_same_features(
    tmp_path: Path, published: Tensors, layout: str
) -> None:
    folder = tmp_path / "wav2vec2-base-960h"
    folder.mkdir()
    match layout:
        case "published":
            save_file(published, folder / "model.safetensors")
        case "with_mask":
            save_file(published | {"wav2vec2.masked_spec_embed": torch.zeros(32)}, folder / "model.safetensors")
        case "plain":
            save_file(without_prefix(published), folder / "model.safetensors")
        case "bin":
            torch.save(published, folder / "pytorch_model.bin")
    network = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(mask_time_prob=0.0, **TINY))
    missing, unknown = network.load_state_dict(without_prefix(published), strict=False)
    assert (missing, unknown) == ([], ["masked_spec_embed"])
    expected_BTLC = Wav2Vec2Encoder(network).features(waves(1))
    assert torch.equal(load_wav2vec2(folder, **TINY).features(waves(1)), expected_BTLC)
    assert torch.equal(load_wav2vec2(tmp_path, **TINY).features(waves(1)), expected_BTLC)  # the checkpoint's folder


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rewritten(change: Callable[[Tensors], object]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        change(tensors)
        save_file(tensors, path)

    return spoil


PROJECTION = "wav2vec2.feature_projection.projection.bias"
SPOILT = {
    "cut": (cut, "cut short"),
    "empty": (lambda path: path.write_bytes(b""), "no safetensors file"),
    "lacking": (rewritten(lambda t: t.pop(PROJECTION)), f"lacks {PROJECTION}"),
    "unknown": (rewritten(lambda t: t.update(surprise=torch.zeros(1))), "has unknown surprise"),
    "mask_twice": (rewritten(lambda t: t.update(masked_spec_embed=torch.zeros(32))), "has unknown masked_spec_embed"),
    "another_shape": (rewritten(lambda t: t.update({PROJECTION: torch.zeros(31)})), r"\[31\].* instead of \[32\]"),
    "another_type": (rewritten(lambda t: t.update({PROJECTION: t[PROJECTION].half()})), "torch.float16 instead of"),
    "another_model": (rewritten(lambda t: (t.clear(), t.update(x=torch.zeros(1)))), "lacks .* and 63 more"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_file_that_is_not_the_model_is_refused_by_name_with_what_to_do(
    tmp_path: Path, published: Tensors, how: str
) -> None:
    spoil, told = SPOILT[how]
    path = tmp_path / "wav2vec2-base-960h" / "model.safetensors"
    path.parent.mkdir()
    save_file(published, path)
    spoil(path)
    with pytest.raises(VividHeadError, match=told) as refusal:
        load_wav2vec2(tmp_path, **TINY)
    for part in (str(path), "378 MB", "Apache-2.0", f"vividhead weights fetch wav2vec2 --to {tmp_path}"):
        assert part in str(refusal.value)


class Code:
    """What unpickling must never run."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda path: torch.save({"x": 1}, path), "something else than tensors"),
        (lambda path: torch.save([torch.zeros(1)], path), "something else than tensors"),
        (lambda path: path.write_bytes(pickle.dumps({"x": Code()}, protocol=2)), "cannot be read"),
        (lambda path: path.write_bytes(b"PK\x03\x04 no zip"), "cannot be read"),
        (lambda path: (torch.save({"x": torch.zeros(9999)}, path), cut(path)), "cannot be read"),
    ],
)
def test_a_pickled_file_that_holds_anything_but_tensors_is_refused(
    tmp_path: Path, content: Callable[[Path], object], told: str
) -> None:
    path = tmp_path / "pytorch_model.bin"
    content(path)
    with pytest.raises(VividHeadError, match=told) as refusal:
        load_wav2vec2(tmp_path, **TINY)
    assert str(path) in str(refusal.value)


def test_a_missing_file_is_named_with_size_licence_and_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVIDHEAD_WEIGHTS", str(tmp_path / "elsewhere"))
    with pytest.raises(VividHeadError) as refusal:
        load_wav2vec2(tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / "wav2vec2-base-960h" / "model.safetensors"
    for part in (str(path), "378 MB", "Apache-2.0", "vividhead weights fetch wav2vec2"):
        assert part in str(refusal.value)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(VividHeadError, match=r"pip install 'vividhead\[flashhead\]'"):
        load_wav2vec2(tmp_path)


def test_an_old_transformers_is_told_from_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.__version__", "4.57.3")
    with pytest.raises(VividHeadError, match=r"4.57.3 is too old.*pip install 'vividhead\[flashhead\]'"):
        random_wav2vec2(0, **TINY)


def test_windows_are_normalised_as_by_the_feature_extractor() -> None:
    rows_BS = torch.stack((waves(1)[0] + 0.5, 1e-4 * waves(1)[0], torch.zeros(32_000)))
    expected = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)(
        list(rows_BS.numpy()), sampling_rate=16_000, return_tensors="np"
    )
    np.testing.assert_allclose(normalised(rows_BS).numpy(), expected["input_values"], atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_silence_has_finite_features(encoder: Wav2Vec2Encoder, level: float) -> None:
    assert encoder.features(torch.full((1, 128_000), level)).isfinite().all()


def test_a_row_of_a_batch_is_what_it_is_alone(encoder: Wav2Vec2Encoder) -> None:
    rows_BS = waves(3)
    torch.testing.assert_close(encoder.features(rows_BS)[1:2], encoder.features(rows_BS[1:2]), rtol=0, atol=2e-5)


def test_the_newest_features_alone_are_the_same_numbers(encoder: Wav2Vec2Encoder) -> None:
    assert torch.equal(encoder.features(waves(2), 35), encoder.features(waves(2))[:, -35:])


def test_it_stays_frozen_and_without_dropout_inside_a_model_in_training(encoder: Wav2Vec2Encoder) -> None:
    before_BTLC = encoder.features(waves(1))
    nn.ModuleList([encoder]).train()
    assert torch.equal(encoder.features(waves(1)), before_BTLC)
    assert not before_BTLC.requires_grad


def test_lower_precision_around_it_changes_nothing(encoder: Wav2Vec2Encoder) -> None:
    plain_BTLC = encoder.features(waves(1))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder.features(waves(1)), plain_BTLC)


def test_attention_is_pytorchs_own(encoder: Wav2Vec2Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    attention, calls = nn.functional.scaled_dot_product_attention, []

    def counted(*args: Any, **options: Any) -> torch.Tensor:
        calls.append(args[0].shape)
        return attention(*args, **options)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", counted)
    encoder.features(waves(1))
    assert calls == [(1, 2, 50, 16)] * 3


def test_random_weights_follow_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = random_wav2vec2(7, **TINY).features(waves(1))
    torch.manual_seed(2)
    assert torch.equal(random_wav2vec2(7, **TINY).features(waves(1)), one)
    assert not torch.allclose(random_wav2vec2(8, **TINY).features(waves(1)), one, atol=0.1)
