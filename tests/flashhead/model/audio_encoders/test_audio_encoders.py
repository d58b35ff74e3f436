from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from vividhead.errors import ConfigError, VividHeadError
from vividhead.flashhead.config import load_config
from vividhead.flashhead.model.audio_encoders import load_audio_encoder, random_audio_encoder
from vividhead.flashhead.model.audio_encoders.log_mel import LogMel


def test_nano_hears_with_nothing_to_download(tmp_path: Path) -> None:
    config = load_config("nano")
    encoder = load_audio_encoder(config, tmp_path)
    assert isinstance(encoder, LogMel)
    features_BTLC = encoder.features(torch.zeros(1, config.cache_samples))
    assert features_BTLC.shape == (1, config.cache_frames, config.audio.layers, config.audio.width)
    assert torch.equal(random_audio_encoder(config, 3).features(torch.zeros(1, config.cache_samples)), features_BTLC)


@pytest.mark.parametrize("name", ["lite", "pro"])
def test_the_published_sizes_hear_with_wav2vec2(name: str) -> None:
    pytest.importorskip("transformers", reason="wav2vec 2.0 needs the extra: pip install 'vividhead[flashhead]'")
    config = load_config(name)
    with FakeTensorMode():  # shapes without numbers
        features_BTLC = random_audio_encoder(config, 0).features(torch.zeros(3, config.cache_samples))
        assert features_BTLC.shape == (3, config.cache_frames, config.audio.layers, config.audio.width)


def test_the_published_sizes_do_not_hear_without_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVIDHEAD_WEIGHTS", str(tmp_path))
    with pytest.raises(VividHeadError, match="weights fetch wav2vec2|pip install"):
        load_audio_encoder(load_config("lite"), tmp_path / "checkpoint")


def test_sizes_that_the_encoder_does_not_give_are_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    config = load_config("nano")
    wrong = replace(config, audio=replace(config.audio, width=80))
    with pytest.raises(ConfigError, match="1 × 80, but log_mel gives 1 × 160"):
        load_audio_encoder(wrong, tmp_path)


@pytest.mark.parametrize("kept", [0, 201])
def test_no_more_features_can_be_asked_for_than_the_window_holds(kept: int) -> None:
    with pytest.raises(AssertionError, match="of the 200"):
        random_audio_encoder(load_config("nano"), 0).features(torch.zeros(1, 128_000), kept)
