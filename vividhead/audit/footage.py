"""Clips on the way back to their media: a kept one out of its shard, any other out of the footage it was found in."""

import hashlib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vividhead.audit.tables import Tables
from vividhead.errors import MediaError
from vividhead.media import ClipWriter, EncodeOptions, pictures, probe, sound
from vividhead.media.decode import Planes, rgb_from_i420
from vividhead.media.window import window_pictures
from vividhead.records import Listed, Source

MAX_GAP_S = 0.5
"""A longer hole in the footage is none of a clip, as `track.max_picture_gap_s` has it; before it the picture stays."""

Row = Mapping[str, Any]
"""A row of a table, column → value."""


def reachable(source: Row) -> Path:
    """The footage behind a row of sources.parquet, or MediaError saying in words why it is not there."""
    path = Path(source["uri"])
    try:
        size = path.stat().st_size if path.is_file() else None
    except (OSError, ValueError) as fault:
        raise MediaError("source.unreachable", f"{source['uri']} cannot be read here: {fault}") from fault
    if size is None:
        raise MediaError("source.unreachable", f"{source['uri']} is not on this machine")
    if size != source["bytes"]:
        raise MediaError("source.changed", f"{source['uri']} has {size} bytes now and had {source['bytes']}")
    return path


def source_of(source: Row) -> Source:
    """The source as ingest saw it: the table does not hold all that cutting needs, so it is probed again."""
    found = probe(reachable(source))
    return Source(
        source_id=source["source_id"], listed=Listed(uri=source["uri"]), outcome="ready", n_frames=found.n_frames,
        duration_s=found.duration_s, zero_s_in_container=found.zero.as_integer_ratio(), width_px=found.width_px,
        height_px=found.height_px, fps=found.fps, rotation_deg=found.rotation_deg, sample_aspect=found.sample_aspect,
        interlaced=found.interlaced, audio_rate_hz=found.audio_rate_hz,
    )  # fmt: skip


def still_from_source(source: Row, clip: Row, side_px: int) -> NDArray[np.uint8]:
    """The middle picture of a candidate as RGB (H, W, C), cropped as it would be packed."""
    about, middle = source_of(source), (clip["start_frame"] + clip["end_frame"]) // 2
    with closing(pictures(Path(source["uri"]), about, middle, middle + 1, MAX_GAP_S)) as run:  # type: ignore[type-var]
        grid = next(run)
    if grid.picture is None:
        raise MediaError("failed.changed", "there is no picture in its middle")
    x0, y0, x1, _ = (clip[f"crop_{end}_px"] for end in ("x0", "y0", "x1", "y1"))
    return rgb_from_i420(Planes(grid.picture).square_i420(x0, y0, x1 - x0, side_px))


def cut_from_source(source: Row, clip: Row, side_px: int) -> bytes:
    """A candidate as mp4, cut and encoded now: a quick look, no packed clip's bytes."""
    about, path = source_of(source), Path(source["uri"])
    start, end = clip["start_frame"], clip["end_frame"]
    options = EncodeOptions(side_px=side_px, crf=23, preset="ultrafast", gop_frames=25, aac_kbps=64)
    crop = (clip["crop_x0_px"], clip["crop_y0_px"], clip["crop_x1_px"], clip["crop_y1_px"])
    writer = ClipWriter(crop, sound(path, about, start, end), options)
    shown = None
    for grid in pictures(path, about, start, end, MAX_GAP_S):
        shown = grid.picture or shown
        if shown is None:
            raise MediaError("failed.changed", f"no picture at frame {grid.frame}, where there was one before")
        writer.add(shown)
    return writer.finish()


def member_of(tables: Tables, kept: Row, member: str) -> bytes:
    """A kept clip's member by its row of manifest.parquet; raises MediaError where it is not as the manifest says."""
    where = f"shards/{kept['shard']} at byte {kept[f'{member}_offset']}"
    try:
        with tables.open_shard(kept["shard"]) as shard:
            data = bytes(shard.read_at(kept[f"{member}_bytes"], kept[f"{member}_offset"]))
    except OSError as fault:
        raise MediaError("member.unreadable", f"{where}: {fault}") from fault
    if hashlib.sha256(data).hexdigest() != kept[f"{member}_sha256"]:
        raise MediaError("member.digest", f"{where}: .{member} is not as the manifest has it")
    return data


def still_from_shard(tables: Tables, kept: Row, side_px: int) -> NDArray[np.uint8]:
    """The middle picture of a kept clip as RGB (H, W, C)."""
    pictures_1HWC = window_pictures(member_of(tables, kept, "mp4"), [kept["n_frames"] // 2], side_px)
    return np.asarray(pictures_1HWC[0])
