"""Inception v3 as FID has it: the TensorFlow network of 2015-12-05, with the names of its public PyTorch checkpoint.

It differs from other Inceptions in its pools: averages do not count padding, and its last block takes a maximum.

Axes: B batch, C channel, H W picture.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, relu

WIDTH, CLASSES, SIDE_PX = 2048, 1008, 299


class _Conv(nn.Module):
    def __init__(
        self, width: int, out: int, kernel: int | tuple[int, int], stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(width, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x_BCHW)))


def _wide(width: int, out: int, reach: int) -> _Conv:
    return _Conv(width, out, (1, reach), padding=(0, reach // 2))


def _high(width: int, out: int, reach: int) -> _Conv:
    return _Conv(width, out, (reach, 1), padding=(reach // 2, 0))


def _average(x_BCHW: Tensor) -> Tensor:
    return avg_pool2d(x_BCHW, 3, 1, 1, count_include_pad=False)


def _through(x_BCHW: Tensor, *layers: nn.Module) -> Tensor:
    for layer in layers:
        x_BCHW = layer(x_BCHW)
    return x_BCHW


class _A(nn.Module):
    def __init__(self, width: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(width, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = _Conv(width, 48, 1), _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(width, 64, 1), _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(width, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = _through(x, self.branch5x5_1, self.branch5x5_2)
        three = _through(x, self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3)
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(_average(x))], 1)


class _B(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch3x3 = _Conv(288, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(288, 64, 1), _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        three = _through(x, self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3)
        return torch.cat([self.branch3x3(x), three, max_pool2d(x, 3, 2)], 1)


class _C(nn.Module):
    def __init__(self, inner: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(768, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = _Conv(768, inner, 1), _wide(inner, inner, 7)
        self.branch7x7_3 = _high(inner, 192, 7)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = _Conv(768, inner, 1), _high(inner, inner, 7)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = _wide(inner, inner, 7), _high(inner, inner, 7)
        self.branch7x7dbl_5 = _wide(inner, 192, 7)
        self.branch_pool = _Conv(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once = _through(x, self.branch7x7_1, self.branch7x7_2, self.branch7x7_3)
        first = _through(x, self.branch7x7dbl_1, self.branch7x7dbl_2, self.branch7x7dbl_3)
        twice = _through(first, self.branch7x7dbl_4, self.branch7x7dbl_5)
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(_average(x))], 1)


class _D(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = _Conv(768, 192, 1), _Conv(192, 320, 3, 2)
        self.branch7x7x3_1 = _Conv(768, 192, 1)
        self.branch7x7x3_2 = _Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        three = _through(x, self.branch3x3_1, self.branch3x3_2)
        seven = _through(x, self.branch7x7x3_1, self.branch7x7x3_2, self.branch7x7x3_3, self.branch7x7x3_4)
        return torch.cat([three, seven, max_pool2d(x, 3, 2)], 1)


class _E(nn.Module):
    def __init__(self, width: int, is_last: bool) -> None:
        super().__init__()
        self._is_last = is_last
        self.branch1x1, self.branch3x3_1 = _Conv(width, 320, 1), _Conv(width, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = _wide(384, 384, 3), _high(384, 384, 3)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(width, 448, 1), _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = _wide(384, 384, 3), _high(384, 384, 3)
        self.branch_pool = _Conv(width, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once, twice = self.branch3x3_1(x), _through(x, self.branch3x3dbl_1, self.branch3x3dbl_2)
        pooled = max_pool2d(x, 3, 1, 1) if self._is_last else _average(x)
        parts: Sequence[Tensor] = (
            self.branch1x1(x), self.branch3x3_2a(once), self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice), self.branch_pool(pooled),
        )  # fmt: skip
        return torch.cat(list(parts), 1)


class Inception(nn.Module):
    """Pictures to the 2048 features that FID compares."""

    def __init__(self) -> None:
        """Build it; `fc`, the classes, is in the checkpoint and not computed."""
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = _Conv(3, 32, 3, 2), _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = _Conv(64, 80, 1), _Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
        self.Mixed_6a, self.Mixed_6b, self.Mixed_6c = _B(), _C(128), _C(160)
        self.Mixed_6d, self.Mixed_6e, self.Mixed_7a = _C(160), _C(192), _D()
        self.Mixed_7b, self.Mixed_7c = _E(1280, is_last=False), _E(2048, is_last=True)
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, rgb_BCHW: Tensor) -> Tensor:
        """Features (B, 2048) of pictures in 0 … 1, of any size."""
        x = interpolate(rgb_BCHW, (SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False) * 2 - 1
        x = max_pool2d(_through(x, self.Conv2d_1a_3x3, self.Conv2d_2a_3x3, self.Conv2d_2b_3x3), 3, 2)
        x = max_pool2d(_through(x, self.Conv2d_3b_1x1, self.Conv2d_4a_3x3), 3, 2)
        x = _through(x, self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, self.Mixed_6a, self.Mixed_6b, self.Mixed_6c)
        x = _through(x, self.Mixed_6d, self.Mixed_6e, self.Mixed_7a, self.Mixed_7b, self.Mixed_7c)
        return x.mean((2, 3))
