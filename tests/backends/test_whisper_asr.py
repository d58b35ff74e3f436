"""Whisper's own code on a tiny model of its layout with random numbers: loading, words and their times."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.random_weights import WHISPER_DIMS, random_tensors, tiny_whisper
from vividhead.backends.whisper_asr import heard, loaded
from vividhead.errors import VividHeadError
from vividhead.testing.speech import fitted, speak


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return random_tensors(tiny_whisper)


@pytest.fixture(scope="module")
def published(tensors: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whisper") / "own.pt"
    torch.save({"dims": WHISPER_DIMS, "model_state_dict": tensors}, path)
    return path


def test_the_published_format_and_safetensors_give_the_same_words(
    published: Path, tensors: dict[str, torch.Tensor]
) -> None:
    converted = published.with_suffix(".safetensors")
    save_file(tensors, converted)
    voice_S = fitted(speak("She had your dark suit.").samples_S, 3 * 16_000)
    one, other = (heard(loaded(path, "cpu"), voice_S) for path in (published, converted))
    assert one == other
    assert one.language and 0 < one.language_probability <= 1
    for word in one.words:
        assert word.text and 0 <= word.start_s <= word.end_s and 0 <= word.probability <= 1


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    for name in ("wrong.pt", "wrong.safetensors"):
        path = tmp_path / name
        if name.endswith(".pt"):
            torch.save({"dims": {**WHISPER_DIMS, "n_mels": 128}, "model_state_dict": {}}, path)
        else:
            save_file({"a": torch.zeros(1)}, path)
        with pytest.raises(VividHeadError, match=f"{name} is no Whisper model"):
            loaded(path, "cpu")
