"""What a trainer gets: one window, or a batch of them.

Axes: B batch, K chunk, T frame, H W picture, C colour (RGB), P mesh point, X (x, y, z), S sound sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One training window, see `WindowPlan`."""

    video_THWC: Tensor
    """uint8, 0 … 255: the window's frames. Chunk k begins at frame k * new_frames of it."""
    reference_HWC: Tensor
    """uint8: a frame of the same clip, near the window and never in it."""
    audio_KS: Tensor
    """float32, -1 … 1, 16 kHz: for each chunk the sound up to its end, zeros before the clip's beginning."""
    landmarks_TPX: Tensor | None
    """float32, px of the video at hand, (T, 478, 3), NaN where unknown; None unless asked for."""
    clip_id: str
    start_frame: int
    """First frame of the window in its clip."""
    reference_frame: int
    """Of the reference in the clip."""
    epoch: int
    position: int
    """Among all windows since the first epoch's first, over all ranks and workers."""
    stand_in: bool
    """The window at this position could not be read (it is logged); this is the next one in the order that can be.
    It is also read at its own position."""
    about: Mapping[str, Any]
    """The manifest's columns that were asked for."""


class Stacked:
    """A dataclass of tensors and other values, and how it moves between devices."""

    __slots__ = ()

    def _tensors(self) -> dict[str, Tensor]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in named.items() if isinstance(value, Tensor)}

    def pin_memory(self) -> Self:
        """A copy in page-locked memory; DataLoader calls this."""
        pinned: dict[str, Any] = {name: value.pin_memory() for name, value in self._tensors().items()}
        return replace(self, **pinned)  # type: ignore[type-var]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """A copy whose tensors are on a device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=non_blocking) for name, value in self._tensors().items()
        }
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Stacked):
    """Windows side by side: each field of `Sample`, tensors and numbers stacked along B, the others as tuples."""

    video_BTHWC: Tensor
    reference_BHWC: Tensor
    audio_BKS: Tensor
    landmarks_BTPX: Tensor | None
    clip_id: tuple[str, ...]
    start_frame_B: Tensor
    """int64, as are the other numbers."""
    reference_frame_B: Tensor
    epoch_B: Tensor
    position_B: Tensor
    stand_in_B: Tensor
    """bool."""
    about: tuple[Mapping[str, Any], ...]

    def __len__(self) -> int:
        """How many windows."""
        return len(self.clip_id)


def batched(samples: Sequence[Sample]) -> Batch:
    """Stack windows; the `collate_fn` of a DataLoader over a ShardDataset."""
    meshes = [s.landmarks_TPX for s in samples if s.landmarks_TPX is not None]
    return Batch(
        video_BTHWC=torch.stack([s.video_THWC for s in samples]),
        reference_BHWC=torch.stack([s.reference_HWC for s in samples]),
        audio_BKS=torch.stack([s.audio_KS for s in samples]),
        landmarks_BTPX=torch.stack(meshes) if meshes else None,
        clip_id=tuple(s.clip_id for s in samples),
        start_frame_B=torch.tensor([s.start_frame for s in samples]),
        reference_frame_B=torch.tensor([s.reference_frame for s in samples]),
        epoch_B=torch.tensor([s.epoch for s in samples]),
        position_B=torch.tensor([s.position for s in samples]),
        stand_in_B=torch.tensor([s.stand_in for s in samples]),
        about=tuple(s.about for s in samples),
    )
