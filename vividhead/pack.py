"""From kept clips to the members of a shard: one forward decode for a run of clips, one encode each."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import MediaError
from vividhead.media import ClipWriter, EncodeOptions, flac, pictures, sound
from vividhead.pipeline import Pipeline
from vividhead.plain import npz
from vividhead.records import GRID_FPS, SAMPLES_PER_FRAME, Clip, Source
from vividhead.shards import tar_bytes

JOIN_FRAMES = 10 * GRID_FPS
"""Clips nearer than this are read in one go: decoding the pause is about as dear as seeking a key frame."""


@dataclass(slots=True)
class _Open:
    clip: Clip
    writer: ClipWriter
    audio_S: NDArray[np.float32]


def encode_clips(
    path: Path,
    source: Source,
    clips: Sequence[Clip],
    arrays: Mapping[str, Mapping[str, NDArray[np.generic]]],
    pipeline: Pipeline,
    beat: Callable[[], None],
) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Yield (clip_id, tar fragment with its members, record of their sizes and digests) for each clip.

    `arrays` holds what was kept of each clip: `landmarks`, embeddings. The sound is the clip's 640 T samples.
    """
    p = pipeline.pack
    options = EncodeOptions(side_px=p.side_px, crf=p.crf, preset=p.preset, gop_frames=p.gop_frames, aac_kbps=p.aac_kbps)
    for run in _runs(clips):
        waiting = sorted(run, key=lambda c: (c.start_frame, c.clip_id))
        first, last = waiting[0].start_frame, max(c.end_frame for c in waiting)
        going: list[_Open] = []
        for grid in pictures(path, source, first, last, pipeline.track.max_picture_gap_s):
            beat()
            while waiting and waiting[0].start_frame == grid.frame:
                clip = waiting.pop(0)
                audio_S = sound(path, source, clip.start_frame, clip.end_frame)
                going.append(_Open(clip, ClipWriter(clip.crop_xyxy_px, audio_S, options), audio_S))
            for item in going:
                if grid.picture is None:
                    raise MediaError("failed.changed", f"no picture at frame {grid.frame}, where there was one before")
                item.writer.add(grid.picture)
            for item in [i for i in going if i.clip.end_frame == grid.frame + 1]:
                going.remove(item)
                yield _fragment(item, arrays[item.clip.clip_id])


def _runs(clips: Sequence[Clip]) -> list[list[Clip]]:
    runs: list[list[Clip]] = []
    reach = -JOIN_FRAMES
    for clip in sorted(clips, key=lambda c: (c.start_frame, c.clip_id)):
        if not runs or clip.start_frame - reach > JOIN_FRAMES:
            runs.append([])
        runs[-1].append(clip)
        reach = max(reach, clip.end_frame)
    return runs


def _fragment(item: _Open, arrays: Mapping[str, NDArray[np.generic]]) -> tuple[str, bytes, dict[str, Any]]:
    clip = item.clip
    mp4 = item.writer.finish()
    assert item.writer.n_frames == clip.n_frames and len(item.audio_S) == clip.n_frames * SAMPLES_PER_FRAME
    members = {"mp4": mp4, "flac": flac(item.audio_S), "landmarks.npz": npz(arrays)}
    record = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in members.items()}
    named = [(f"{clip.clip_id}.{name}", data) for name, data in members.items()]
    return clip.clip_id, tar_bytes(named), {"clip_id": clip.clip_id, "members": record}
