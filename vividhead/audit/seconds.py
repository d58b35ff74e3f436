"""Spans that fit into each other, and seconds that add up: all of a source in its segments, all of a segment in clips
or stretches. By columns; `account` is the same for people, source by source.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.findings import Findings
from vividhead.audit.tables import Tables
from vividhead.records import GRID_FPS

Frames = NDArray[np.int64]
REST_S = 1.5 / GRID_FPS
"""Most that a file's duration may differ from its whole frames."""


def check_seconds(tables: Tables, found: Findings) -> None:
    """Add what does not fit or is not covered; what is covered twice by clips of two faces is as it should be."""
    sources = tables.read("sources", ["source_id", "outcome", "duration_s", "n_frames"])
    segments = tables.read("segments", ["segment_id", "source_id", "start_frame", "end_frame", "state", "stretches"])
    clips = tables.read(
        "clips", ["segment_id", "start_frame", "end_frame", "start_s_in_source", "end_s_in_source", "duration_s"]
    )
    found.looked("seconds", round(compute.sum(sources["duration_s"]).as_py() or 0))
    _check_clip_times(found, clips)
    ready = compute.equal(sources["outcome"], "ready").to_numpy()
    n_frames = sources["n_frames"].to_numpy()
    off = ready & (np.abs(sources["duration_s"].to_numpy() - n_frames / GRID_FPS) > REST_S)
    found.rows("seconds", "sources.parquet", off, lambda row: f"duration_s is not that of n_frames {n_frames[row]}")
    of_segment = _number(segments["source_id"], compute.if_else(ready, sources["source_id"], None))
    of_clip = _number(clips["segment_id"], segments["segment_id"])
    start, end = segments["start_frame"].to_numpy(), segments["end_frame"].to_numpy()
    inside = of_segment >= 0
    holes = _holes(of_segment[inside], start[inside], end[inside], np.zeros(len(n_frames), np.int64), n_frames)
    found.rows("seconds", "sources.parquet", ready & holes, lambda row: "its segments do not hold all of its frames")
    beyond = inside & ((end > n_frames[of_segment]) | (start < 0) | (end <= start))
    found.rows(
        "span", "segments.parquet", beyond, lambda row: f"frames {start[row]} to {end[row]} are not in its source"
    )
    _check_segments(found, segments, (start, end), clips, of_clip)


def _number(keys: pa.ChunkedArray, of: pa.ChunkedArray) -> Frames:
    """Row of each key in `of`, -1 where it is not there."""
    rows = compute.index_in(keys, of.combine_chunks() if isinstance(of, pa.ChunkedArray) else of)
    return np.asarray(compute.fill_null(rows, -1).to_numpy(), np.int64)


def _check_clip_times(found: Findings, clips: pa.Table) -> None:
    start, end = clips["start_frame"].to_numpy(), clips["end_frame"].to_numpy()
    times = {"start_s_in_source": start, "end_s_in_source": end, "duration_s": end - start}
    for name, frames in times.items():
        off = np.abs(clips[name].to_numpy() - frames / GRID_FPS) > 1e-9
        found.rows("span", "clips.parquet", off, _told(clips, name, frames))
    found.rows("span", "clips.parquet", end <= start, lambda row: f"it ends at frame {end[row]}, where it begins")


def _told(clips: pa.Table, name: str, frames: Frames) -> Callable[[int], str]:
    return lambda row: f"{name} is {clips[name][row]}, not {frames[row] / GRID_FPS:g}"


def _check_segments(
    found: Findings, segments: pa.Table, spans: tuple[Frames, Frames], clips: pa.Table, of_clip: Frames
) -> None:
    """Clips and stretches lie in their segment, and leave nothing of it out."""
    start, end = spans
    c_start, c_end = clips["start_frame"].to_numpy(), clips["end_frame"].to_numpy()
    known = of_clip >= 0
    beyond = known & ((c_start < start[of_clip]) | (c_end > end[of_clip]))
    found.rows("span", "clips.parquet", beyond, lambda row: f"frames {c_start[row]} to {c_end[row]} leave its segment")
    lists = segments["stretches"].combine_chunks()
    flat = lists.flatten()
    of_stretch = compute.list_parent_indices(lists).to_numpy()
    s_start, s_end = (
        compute.struct_field(flat, name).to_numpy(zero_copy_only=False) for name in ("start_frame", "end_frame")
    )
    outside = np.zeros(len(start), np.bool_)
    outside[of_stretch[(s_start < start[of_stretch]) | (s_end > end[of_stretch]) | (s_end < s_start)]] = True
    found.rows("span", "segments.parquet", outside, lambda row: "a stretch of it leaves it")
    owners = np.concatenate([of_clip[known], of_stretch])
    holes = _holes(owners, np.concatenate([c_start[known], s_start]), np.concatenate([c_end[known], s_end]), start, end)
    holes &= compute.equal(segments["state"], "done").to_numpy()
    found.rows("seconds", "segments.parquet", holes, lambda row: "some of its frames are in no clip and no stretch")


def _holes(owner: Frames, start: Frames, end: Frames, first: Frames, last: Frames) -> NDArray[np.bool_]:
    """Which of the spans `first` … `last` are not covered whole by the parts that name them as `owner`."""
    if not len(first):
        return np.zeros(0, np.bool_)
    order = np.lexsort((start, owner))
    owner, start, end = owner[order], start[order], end[order]
    stride = int(max(last.max(initial=0), end.max(initial=0))) + 1
    base = owner * stride
    reach = np.maximum.accumulate(base + end) if len(end) else base
    begins = np.concatenate([[True], owner[1:] != owner[:-1]]) if len(owner) else np.zeros(0, np.bool_)
    before = np.concatenate([[0], reach[:-1]]) if len(owner) else base
    expected = np.where(begins, base + first[owner], before)
    out = np.asarray(last > first)
    out[owner] = False
    np.logical_or.at(out, owner[base + start > expected], True)
    ends = np.concatenate([begins[1:], [True]]) if len(owner) else begins
    short = ends & (reach < base + last[owner])
    out[owner[short]] = True
    return out
