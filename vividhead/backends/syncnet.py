"""SyncNet (Chung and Zisserman 2016): how far lips and sound lie apart, as LSE-D and LSE-C are reported.

Five pictures of a mouth and 0.2 s of sound become a point each; the closer the two, the better they fit.

Axes: T frames at 25 fps, N windows (one from each frame on), D 1024 dimensions, K 31 shifts, S samples at 16 kHz,
B batch, C channel, H W picture.
"""

from collections import deque
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pairwise_distance
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vividhead.backends.mfcc import mfcc
from vividhead.backends.onnx_file import onnx_of, session
from vividhead.records import SAMPLES_PER_FRAME

FACE_PX, WINDOW_FRAMES, WINDOW_STEPS, STEPS_PER_FRAME = 224, 5, 20, 4
SHIFT_FRAMES = 15
WIDTH = 1024
BATCH = 10
CROP_SCALE = 0.4
"""The reference's margin around a face box, in box sides; none above it, twice as much below."""

Floats = NDArray[np.float32]


class SyncNet(nn.Module):
    """Both branches, with the names of the published state dict."""

    def __init__(self) -> None:
        """Build it; see `weights_file.loaded` for its weights."""
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_flat(1, 64), nn.MaxPool2d(1, 1),
            *_flat(64, 192), nn.MaxPool2d(3, (1, 2)),
            *_flat(192, 384), *_flat(384, 256), *_flat(256, 256), nn.MaxPool2d(3, 2),
            *_flat(256, 512, (5, 4), 0),
        )  # fmt: skip
        self.netfcaud = _head()
        self.netcnnlip = nn.Sequential(
            *_deep(3, 96, (5, 7, 7), (1, 2, 2), 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(96, 256, (1, 5, 5), (1, 2, 2)), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_deep(256, 256), *_deep(256, 256), *_deep(256, 256), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(256, 512, (1, 6, 6), (1, 1, 1), 0),
        )  # fmt: skip
        self.netfclip = _head()

    def lips(self, faces_BCTHW: Tensor) -> Tensor:
        """Points (B, D) of five pictures each, BGR in 0 … 255, 224 px."""
        found: Tensor = self.netfclip(self.netcnnlip(faces_BCTHW).flatten(1))
        return found

    def sounds(self, mfcc_B1KN: Tensor) -> Tensor:
        """Points (B, D) of 20 steps of 13 coefficients each."""
        found: Tensor = self.netfcaud(self.netcnnaud(mfcc_B1KN).flatten(1))
        return found


def _flat(width: int, out: int, kernel: tuple[int, int] = (3, 3), padding: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(width, out, kernel, padding=padding), nn.BatchNorm2d(out), nn.ReLU()]


def _deep(
    width: int, out: int, kernel: tuple[int, int, int] = (1, 3, 3), stride: tuple[int, int, int] = (1, 1, 1),
    padding: int = 1,
) -> list[nn.Module]:  # fmt: skip
    conv = nn.Conv3d(width, out, kernel, stride, (0, padding, padding))
    return [conv, nn.BatchNorm3d(out), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, WIDTH))


def flat_lips(network: SyncNet) -> nn.Sequential:
    """The lips' branch as convolutions over pictures, batch norm folded into them: the same points, cheaper on a CPU.

    The first layer sees all five pictures at once and every later one works picture by picture, so a window shares no
    work with its neighbours, and five pictures of 3 channels are one of 15. Takes (B, 15, H, W), channels outermost.
    """
    layers: list[nn.Module] = []
    parts = iter(deepcopy(network.netcnnlip))
    for part in parts:
        if isinstance(part, nn.Conv3d):
            norm = next(parts)
            assert isinstance(norm, nn.BatchNorm3d)
            layers.append(_flattened(fuse_conv_bn_eval(part, norm)))
        elif isinstance(part, nn.MaxPool3d):
            assert not isinstance(part.kernel_size, int) and not isinstance(part.stride, int)
            padding = part.padding if isinstance(part.padding, int) else part.padding[1:]
            layers.append(nn.MaxPool2d(part.kernel_size[1:], part.stride[1:], padding))
        else:
            layers.append(part)
    flat = nn.Sequential(*layers, nn.Flatten(), network.netfclip).eval().requires_grad_(False)
    for layer in flat:
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    return flat


def _flattened(conv: nn.Conv3d) -> nn.Conv2d:
    weight = conv.weight.flatten(1, 2)
    _, *kernel = conv.kernel_size
    _, *stride = conv.stride
    flat = nn.Conv2d(weight.shape[1], weight.shape[0], (kernel[0], kernel[1]), (stride[0], stride[1]))
    assert not isinstance(conv.padding, str)
    flat.padding = tuple(conv.padding[1:])
    flat.weight, flat.bias = nn.Parameter(weight.detach()), conv.bias
    return flat.to(weight.device)


Lips = Callable[[NDArray[np.uint8]], Floats]
"""Five pictures of each window (B, T, H, W, C), BGR of 224 px → points (B, D)."""


@lru_cache(maxsize=1)
def lips_of(network: SyncNet) -> Lips:
    """The lips' branch ready to run: by ONNX Runtime on a CPU, which is given a window at a time, else by torch."""
    device, flat = next(network.parameters()).device, flat_lips(network)
    if device.type == "cpu":
        opened = session(onnx_of(flat, "lips", (3 * WINDOW_FRAMES, FACE_PX, FACE_PX), WIDTH))

        def by_onnx_runtime(faces_BTHWC: NDArray[np.uint8]) -> Floats:
            inputs = (_flat_faces(faces_THWC[None]) for faces_THWC in faces_BTHWC)
            return np.concatenate([opened.run(None, {"x": one_BCHW})[0] for one_BCHW in inputs])

        return by_onnx_runtime

    def by_torch(faces_BTHWC: NDArray[np.uint8]) -> Floats:
        faces_BCHW = torch.from_numpy(_flat_faces(faces_BTHWC)).to(device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return np.asarray(flat(faces_BCHW).cpu().numpy())

    return by_torch


def _flat_faces(faces_BTHWC: NDArray[np.uint8]) -> Floats:
    """Five pictures of 3 channels as one of 15, channels outermost."""
    faces_BCTHW = faces_BTHWC.transpose(0, 4, 1, 2, 3).astype(np.float32)
    return faces_BCTHW.reshape(len(faces_BCTHW), -1, *faces_BCTHW.shape[3:])


class LipReader:
    """Takes a talk's faces one by one, and holds five of them and their points."""

    def __init__(self, network: SyncNet, every: int = 1) -> None:
        """Begin with no face; of the windows, one from each frame on, only one in `every` is read."""
        self._lips, self._every = lips_of(network), every
        self._last: deque[NDArray[np.uint8] | None] = deque(maxlen=WINDOW_FRAMES)
        self._waiting: list[tuple[int, NDArray[np.uint8]]] = []
        self._points: list[Floats] = []

    def add(self, face_HWC: NDArray[np.uint8] | None) -> None:
        """The next frame's face, BGR of 224 px; None where there is none."""
        self._last.append(face_HWC)
        if len(self._last) < WINDOW_FRAMES:
            return
        seen = [face for face in self._last if face is not None]
        self._points.append(np.full(WIDTH, np.nan, np.float32))
        if len(seen) == WINDOW_FRAMES and (len(self._points) - 1) % self._every == 0:
            self._waiting.append((len(self._points) - 1, np.stack(seen)))
        if len(self._waiting) == BATCH:
            self._read()

    def points_ND(self) -> Floats:
        """A point from each frame on whose five pictures are there; NaN where a face is missing or it was not read.

        The last five frames begin none: the reference leaves out one window more than it must.
        """
        self._read()
        return np.array(self._points[:-1], np.float32).reshape(-1, WIDTH)

    def _read(self) -> None:
        if not self._waiting:
            return
        points_BD = self._lips(np.stack([faces for _, faces in self._waiting]))
        for (window, _), point_D in zip(self._waiting, points_BD, strict=True):
            self._points[window] = point_D
        self._waiting.clear()


def face_of(crop_HWC: NDArray[np.uint8], crop_scale: float) -> NDArray[np.uint8]:
    """SyncNet's view, BGR of 224 px, out of an RGB square that is `crop_scale` face boxes wide around the box."""
    side = len(crop_HWC)
    half_box = side / crop_scale / 2
    assert crop_scale + 1e-6 >= 1 + 2 * CROP_SCALE, "what it looks at lies within the crop"
    reach = half_box * (1 + CROP_SCALE)
    grid = FACE_PX / (2 * reach)
    left, top = side / 2 - reach, side / 2 - half_box
    # Centres of pixels map onto centres, as in any resize.
    turn = np.array([[grid, 0, (0.5 - left) * grid - 0.5], [0, grid, (0.5 - top) * grid - 0.5]])
    view = cv2.warpAffine(crop_HWC, turn, (FACE_PX, FACE_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view[:, :, ::-1], np.uint8)


def sound_points_ND(network: SyncNet, audio_S: Floats) -> Floats:
    """A point for the 0.2 s from each frame on, as many as `LipReader.points_ND` has of as many frames."""
    n_windows = len(audio_S) // SAMPLES_PER_FRAME - WINDOW_FRAMES
    if n_windows < 1:
        return np.zeros((0, WIDTH), np.float32)
    pcm_S = np.clip(np.round(audio_S * 32768), -32768, 32767).astype(np.int16)
    steps_KN = torch.from_numpy(mfcc(pcm_S).T.astype(np.float32))
    windows_BKN = steps_KN.unfold(1, WINDOW_STEPS, STEPS_PER_FRAME)[:, :n_windows].transpose(0, 1)
    device = next(network.parameters()).device
    with torch.inference_mode():
        points = [network.sounds(part[:, None].to(device)).cpu() for part in windows_BKN.split(20 * BATCH)]
    return np.asarray(torch.cat(points).numpy())


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well lips and sound fit."""

    offset_frames: int
    """Positive: the picture is later than the sound, as the reference has it."""
    lse_c: float
    """Median of the mean distances at all shifts minus the least: the more, the surer."""
    lse_d: float
    """The least mean distance."""
    mean_distance_K: Floats
    """At the sound's shifts of -15 … 15 frames."""


def fit(lips_ND: Floats, sounds_ND: Floats) -> Fit:
    """Hold points against each other at every shift; windows whose lips are unknown are left out, as are surplus ones.

    Beyond either end of the sound stands the zero vector, as in the reference.
    """
    n = min(len(lips_ND), len(sounds_ND))
    seen_N = np.isfinite(lips_ND[:n, 0])
    assert seen_N.any()
    lips = torch.from_numpy(lips_ND[:n][seen_N])
    padded = torch.from_numpy(np.pad(sounds_ND[:n], ((SHIFT_FRAMES, SHIFT_FRAMES), (0, 0))))
    rows = torch.from_numpy(np.flatnonzero(seen_N))
    distances = [pairwise_distance(lips, padded[rows + shift]).mean() for shift in range(2 * SHIFT_FRAMES + 1)]
    mean_K = torch.stack(distances)
    least = int(mean_K.argmin())
    return Fit(
        offset_frames=SHIFT_FRAMES - least,
        lse_c=float(mean_K.median() - mean_K[least]),
        lse_d=float(mean_K[least]),
        mean_distance_K=mean_K.numpy(),
    )
