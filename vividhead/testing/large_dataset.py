"""A dataset of any number of clips without footage: tables as a run leaves them, with plausible numbers.

For tests and benchmarks of what works on tables alone. Sources, spans, measurements in the cascade's order, decisions
by the code that judges, shards as empty files of the right size (they take no room). Same arguments, same bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from vividhead.audit.decisions import DecisionWriter, decision_rows
from vividhead.audit.verdicts import PASSED, ROWS_AT_ONCE, ScoreColumns, rule_kinds, verdicts_of
from vividhead.cascade import in_cost_order
from vividhead.dataset import note_run
from vividhead.manifest import (
    CLIPS,
    MANIFEST,
    MEASUREMENTS,
    MEMBERS,
    ROWS_OF_A_GROUP,
    SEGMENTS,
    SOURCES,
    Column,
    schema,
)
from vividhead.pipeline import Pipeline, load_pipeline
from vividhead.policy import Policy, load_policy
from vividhead.records import GRID_FPS
from vividhead.schemas import field_column
from vividhead.score import score_class
from vividhead.shards import BLOCK, END

CLIPS_OF_A_SOURCE = 20
"""On average."""
UNREADY = 0.04
"""Share of sources that were not curated: duplicates, rejected, failed."""
ATTRIBUTE = "speaker"
LANGUAGES = np.array(["en", "de", "fr", "hi", "yo"])
ALL_DIFFERENT = ("clip_id", *(f"{member}_sha256" for member in MEMBERS))
"""Columns whose texts are not worth a dictionary."""
Floats = NDArray[np.float64]

SPREAD: Mapping[str, tuple[str, float, float]] = {
    "artifacts.blocking": ("lognormal", 1.3, 0.25),
    "artifacts.banding": ("beta", 1.5, 8),
    "interlacing.combed_fraction": ("beta", 0.4, 30),
    "audio_quality.snr_db": ("normal", 28, 9),
    "audio_quality.bandwidth_hz": ("normal", 6800, 900),
    "audio_quality.flat_top_fraction": ("beta", 0.3, 60),
    "audio_quality.music_fraction": ("beta", 0.4, 8),
    "audio_quality.decay_s": ("lognormal", 0.35, 0.4),
    "background.moving_fraction": ("beta", 0.6, 6),
    "background.moving_fraction_p95": ("beta", 0.8, 4),
    "exposure.face_luma_median": ("normal", 118, 38),
    "exposure.under_fraction": ("beta", 1.2, 9),
    "exposure.over_fraction": ("beta", 0.5, 14),
    "expression.mouth_open_p90": ("lognormal", 0.2, 0.4),
    "expression.mouth_active_fraction": ("beta", 5, 2),
    "expression.mouth_width_range": ("lognormal", 0.15, 0.4),
    "expression.blinks_per_min": ("lognormal", 14, 0.6),
    "expression.eyes_shut_fraction": ("beta", 1, 20),
    "framing.face_height_px_in_source": ("lognormal", 235, 0.42),
    "framing.crop_side_px_in_source": ("lognormal", 515, 0.4),
    "framing.face_fraction_of_crop": ("normal", 0.46, 0.06),
    "framing.border_distance_fraction": ("normal", 0.19, 0.08),
    "head_pose.yaw_deg_p95": ("lognormal", 16, 0.6),
    "head_pose.pitch_deg_p95": ("lognormal", 13, 0.5),
    "head_pose.roll_deg_p95": ("lognormal", 9, 0.6),
    "head_pose.coverage": ("beta", 28, 0.6),
    "jump_cut.largest_jump": ("lognormal", 1.6, 0.2),
    "jump_cut.at_s": ("lognormal", 3, 0.7),
    "identity.worst_similarity_to_medoid": ("normal", 0.68, 0.11),
    "identity.worst_pair_similarity": ("normal", 0.62, 0.11),
    "identity.drift_start_to_end": ("lognormal", 0.16, 0.5),
    "identity.drift_per_minute": ("lognormal", 0.4, 0.8),
    "identity.largest_step": ("lognormal", 0.27, 0.3),
    "identity.switch_at_s": ("lognormal", 3, 0.7),
    "occlusion.mouth_hidden_fraction": ("beta", 0.2, 60),
    "occlusion.lip_contrast_median": ("lognormal", 4, 0.3),
    "lip_sync.offset_ms": ("normal", 0, 55),
    "lip_sync.confidence": ("beta", 2.2, 0.7),
    "lip_sync.peak": ("normal", 0.5, 0.2),
    "lip_sync.coverage": ("beta", 28, 0.6),
    "loudness.integrated_lufs": ("normal", -24, 7),
    "loudness.peak_dbfs": ("normal", -4, 3),
    "loudness.clipped_fraction": ("beta", 0.2, 60),
    "motion.head_speed_p95": ("lognormal", 0.45, 0.7),
    "motion.expression_std": ("lognormal", 0.026, 0.5),
    "motion.mouth_std": ("lognormal", 0.02, 0.5),
    "other_faces.seconds_fraction": ("beta", 0.15, 3),
    "other_faces.largest_height_ratio": ("beta", 0.3, 1.5),
    "sharpness.blurs_per_face_p10": ("lognormal", 105, 0.45),
    "detail.true_face_px": ("lognormal", 220, 0.3),
    "detail.true_resolution_fraction": ("beta", 12, 0.8),
    "detail.motion_blur_anisotropy": ("lognormal", 1.3, 0.2),
    "speech.speech_fraction": ("beta", 5, 1.6),
    "speech.longest_gap_s": ("lognormal", 0.8, 0.7),
}
"""Field → how its numbers scatter; lognormal by median and width. A field not named here is normal, in its range."""


def make_large_dataset(
    path: Path, n_clips: int, *, seed: int = 0, filters: str = "talking-head", shards: bool = True
) -> Path:
    """Write a dataset of `n_clips` candidate clips to the empty folder `path` and return it.

    `shards`: also lay files of the right size in shards/, without content.
    """
    pipeline = load_pipeline()
    policy = load_policy(filters, pipeline.measure.scores)
    rng = np.random.default_rng(seed)
    path.mkdir(parents=True, exist_ok=True)
    note_run(path, "footage", pipeline, policy)
    clips = _write_footage(path, n_clips, rng)
    columns = _write_measurements(path, clips, policy, pipeline, rng)
    found = verdicts_of(policy, columns)
    with DecisionWriter(path, policy.digest) as out:
        for begin in range(0, n_clips, ROWS_AT_ONCE):
            rows = slice(begin, min(begin + ROWS_AT_ONCE, n_clips))
            parts = {score: held.part(rows) for score, held in columns.items()}
            out.write(decision_rows(clips["clip_id"][rows], found.part(rows), parts, None))
    _write_manifest(path, clips, found.passed_N, columns, pipeline, rng, shards)
    return path


def _hex(rng: np.random.Generator, count: int, digits: int) -> pa.StringArray:
    """Random texts of hexadecimal digits."""
    text = rng.bytes(count * digits // 2).hex().encode()
    offsets = np.arange(0, (count + 1) * digits, digits, dtype=np.int32)
    if count * digits >= 1 << 31:
        raise ValueError(f"{count} texts of {digits} digits are more than one array holds")
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))


def _write(path: Path, columns: tuple[Column, ...], data: Mapping[str, Any], length: int) -> pa.Table:
    wanted = schema(columns)
    arrays = [data[f.name] if f.name in data else pa.nulls(length, f.type) for f in wanted]
    arrays = [a if isinstance(a, pa.Array | pa.ChunkedArray) else pa.array(a) for a in arrays]
    table = pa.table([a.cast(f.type) for a, f in zip(arrays, wanted, strict=True)], schema=wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    repeated = [f.name for f in wanted if f.type == pa.string() and f.name not in ALL_DIFFERENT]
    pa.parquet.write_table(table, path, compression="zstd", use_dictionary=repeated, row_group_size=ROWS_OF_A_GROUP)
    return table


def _write_footage(path: Path, n_clips: int, rng: np.random.Generator) -> pa.Table:
    """sources, segments and clips: spans one after the other, with what is no candidate between."""
    counts = rng.integers(1, 2 * CLIPS_OF_A_SOURCE, max(1, n_clips // CLIPS_OF_A_SOURCE * 2))
    ends = np.cumsum(counts)
    n_ready = int(np.searchsorted(ends, n_clips)) + 1
    counts = counts[:n_ready]
    counts[-1] -= ends[n_ready - 1] - n_clips
    source_N = np.repeat(np.arange(n_ready), counts)
    length_N = np.clip(rng.gamma(2.2, 4.0, n_clips) * GRID_FPS, 75, 1500).astype(np.int64)
    gap_N = rng.integers(0, 150, n_clips)
    reach_N = np.cumsum(length_N + gap_N)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    base = reach_N[first] - (length_N + gap_N)[first]
    start_N = reach_N - length_N - base[source_N]
    n_frames = (start_N + length_N)[np.cumsum(counts) - 1]
    sources = _write_sources(path, n_ready, n_frames, rng)
    ids = sources["source_id"].combine_chunks().slice(0, n_ready)
    segment_ids = pa.compute.binary_join_element_wise(pa.compute.utf8_slice_codeunits(ids, 0, 16), "0000000", "-")
    _write_segments(path, ids, segment_ids, n_frames, (start_N - gap_N, start_N, first), rng)
    side_N = rng.integers(100, 500, n_clips) * 2
    end_N = start_N + length_N
    clips = {
        "clip_id": _hex(rng, n_clips, 20), "source_id": ids.take(pa.array(source_N)),
        "segment_id": segment_ids.take(pa.array(source_N)), "track": np.zeros(n_clips, np.int32),
        "shot": np.arange(n_clips) - first[source_N], "start_frame": start_N, "end_frame": end_N,
        "start_s_in_source": start_N / GRID_FPS, "end_s_in_source": end_N / GRID_FPS, "duration_s": length_N / GRID_FPS,
        "crop_x0_px": side_N // 4, "crop_y0_px": np.zeros(n_clips, np.int32),
        "crop_x1_px": side_N // 4 + side_N, "crop_y1_px": side_N,
    }  # fmt: skip
    return _write(path / "clips.parquet", CLIPS, clips, n_clips)


def _write_sources(path: Path, n_ready: int, n_frames: NDArray[np.int64], rng: np.random.Generator) -> pa.Table:
    n_other = int(np.ceil(n_ready * UNREADY))
    count = n_ready + n_other
    numbers = np.arange(count)
    outcome = np.array(["ready"] * n_ready + ["duplicate", "rejected", "failed"] * n_other, object)[:count]
    codes = {"duplicate": "duplicate.bytes", "rejected": "source.no_audio", "failed": "failed.unreadable"}
    all_frames = np.concatenate([n_frames, rng.integers(75, 5000, n_other)])
    all_frames[outcome == "failed"] = 0
    ids = _hex(rng, count, 64)
    pairs = pa.MapArray.from_arrays(
        np.arange(count + 1, dtype=np.int32), pa.array([ATTRIBUTE] * count),
        pa.array([f"speaker-{n:06d}" for n in rng.integers(0, max(1, count // 3), count)]),
    )  # fmt: skip
    twins = ids.take(pa.array(np.where(outcome == "duplicate", 0, -1), mask=outcome != "duplicate"))
    data = {
        "source_id": ids, "uri": pa.array([f"footage/{n:07d}.mp4" for n in numbers]), "attributes": pairs,
        "licence": pa.array(np.array(["CC-BY-4.0", "CC0-1.0"])[rng.integers(0, 2, count)]),
        "language": pa.array(LANGUAGES[rng.choice(5, count, p=[0.6, 0.15, 0.1, 0.1, 0.05])]),
        "outcome": pa.array(outcome), "code": pa.array([codes.get(o) for o in outcome]), "duplicate_of": twins,
        "detail": pa.array([""] * count), "bytes": all_frames * 20_000, "container": pa.array(["mov,mp4"] * count),
        "duration_s": all_frames / GRID_FPS, "n_frames": all_frames, "torn": np.zeros(count, np.bool_),
        "zero_s_in_container": np.zeros(count), "rotation_deg": np.zeros(count, np.int32),
        "width_px": np.full(count, 1920), "height_px": np.full(count, 1080), "fps": np.full(count, 25.0),
        "interlaced": np.zeros(count, np.bool_),
    }  # fmt: skip
    return _write(path / "sources.parquet", SOURCES, data, count)


def _write_segments(
    path: Path,
    ids: pa.Array,
    segment_ids: pa.Array,
    n_frames: NDArray[np.int64],
    gaps: tuple[NDArray[np.int64], ...],
    rng: np.random.Generator,
) -> None:
    begin_N, end_N, first = gaps
    is_gap_N = end_N > begin_N
    n_gaps = np.add.reduceat(is_gap_N, first, dtype=np.int64)
    codes = np.array(["no_speech", "no_face", "too_short"], object)[rng.integers(0, 3, int(is_gap_N.sum()))]
    parts = [pa.array(begin_N[is_gap_N]), pa.array(end_N[is_gap_N]), pa.array(codes)]
    offsets = np.concatenate([[0], np.cumsum(n_gaps)]).astype(np.int32)
    named = pa.StructArray.from_arrays(parts, ["start_frame", "end_frame", "code"])
    stretches = pa.ListArray.from_arrays(offsets, named)
    empty = pa.array([[]] * len(ids), pa.list_(pa.int64()))
    speech = [[{"start_s": 0.0, "end_s": float(n) / GRID_FPS}] for n in n_frames]
    data = {
        "segment_id": segment_ids, "source_id": ids, "start_frame": np.zeros(len(ids), np.int64),
        "end_frame": n_frames, "state": pa.array(["done"] * len(ids)), "stretches": stretches,
        "speech_s_in_source": pa.array(speech), "cut_frames": empty, "decode_errors": np.zeros(len(ids), np.int64),
    }  # fmt: skip
    _write(path / "segments.parquet", SEGMENTS, data, len(ids))


def _write_measurements(
    path: Path, clips: pa.Table, policy: Policy, pipeline: Pipeline, rng: np.random.Generator
) -> dict[str, ScoreColumns]:
    """Every score's table; after a broken hard rule the dearer ones are skipped, as in a run."""
    refused_N = np.zeros(len(clips), np.bool_)
    out = {}
    for score in in_cost_order(pipeline.measure.scores):
        table = _measurements(path, clips, score, refused_N, rng)
        out[score] = columns = ScoreColumns(score, table)
        for rule in policy.rules:
            if rule.score == score and rule.hard:
                refused_N = refused_N | ((rule_kinds(rule, columns) != PASSED) & (columns.status_N != 3))
    return out


def _measurements(
    path: Path, clips: pa.Table, score: str, skipped_N: NDArray[np.bool_], rng: np.random.Generator
) -> pa.Table:
    count, cls = len(clips), score_class(score)
    chance_N = rng.random(count)
    status_N = np.where(skipped_N, 3, np.where(chance_N < 0.001, 2, np.where(chance_N < 0.02, 1, 0)))
    null_N = status_N != 0
    drawn = {field: np.round(_scattered(f"{score}.{field}", count, rng), 6) for field in cls.fields}
    values = {field: np.clip(drawn[field], about.low, about.high) for field, about in cls.fields.items()}
    nulls = dict.fromkeys(values, null_N)
    unsure_N, why = np.zeros(count, np.bool_), ("", "")
    if score == "lip_sync":
        unsure_N, why = ~null_N & (values["confidence"] < 0.5), ("offset_ms", "low_confidence")
    if score == "identity":
        unsure_N, why = ~null_N & (values["largest_step"] < 0.5), ("switch_at_s", "no_switch")
    if why[0]:
        nulls[why[0]] = null_N | unsure_N
    offsets = np.concatenate([[0], np.cumsum(unsure_N)]).astype(np.int32)
    said = [pa.array([text] * int(unsure_N.sum()), pa.string()) for text in why]
    nothing, status = pa.array(np.zeros(count, np.int8)), pa.array(status_N)
    data = {
        "clip_id": clips["clip_id"],
        "status": pa.array(["measured", "unmeasurable", "failed", "skipped"]).take(status),
        "code": pa.array(["", "too_few_samples", "ValueError", ""]).take(status),
        "detail": pa.array(["", "nothing to measure", "a fault made up", ""]).take(status),
        "version": np.full(count, cls.version, np.int32), "fingerprint": pa.array([""]).take(nothing),
        "unknown": pa.MapArray.from_arrays(offsets, *said),
        **{f: pa.array(v, mask=nulls[f]) for f, v in values.items()},
    }  # fmt: skip
    columns = (*MEASUREMENTS, *(field_column(f, d) for f, d in cls.fields.items()))
    return _write(path / "measurements" / score / "measurements.parquet", columns, data, count)


def _scattered(name: str, count: int, rng: np.random.Generator) -> Floats:
    kind, a, b = SPREAD.get(name, ("normal", 0.5, 0.2))
    if kind == "normal":
        return rng.normal(a, b, count)
    return rng.beta(a, b, count) if kind == "beta" else a * np.exp(rng.normal(0, b, count))


def _write_manifest(
    path: Path,
    clips: pa.Table,
    kept_N: NDArray[np.bool_],
    columns: Mapping[str, ScoreColumns],
    pipeline: Pipeline,
    rng: np.random.Generator,
    shards: bool,
) -> None:
    """The kept clips in a shuffled order, filled into shards up to their limit."""
    rows = rng.permutation(np.flatnonzero(kept_N))
    taken = clips.take(pa.array(rows))
    n_frames = np.asarray(taken["end_frame"]) - np.asarray(taken["start_frame"])
    rates = {"mp4": 3000, "flac": 900, "landmarks.npz": 1500, "json": 0}
    sizes = {m: n_frames * rates[m] + rng.integers(900, 1100, len(rows)) for m in MEMBERS}
    blocks = {m: BLOCK + -(-size // BLOCK) * BLOCK for m, size in sizes.items()}
    whole = sum(blocks.values(), np.zeros(len(rows), np.int64))
    shard, begin, shard_bytes = _filled(whole, pipeline.pack.shard_mb * 1_000_000)
    names = pa.array([f"{pipeline.pack.shard_prefix}-{n:06d}.tar" for n in range(len(shard_bytes))], pa.string())
    at = pa.array(shard)
    data: dict[str, Any] = {name: taken[name] for name in taken.column_names}
    data |= {
        "n_frames": n_frames, "shard": names.take(at), "shard_bytes": shard_bytes[shard],
        "shard_sha256": _hex(rng, len(names), 64).take(at),
    }  # fmt: skip
    sources = pa.parquet.read_table(path / "sources.parquet")
    of = pa.compute.index_in(taken["source_id"], sources["source_id"].combine_chunks())
    about = [c.name for c in MANIFEST if c.name in sources.column_names and c.name not in (*data, "attributes")]
    data |= {name: sources[name].combine_chunks().take(of.combine_chunks()) for name in about}
    data["attributes"] = sources["attributes"].combine_chunks().take(of.combine_chunks())
    offset = begin
    for member in MEMBERS:
        data[f"{member}_offset"], data[f"{member}_bytes"] = offset + BLOCK, sizes[member]
        data[f"{member}_sha256"] = _hex(rng, len(rows), 64)
        offset = offset + blocks[member]
    taken_at = pa.array(rows)
    more: list[Column] = []
    for score, held in columns.items():
        for field, declared in score_class(score).fields.items():
            name = f"{score}.{field}"
            more.append(field_column(name, declared))
            data[name] = held.table[field].take(taken_at)
    _write(path / "manifest.parquet", (*MANIFEST, *more), data, len(rows))
    if shards:
        _lay_empty(path / "shards", dict(zip(names.to_pylist(), shard_bytes.tolist(), strict=True)))


def _filled(whole: NDArray[np.int64], limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Number of each clip's shard, offset in it, and the shards' sizes."""
    ends = np.cumsum(whole)
    shard, starts = np.zeros(len(whole), np.int64), [0]
    at = 0
    while at < len(whole):
        base = ends[at] - whole[at]
        stop = max(at + 1, int(np.searchsorted(ends, base + limit - len(END), side="right")))
        shard[at:stop] = len(starts) - 1
        starts.append(stop)
        at = stop
    first = np.array(starts[:-1], np.int64)[: len(starts) - 1]
    if not len(whole):
        return shard, shard, shard
    bases = (ends - whole)[first]
    sizes = np.array([ends[b - 1] for b in starts[1:]]) - bases + len(END)
    return shard, ends - whole - bases[shard], sizes


def _lay_empty(folder: Path, sizes: Mapping[str, int]) -> None:
    folder.mkdir(exist_ok=True)
    for name, size in sizes.items():
        with (folder / name).open("wb") as file:
            file.truncate(size)
