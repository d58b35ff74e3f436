"""What a trainer gets out of a cache: one window, or a batch of them.

Axes as in `loader.sample`, and for latents C channels, T latent frames, H W places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vividhead.loader.sample import Stacked


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentSample:
    """One training window of K chunks."""

    latents_KCTHW: Tensor
    """float16: of each chunk."""
    reference_CTHW: Tensor
    """float16: of a still, its first latent frames; the last of them stands for the rest."""
    masks_KTHW: Tensor
    """uint8: FACE_BIT where a latent shows the face, MOUTH_BIT where the mouth."""
    portrait_HWC: Tensor | None
    """uint8: that still; None unless asked for."""
    audio_KS: Tensor
    """As in `Sample`, which explains the rest too."""
    clip_id: str
    start_frame: int
    reference_frame: int
    epoch: int
    position: int
    stand_in: bool
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentBatch(Stacked):
    """Windows side by side: each field of `LatentSample`, tensors and numbers stacked along B."""

    latents_BKCTHW: Tensor
    reference_BCTHW: Tensor
    masks_BKTHW: Tensor
    portrait_BHWC: Tensor | None
    audio_BKS: Tensor
    clip_id: tuple[str, ...]
    start_frame_B: Tensor
    reference_frame_B: Tensor
    epoch_B: Tensor
    position_B: Tensor
    stand_in_B: Tensor
    about: tuple[Mapping[str, Any], ...]

    def __len__(self) -> int:
        """How many windows."""
        return len(self.clip_id)


def latent_batch(samples: Sequence[LatentSample]) -> LatentBatch:
    """Stack windows."""
    portraits = [s.portrait_HWC for s in samples if s.portrait_HWC is not None]
    return LatentBatch(
        latents_BKCTHW=torch.stack([s.latents_KCTHW for s in samples]),
        reference_BCTHW=torch.stack([s.reference_CTHW for s in samples]),
        masks_BKTHW=torch.stack([s.masks_KTHW for s in samples]),
        portrait_BHWC=torch.stack(portraits) if portraits else None,
        audio_BKS=torch.stack([s.audio_KS for s in samples]),
        clip_id=tuple(s.clip_id for s in samples),
        start_frame_B=torch.tensor([s.start_frame for s in samples]),
        reference_frame_B=torch.tensor([s.reference_frame for s in samples]),
        epoch_B=torch.tensor([s.epoch for s in samples]),
        position_B=torch.tensor([s.position for s in samples]),
        stand_in_B=torch.tensor([s.stand_in for s in samples]),
        about=tuple(s.about for s in samples),
    )
