"""Whole models: what is loaded, onto what, and what is said before anything large is read."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.flashhead.stubs import tiny_flashhead
from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.config import FlashHeadConfig, load_config
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.model import flashhead
from vividhead.flashhead.model.checkpoint import TENSORS_FILE, export_dit, model_folder
from vividhead.flashhead.model.codecs.linear import frequency_codec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.flashhead import compiled, load_flashhead, random_flashhead
from vividhead.flashhead.model.fresh import initialise
from vividhead.weights import digest


@pytest.fixture
def config() -> FlashHeadConfig:
    """Nano with one narrow block."""
    nano = load_config("nano")
    dit = replace(nano.dit, dim=24, ffn_dim=32, heads=2, layers=1)
    return replace(nano, dit=dit, stream=replace(nano.stream, side_px=32))


@pytest.fixture
def folder(config: FlashHeadConfig, tmp_path: Path) -> Path:
    export_dit(initialise(Dit(config), 1), tmp_path)
    codec = config.codec
    frequency_codec(codec.stride_frames, codec.stride_px, config.dit.latent_channels).save(tmp_path)
    return tmp_path


def test_a_checkpoint_folder_speaks_as_the_model_that_was_saved(config: FlashHeadConfig, folder: Path) -> None:
    loaded, fresh = load_flashhead(folder, device="cpu"), random_flashhead(config, 1, "cpu")
    assert (loaded.config, loaded.random_weights, fresh.random_weights) == (config, False, True)
    assert loaded.checkpoint_sha256 == digest(model_folder(folder, config) / TENSORS_FILE)
    portrait = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    chunks = [Engine(model).open(portrait, 3, as_it_is=True).next_chunk() for model in (loaded, fresh)]
    assert chunks[0] is not None
    assert chunks[1] is not None
    assert np.abs(chunks[0].frames_THWC.astype(int) - chunks[1].frames_THWC.astype(int)).max() <= 1


def test_what_goes_with_a_model_is_missed_before_its_largest_file_is_read(
    folder: Path, config: FlashHeadConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "Codec_Linear" / "codec.safetensors").unlink()
    monkeypatch.setattr(flashhead, "import_dit", lambda *_: pytest.fail("the transformer was read"))
    with pytest.raises(VividHeadError, match="linear video codec"):
        load_flashhead(folder)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_told_in_words(folder: Path, config: FlashHeadConfig) -> None:
    with pytest.raises(UsageError, match="sees no GPU here"):
        load_flashhead(folder, device="cuda")
    with pytest.raises(UsageError, match="sees no GPU here"):
        random_flashhead(config, device="cuda:1")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
@pytest.mark.filterwarnings("ignore")  # the compiler warns of itself
def test_a_compiled_model_makes_the_same_pictures_but_for_roundings() -> None:
    portrait = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    frames = []
    for model in (tiny_flashhead(), compiled(tiny_flashhead())):
        stream = Engine(model).open(portrait, 0, as_it_is=True)
        chunk = stream.next_chunk()
        assert chunk is not None
        frames.append(chunk.frames_THWC.astype(int))
    assert frames[0].std() > 0
    assert np.abs(frames[0] - frames[1]).max() <= 1
