"""The reference's own numbers, through the score and its real loading code."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.nn.functional import interpolate

from tests.parity import Parity
from vividhead.backends import syncnet
from vividhead.score import Unmeasurable, score_class
from vividhead.testing.media import ArrayClipMedia


@dataclass
class Views:
    """A clip whose faces are already cut as SyncNet looks at them."""

    faces_THWC: NDArray[np.uint8]
    audio_S: NDArray[np.float32]
    syncnet_every_frames: int = 1

    @property
    def clip(self) -> SimpleNamespace:
        return SimpleNamespace(n_frames=len(self.faces_THWC))

    def faces(self, step: int = 1) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        yield from enumerate(self.faces_THWC[::step])


@pytest.fixture
def weights(parity: Parity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = syncnet.SyncNet()
    parity.fill_module(made)
    (tmp_path / "syncnet").mkdir()
    save_file(made.state_dict(), tmp_path / "syncnet" / "syncnet_v2.safetensors")
    monkeypatch.setenv("VIVIDHEAD_WEIGHTS", str(tmp_path))


@pytest.fixture
def clip(parity: Parity, monkeypatch: pytest.MonkeyPatch) -> Views:
    small = parity.noise("syncnet.face", (40, 14, 14, 3), 60).add(120).clamp(0, 255).round()
    faces = interpolate(small.permute(0, 3, 1, 2), (224, 224), mode="bilinear", align_corners=False).round()
    wave_S = parity.noise("syncnet.wave", (32000,)).cumsum(0)
    pcm_S = ((wave_S - wave_S.mean()) / wave_S.abs().max() * 20000).round().numpy()
    monkeypatch.setattr(syncnet, "face_of", lambda view_HWC, scale: view_HWC)
    return Views(faces.permute(0, 2, 3, 1).to(torch.uint8).numpy(), (pcm_S / 32768).astype(np.float32))


@pytest.mark.usefixtures("weights")
def test_lse_c_lse_d_and_offset_are_the_references(parity: Parity, clip: Views) -> None:
    got = score_class("lip_sync_syncnet")().measure(clip)  # type: ignore[arg-type]
    expected = parity.outputs("syncnet")
    assert got["offset_frames"] == int(expected["offset"])
    assert got["lse_d"] == pytest.approx(float(expected["min_distance"]), rel=1e-5)
    assert got["lse_c"] == pytest.approx(float(expected["confidence"]), abs=2e-3)
    assert got["windows"] == 35


@pytest.mark.usefixtures("weights")
def test_of_windows_that_are_not_asked_for_none_is_read(clip: Views) -> None:
    score = score_class("lip_sync_syncnet")()
    every = score.measure(clip)  # type: ignore[arg-type]
    clip.syncnet_every_frames = 5
    fifth = score.measure(clip)  # type: ignore[arg-type]
    assert fifth["windows"] == 7
    assert fifth["lse_d"] != every["lse_d"]
    assert fifth["lse_d"] == pytest.approx(every["lse_d"], rel=0.1)


@pytest.mark.usefixtures("weights")
def test_a_clip_of_under_a_second_and_a_half_is_unmeasurable() -> None:
    grey = np.full((35, 64, 64, 3), 128, np.uint8)
    with pytest.raises(Unmeasurable, match="30 windows"):
        score_class("lip_sync_syncnet")().measure(ArrayClipMedia(grey, box_xyxy_px_T4=np.array([[20, 20, 44, 44]])))
