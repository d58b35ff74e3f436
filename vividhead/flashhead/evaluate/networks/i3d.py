"""I3D on RGB (Carreira and Zisserman 2017), whose 400 logits FVD compares, with the names of its public PyTorch port.

Axes: B batch, C channel, T frames, H W picture.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, interpolate, max_pool3d, pad, relu

CLASSES, FRAMES, SIDE_PX = 400, 16, 224


def _same(x_BCTHW: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """Zeros around it as TensorFlow's `SAME` has them: as many as needed, the odd one at the end."""
    edges: list[int] = []
    for size, reach, step in zip(x_BCTHW.shape[2:], kernel, stride, strict=True):
        short = max(0, reach - (step if size % step == 0 else size % step))
        edges = [short // 2, short - short // 2, *edges]
    return pad(x_BCTHW, edges)


def _most(x_BCTHW: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    return max_pool3d(_same(x_BCTHW, kernel, stride), kernel, stride)


class _Unit(nn.Module):
    def __init__(self, width: int, out: int, side: int = 1, stride: int = 1, is_last: bool = False) -> None:
        super().__init__()
        self._kernel, self._stride = (side, side, side), (stride, stride, stride)
        self.conv3d = nn.Conv3d(width, out, self._kernel, self._stride, bias=is_last)
        self.bn = None if is_last else nn.BatchNorm3d(out, eps=0.001)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        found: Tensor = self.conv3d(_same(x_BCTHW, self._kernel, self._stride))
        return found if self.bn is None else relu(self.bn(found))


class _Mixed(nn.Module):
    def __init__(self, width: int, outs: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        self.b0 = _Unit(width, outs[0])
        self.b1a, self.b1b = _Unit(width, outs[1]), _Unit(outs[1], outs[2], 3)
        self.b2a, self.b2b = _Unit(width, outs[3]), _Unit(outs[3], outs[4], 3)
        self.b3b = _Unit(width, outs[5])

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.b3b(_most(x, (3, 3, 3), (1, 1, 1)))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), pooled], 1)


class I3d(nn.Module):
    """Short stretches of pictures to the logits of Kinetics-400."""

    def __init__(self) -> None:
        """Build it; see `weights_file.loaded` for its weights."""
        super().__init__()
        self.Conv3d_1a_7x7, self.Conv3d_2b_1x1 = _Unit(3, 64, 7, 2), _Unit(64, 64)
        self.Conv3d_2c_3x3 = _Unit(64, 192, 3)
        self.Mixed_3b = _Mixed(192, (64, 96, 128, 16, 32, 32))
        self.Mixed_3c = _Mixed(256, (128, 128, 192, 32, 96, 64))
        self.Mixed_4b = _Mixed(480, (192, 96, 208, 16, 48, 64))
        self.Mixed_4c = _Mixed(512, (160, 112, 224, 24, 64, 64))
        self.Mixed_4d = _Mixed(512, (128, 128, 256, 24, 64, 64))
        self.Mixed_4e = _Mixed(512, (112, 144, 288, 32, 64, 64))
        self.Mixed_4f = _Mixed(528, (256, 160, 320, 32, 128, 128))
        self.Mixed_5b = _Mixed(832, (256, 160, 320, 32, 128, 128))
        self.Mixed_5c = _Mixed(832, (384, 192, 384, 48, 128, 128))
        self.logits = _Unit(1024, CLASSES, is_last=True)

    def forward(self, rgb_BCTHW: Tensor) -> Tensor:
        """Logits (B, 400) of 16 pictures in 0 … 1, of any size."""
        n_frames = rgb_BCTHW.shape[2]
        x = interpolate(rgb_BCTHW, (n_frames, SIDE_PX, SIDE_PX), mode="trilinear", align_corners=False) * 2 - 1
        x = _most(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
        x = _most(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        x = _most(self.Mixed_3c(self.Mixed_3b(x)), (3, 3, 3), (2, 2, 2))
        x = self.Mixed_4f(self.Mixed_4e(self.Mixed_4d(self.Mixed_4c(self.Mixed_4b(x)))))
        x = self.Mixed_5c(self.Mixed_5b(_most(x, (2, 2, 2), (2, 2, 2))))
        found: Tensor = self.logits(avg_pool3d(x, (2, 7, 7), 1)).mean((2, 3, 4))
        return found
