"""From where the footage is to Sources: list, hash, probe, and find what is there twice."""

import csv
import glob
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from vividhead.errors import MediaError, UsageError
from vividhead.media import probe
from vividhead.pipeline import Ingest, Pipeline
from vividhead.records import GRID_FPS, Listed, Segment, Source

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .mpe .vob .ts .m2ts .mts .flv .wmv .asf .3gp .3g2 .ogv .mxf .dv .m2v .gif"
    .split()
)  # fmt: skip
SOURCE_LISTS = frozenset((".csv", ".jsonl", ".parquet"))
NAMED_COLUMNS = ("uri", "source_id", "licence", "consent", "language")


def find(where: str) -> list[Listed]:
    """List the footage behind a folder (searched in depth), a file, a glob, or a source list.

    In a folder, files with a video suffix are footage; a file named directly or in a source list always is.
    The order is the source list's, or the names' (by code point); it decides which of two duplicates is kept.
    Raises UsageError when there is nothing there.
    """
    path = Path(where)
    if path.is_file() and path.suffix.lower() in SOURCE_LISTS:
        listed = list(_source_list(path))
    elif path.is_file():
        listed = [Listed(uri=where)]
    elif path.is_dir():
        files = (p for p in sorted(path.rglob("*"), key=str) if p.suffix.lower() in VIDEO_SUFFIXES)
        listed = [Listed(uri=str(p)) for p in files if not p.is_dir()]
    else:
        listed = [Listed(uri=p) for p in sorted(glob.glob(where, recursive=True)) if Path(p).is_file()]
    if not listed:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        raise UsageError(f"{where}: no footage there; looked for a folder, a glob or a source list of {suffixes}")
    uris = [entry.uri for entry in listed]
    twice = sorted({uri for uri in uris if uris.count(uri) > 1}) if len(set(uris)) < len(uris) else []
    if twice:
        raise UsageError(f"{where}: listed more than once: {', '.join(twice[:3])}; leave one line for each uri")
    return listed


def _source_list(path: Path) -> Iterator[Listed]:
    """Lines of a CSV (with header), JSONL or Parquet table; relative uris start at the list's own folder."""
    for number, row in enumerate(_rows(path), start=1):
        uri = row.get("uri")
        if not uri or not isinstance(uri, str):
            raise UsageError(f"{path}, row {number}: no `uri`; a source list needs that column filled")
        texts = {k: str(v) for k, v in row.items() if k and v is not None and v != ""}
        local = Path(uri) if Path(uri).is_absolute() else path.parent / uri
        yield Listed(
            uri=str(local), given_id=texts.get("source_id"), licence=texts.get("licence"),
            consent=texts.get("consent"), language=texts.get("language"),
            attributes={k: v for k, v in sorted(texts.items()) if k not in NAMED_COLUMNS},
        )  # fmt: skip


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    try:
        if path.suffix.lower() == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as file:
                return list(csv.DictReader(file))
        if path.suffix.lower() == ".jsonl":
            lines = path.read_text(encoding="utf-8").splitlines()
            rows = [json.loads(line) for line in lines if line.strip()]
            if not all(isinstance(row, dict) for row in rows):
                raise UsageError(f"{path}: every line must be one JSON object")
            return rows
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(path).to_pylist()
        return rows
    except (ValueError, csv.Error) as fault:
        raise UsageError(f"{path}: not a readable source list: {fault}") from fault


def examine(listed: Listed, options: Ingest, beat: Callable[[], None]) -> Source:
    """Hash and probe one file. Whatever is wrong with it becomes the Source's outcome, code and detail."""
    unread = "unread-" + hashlib.sha256(listed.uri.encode(errors="surrogateescape")).hexdigest()
    path = Path(listed.uri)
    try:
        size = path.stat().st_size
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
                beat()
    except FileNotFoundError:
        return _failed(unread, listed, "failed.vanished", "no such file")
    except PermissionError:
        return _failed(unread, listed, "failed.no_permission", "the file may not be read by this user")
    except IsADirectoryError:
        return _failed(unread, listed, "failed.unreadable", "a folder, not a file")
    source_id = digest.hexdigest()
    try:
        found = probe(path)
    except MediaError as fault:
        return replace(_failed(source_id, listed, fault.code, fault.detail), bytes=size)
    source = Source(
        source_id=source_id, listed=listed, outcome="ready", bytes=size, container=found.container,
        duration_s=found.duration_s, n_frames=found.n_frames,
        zero_s_in_container=found.zero.as_integer_ratio(), video_codec=found.video_codec,
        width_px=found.width_px, height_px=found.height_px, fps=found.fps, pixel_format=found.pixel_format,
        rotation_deg=found.rotation_deg, sample_aspect=found.sample_aspect, interlaced=found.interlaced,
        audio_codec=found.audio_codec, audio_rate_hz=found.audio_rate_hz, audio_channels=found.audio_channels,
    )  # fmt: skip
    refusal = _refusal(source, found.hdr, options)
    return source if refusal is None else replace(source, outcome="rejected", code=refusal[0], detail=refusal[1])


def _failed(source_id: str, listed: Listed, code: str, detail: str) -> Source:
    return Source(source_id=source_id, listed=listed, outcome="failed", code=code, detail=detail)


def _refusal(source: Source, hdr: str | None, options: Ingest) -> tuple[str, str] | None:
    """What makes a readable file no talking-head footage at all, cheapest to know first."""
    if source.video_codec is None:
        return "source.no_video", "sound only"
    if source.audio_codec is None:
        return "source.no_audio", "no audio stream"
    if source.duration_s < options.min_duration_s:
        return "source.too_short", f"{source.duration_s:.3f} s, under {options.min_duration_s:g} s"
    if source.duration_s > options.max_duration_s:
        return "source.too_long", f"{source.duration_s:.0f} s, over {options.max_duration_s:g} s: split it first"
    width, height = source.width_px or 0, source.height_px or 0
    if min(width, height) < options.min_side_px:
        return "source.too_small", f"{width}×{height} px, under {options.min_side_px} px"
    if max(width, height) > options.max_side_px:
        return "source.too_large", f"{width}×{height} px, over {options.max_side_px} px"
    if hdr is not None:
        return "source.hdr", f"{hdr} pictures need tone mapping first; convert the file to SDR (BT.709)"
    return None


def mark_duplicates(sources: Iterable[Source]) -> list[Source]:
    """Keep the first of every content and of every given id, in order; the rest become `duplicate`."""
    by_bytes: dict[str, Source] = {}
    by_given: dict[str, Source] = {}
    out = []
    for source in sources:
        given = source.listed.given_id
        if source.outcome != "failed" and source.source_id in by_bytes:
            first = by_bytes[source.source_id]
            source = _duplicate(source, first, "duplicate.bytes", f"the same bytes as {first.listed.uri}")
        elif source.outcome != "failed" and given is not None and given in by_given:
            first = by_given[given]
            source = _duplicate(source, first, "duplicate.source_id", f"source_id {given} is {first.listed.uri}")
        elif source.outcome != "failed":
            by_bytes[source.source_id] = source
            if given is not None:
                by_given[given] = source
        out.append(source)
    return out


def _duplicate(source: Source, first: Source, code: str, detail: str) -> Source:
    return replace(source, outcome="duplicate", code=code, detail=detail, duplicate_of=first.source_id)


def segments(source: Source, pipeline: Pipeline) -> list[Segment]:
    """Cut a source into windows of equal length, at most `segments.max_s` long."""
    longest = int(pipeline.segments.max_s * GRID_FPS)
    count = max(1, -(-source.n_frames // longest))
    edges = [source.n_frames * i // count for i in range(count + 1)]
    return [
        Segment(
            segment_id=f"{source.source_id[:16]}-{a:07d}", source_id=source.source_id, start_frame=a, end_frame=b
        )
        for a, b in zip(edges, edges[1:], strict=False)
    ]
