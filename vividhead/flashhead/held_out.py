"""Which clips a model never learns from, and the windows that are made of the others: the same for whoever asks."""

import hashlib

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.loader import ShardDataset, WindowPlan


def plan_of(config: FlashHeadConfig, chunks: int) -> WindowPlan:
    """The windows that a stage reads."""
    return WindowPlan(
        chunks=chunks,
        frames_per_chunk=config.stream.frames_per_chunk,
        motion_frames=config.motion_frames,
        audio_s=config.audio.cache_s,
    )


def held_out(dataset: str, config: FlashHeadConfig, share: float) -> list[str]:
    """Clip ids kept for validation: those whose hash is lowest, so that more footage changes few of them.

    Chosen among the clips that stage 1 can use, whatever stage asks: none learns from what another judged by.
    """
    clips = ShardDataset(dataset, plan_of(config, 1), side_px=32).clip_ids
    count = max(1, round(share * len(clips))) if share and len(clips) > 1 else 0
    return sorted(clips, key=lambda clip: hashlib.sha256(clip.encode()).digest())[:count]
