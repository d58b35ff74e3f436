"""Draw each picture's colours back to the portrait's, so that a long stream does not fade or tint.

CIE Lab, D65, sRGB (IEC 61966-2-1); per channel the mean and the biased deviation over a picture (Reinhard et al. 2001).
Part of the loop: what is corrected is what the next chunk continues, so its arithmetic is float32 everywhere.
"""

import functools

import torch
from torch import Tensor

_XYZ_OF_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE_XYZ = (0.95047, 1.0, 1.08883)
_KNEE = 0.008856
"""Below it Lab is linear in XYZ."""
MIN_DEVIATION = 1e-6


def lab_of(rgb_B3THW: Tensor) -> Tensor:
    """SRGB 0 … 1 → Lab, any shape with channels second."""
    linear = torch.where(rgb_B3THW > 0.04045, ((rgb_B3THW + 0.055) / 1.055).clamp(min=0) ** 2.4, rgb_B3THW / 12.92)
    x, y, z = _mixed(linear, _matrices(linear.device)[0]).unbind(1)
    f_x, f_y, f_z = (_bent(axis / white) for axis, white in zip((x, y, z), _WHITE_XYZ, strict=True))
    return torch.stack((116 * f_y - 16, 500 * (f_x - f_y), 200 * (f_y - f_z)), 1)


def rgb_of(lab_B3THW: Tensor) -> Tensor:
    """Lab → sRGB, clamped to 0 … 1."""
    lightness, a, b = lab_B3THW.unbind(1)
    f_y = (lightness + 16) / 116
    bent = (f_y + a / 500, f_y, f_y - b / 200)
    xyz = torch.stack([_straight(f) * white for f, white in zip(bent, _WHITE_XYZ, strict=True)], 1)
    linear = _mixed(xyz, _matrices(xyz.device)[1]).clamp(min=0)
    return torch.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear).clamp(0, 1)


@functools.cache
def _matrices(device: torch.device) -> tuple[Tensor, Tensor]:
    """XYZ of linear RGB and back; made once for a device, as nothing may be copied to it inside a CUDA graph."""
    with torch.inference_mode(False):  # kept tensors of inference mode would be refused in any later training
        forth = torch.tensor(_XYZ_OF_RGB, dtype=torch.float64)
        return forth.float().to(device), torch.linalg.inv(forth).float().to(device)


def _mixed(channels_B3THW: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("oc,bc...->bo...", weights, channels_B3THW)


def _bent(ratio: Tensor) -> Tensor:
    return torch.where(ratio > _KNEE, ratio.clamp(min=_KNEE) ** (1 / 3), 7.787 * ratio + 16 / 116)


def _straight(bent: Tensor) -> Tensor:
    return torch.where(bent > 0.2068966, bent**3, (bent - 16 / 116) / 7.787)


def moments(lab_B3THW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased deviation over the pixels of each picture, [B, 3, T, 1, 1]."""
    deviation, mean = torch.std_mean(lab_B3THW, (-2, -1), correction=0, keepdim=True)
    return mean, deviation


def matched(video_B3THW: Tensor, reference: tuple[Tensor, Tensor], strength: float) -> Tensor:
    """Video in -1 … 1 with the Lab moments of the reference; `strength` 0 leaves it, 1 matches wholly."""
    rgb = (video_B3THW.float() + 1) / 2
    lab = lab_of(rgb.clamp(0, 1))
    mean, deviation = moments(lab)
    goal_mean, goal_deviation = reference
    drawn = rgb_of((lab - mean) / deviation.clamp(min=MIN_DEVIATION) * goal_deviation + goal_mean)
    return torch.lerp(rgb, drawn, strength) * 2 - 1


def reference_moments(portrait_B3THW: Tensor) -> tuple[Tensor, Tensor]:
    """Moments of a portrait in -1 … 1 of one picture: what `matched` draws a stream back to."""
    return moments(lab_of((portrait_B3THW.float() + 1) / 2))
