"""Which clips a model never learns from, and the windows that are made of the others: the same for whoever asks."""

import hashlib
from dataclasses import dataclass

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.loader import ShardDataset, WindowPlan
from vividhead.loader.folder import Folder
from vividhead.loader.split import in_split, kept_from_training


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Clip ids that training does without."""

    judged_by: list[str]
    """Validation's; none where a single clip is left."""
    unlearned: list[str]
    """These, and the clips of parts that are not `train`."""


def plan_of(config: FlashHeadConfig, chunks: int) -> WindowPlan:
    """The windows that a stage reads."""
    return WindowPlan(
        chunks=chunks,
        frames_per_chunk=config.stream.frames_per_chunk,
        motion_frames=config.motion_frames,
        audio_s=config.audio.cache_s,
    )


def held_out(dataset: str, config: FlashHeadConfig, share: float) -> HeldOut:
    """What is kept back: of a dataset that `vividhead split` parted, all but `train`, and `val` is what is judged by.

    Where there is no such part, `share` of the clips: those whose hash is lowest, so that more footage changes few of
    them. Chosen among the clips that stage 1 can use, whatever stage asks: none learns from what another judged by.
    Raises DatasetError where clips came after the split.
    """
    clips, folder = ShardDataset(dataset, plan_of(config, 1), side_px=32).clip_ids, Folder(dataset)
    val, test = kept_from_training(folder)
    if val or test:
        in_split(folder, folder.manifest(), "val" if val else "test")
    judged_by = sorted(set(clips) & set(val))
    if not judged_by:
        left = sorted(set(clips) - set(test), key=lambda clip: hashlib.sha256(clip.encode()).digest())
        judged_by = left[: max(1, round(share * len(left)))] if share and len(left) > 1 else []
    return HeldOut(judged_by, sorted({*judged_by, *val, *test}))
