"""Light-ASD (Liao et al., CVPR 2023): is this face speaking, frame by frame?

A face's lower half and the sound become 128 features a frame each; their sum goes through two recurrent layers.

Axes: B batch, C channel, T frames at 25 fps, H W picture, N steps of sound (10 ms), K 13 coefficients.
"""

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import gelu, relu

from vividhead.backends.mfcc import COEFFICIENTS, mfcc
from vividhead.backends.syncnet import FACE_PX, face_of
from vividhead.records import SAMPLES_PER_FRAME

VIEW_PX = 112
STEPS_PER_FRAME = 4
PIECE_FRAMES = 250
"""A longer talk is read in pieces of about this length, to bound memory."""
_MEAN, _SPREAD = 0.4161, 0.1688  # of the grey levels that it was trained on, in 0 … 1
_NORM = 0.001

Floats = NDArray[np.float32]


class LightAsd(nn.Module):
    """The network with the names of the published state dict."""

    def __init__(self) -> None:
        """Build it; see `weights_file.loaded` for its weights."""
        super().__init__()
        self.model = nn.ModuleDict({"visualEncoder": _Sight(), "audioEncoder": _Hearing(), "GRU": _BothWays(128)})
        self.lossAV = nn.ModuleDict({"FC": nn.Linear(128, 2)})
        self.lossV = nn.ModuleDict({"FC": nn.Linear(128, 2)})

    def forward(self, faces_BTHW: Tensor, mfcc_BNK: Tensor) -> Tensor:
        """Logits (B, T, 2) of silent and speaking, of grey faces in 0 … 255 and four steps of sound a frame."""
        faces = (faces_BTHW[:, None] / 255 - _MEAN) / _SPREAD
        joined_BTC = self.model["visualEncoder"](faces) + self.model["audioEncoder"](mfcc_BNK.transpose(1, 2)[:, None])
        found: Tensor = self.lossAV["FC"](self.model["GRU"](joined_BTC))
        return found


class _Block(nn.Module):
    """Two views of the same input, narrow and wide, each over place and then over time; summed and mixed."""

    def __init__(self, place: str, width: int, out: int, *, deep: bool, stride: int = 1) -> None:
        super().__init__()
        self._place = place
        for size in (3, 5):
            reach = size // 2
            over_place: nn.Module
            over_time: nn.Module
            if deep:
                step, pad = (1, stride, stride), (0, reach, reach)
                over_place = nn.Conv3d(width, out, (1, size, size), step, pad, bias=False)
                over_time = nn.Conv3d(out, out, (size, 1, 1), padding=(reach, 0, 0), bias=False)
            else:
                over_place = nn.Conv2d(width, out, (size, 1), padding=(reach, 0), bias=False)
                over_time = nn.Conv2d(out, out, (1, size), padding=(0, reach), bias=False)
            self._add(f"{place}_{size}", over_place, out, deep)
            self._add(f"t_{size}", over_time, out, deep)
        self._add("last", nn.Conv3d(out, out, 1, bias=False) if deep else nn.Conv2d(out, out, 1, bias=False), out, deep)

    def _add(self, name: str, conv: nn.Module, out: int, deep: bool) -> None:
        self.add_module(name, conv)
        self.add_module(f"bn_{name}", nn.BatchNorm3d(out, eps=_NORM) if deep else nn.BatchNorm2d(out, eps=_NORM))

    def _step(self, name: str, x: Tensor) -> Tensor:
        return relu(self.get_submodule(f"bn_{name}")(self.get_submodule(name)(x)))

    def forward(self, x: Tensor) -> Tensor:
        narrow, wide = (self._step(f"t_{size}", self._step(f"{self._place}_{size}", x)) for size in (3, 5))
        return self._step("last", narrow + wide)


class _Sight(nn.Module):
    """(B, 1, T, H, W) → (B, T, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = _Block("s", 1, 32, deep=True, stride=2)
        self.block2 = _Block("s", 32, 64, deep=True)
        self.block3 = _Block("s", 64, 128, deep=True)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.block3(self.pool(self.block2(self.pool(self.block1(x)))))
        return x.amax((3, 4)).transpose(1, 2)


class _Hearing(nn.Module):
    """(B, 1, K, N) → (B, N ÷ 4, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = _Block("m", 1, 32, deep=False)
        self.block2 = _Block("m", 32, 64, deep=False)
        self.block3 = _Block("m", 64, 128, deep=False)
        self.pool = nn.MaxPool2d((1, 3), (1, 2), (0, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.block3(self.pool(self.block2(self.pool(self.block1(x)))))
        return x.mean(2).transpose(1, 2)


class _BothWays(nn.Module):
    """Through time, and then back over what was found."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gru_forward = nn.GRU(width, width, batch_first=True)
        self.gru_backward = nn.GRU(width, width, batch_first=True)

    def forward(self, x_BTC: Tensor) -> Tensor:
        there_BTC = gelu(self.gru_forward(x_BTC)[0]).flip(1)
        return gelu(self.gru_backward(there_BTC)[0].flip(1))


def view_of(crop_HWC: NDArray[np.uint8], crop_scale: float) -> NDArray[np.uint8]:
    """Light-ASD's view, grey of 112 px: the middle of SyncNet's, out of an RGB square `crop_scale` face boxes wide."""
    edge = (FACE_PX - VIEW_PX) // 2
    middle_HWC = face_of(crop_HWC, crop_scale)[edge:-edge, edge:-edge]
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(middle_HWC), cv2.COLOR_BGR2GRAY))


def logits_T2(network: LightAsd, views: Iterator[NDArray[np.uint8]], audio_S: Floats) -> Floats:
    """(T, 2) of silent and speaking; as many frames as `audio_S` at 16 kHz owns."""
    n_frames = len(audio_S) // SAMPLES_PER_FRAME
    pcm_S = np.clip(np.round(audio_S * 32768), -32768, 32767).astype(np.int16)
    steps_NK = mfcc(pcm_S).astype(np.float32)[: n_frames * STEPS_PER_FRAME]
    short = n_frames * STEPS_PER_FRAME - len(steps_NK)  # the last window overhangs the sound
    steps_NK = np.pad(steps_NK, ((0, short), (0, 0)), mode="edge").reshape(-1, COEFFICIENTS)
    device = next(network.parameters()).device
    found = []
    n_pieces = max(1, round(n_frames / PIECE_FRAMES))
    edges = [n_frames * k // n_pieces for k in range(n_pieces + 1)]
    for begin, end in pairwise(edges):
        faces_THW = np.stack([next(views) for _ in range(begin, end)])
        steps = steps_NK[begin * STEPS_PER_FRAME : end * STEPS_PER_FRAME]
        with torch.inference_mode():
            given = (torch.from_numpy(part)[None].to(device, torch.float32) for part in (faces_THW, steps))
            found.append(network(*given)[0].cpu().numpy())
    return np.concatenate(found)
