"""From where the footage is to Sources: list, hash, probe, and find what is there twice."""

import csv
import glob
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from vividhead.errors import MediaError, UsageError
from vividhead.media import probe
from vividhead.media.opening import faults_of, regular_file
from vividhead.pipeline import Ingest, Pipeline
from vividhead.records import GRID_FPS, Listed, Segment, Source

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .mpe .vob .ts .m2ts .mts .flv .wmv .asf .3gp .3g2 .ogv .mxf .dv .m2v"
    .split()
)  # fmt: skip
SOURCE_LISTS = frozenset((".csv", ".jsonl", ".parquet"))
NAMED_COLUMNS = ("uri", "source_id", "licence", "consent", "language")
READ_BYTES = 1 << 22
UNREAD = "unread-"
"""Begins the source_id of a file whose bytes are not known; the sha256 of its uri follows."""
PASSING = frozenset(("failed.vanished", "failed.no_permission", "failed.changed"))
"""Codes of what is wrong with the moment, not with the file."""


def find(where: str) -> list[Listed]:
    """List the footage behind a folder (searched in depth), a file, a glob, or a source list.

    In a folder, files with a video suffix are footage; a file named directly or in a source list always is.
    The order is the source list's, or the names' (by code point); it decides which of two duplicates is kept.
    Raises UsageError when there is nothing there.
    """
    path = Path(where)
    if path.is_file() and path.suffix.lower() in SOURCE_LISTS:
        listed = list(_source_list(path))
        nothing = "the source list has no rows; it needs one for each file, with at least the column `uri`"
    elif path.is_file():
        listed = [Listed(uri=where)]
    elif path.is_dir():
        listed = [Listed(uri=name) for name in sorted(_in_folder(where))]
        nothing = f"the folder holds no footage, that is, no file named {' '.join(sorted(VIDEO_SUFFIXES))}"
    else:
        listed = [Listed(uri=p) for p in sorted(glob.glob(where, recursive=True)) if Path(p).is_file()]
        nothing = "neither a folder nor a file, and no file matches it as a pattern"
    if not listed:
        raise UsageError(f"{where}: {nothing}; give a folder, a file, a quoted glob or a .csv, .jsonl or .parquet list")
    times = Counter(entry.uri for entry in listed)
    if twice := [uri for uri, count in times.items() if count > 1]:
        raise UsageError(f"{where}: listed more than once: {', '.join(twice[:3])}; leave one line for each uri")
    return listed


def _in_folder(folder: str) -> Iterator[str]:
    """Names of the footage in a folder, and of folders in it that may not be read: those fail by name.

    Linked folders are entered too, but none twice, so that links in a circle come to an end.
    """
    refused: list[str] = []
    entered: set[tuple[int, int]] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=lambda fault: refused.append(fault.filename)):
        about = Path(here).stat()
        if (about.st_dev, about.st_ino) in entered:
            folders.clear()
            continue
        entered.add((about.st_dev, about.st_ino))
        folders.sort()  # which of two ways into a folder is taken must not be chance
        yield from (str(Path(here, name)) for name in names if Path(name).suffix.lower() in VIDEO_SUFFIXES)
    yield from refused


def _source_list(path: Path) -> Iterator[Listed]:
    """Lines of a CSV (with header), JSONL or Parquet table; relative uris start at the list's own folder."""
    for number, row in enumerate(_rows(path), start=1):
        if None in row:
            raise UsageError(f"{path}, row {number}: more cells than the header has; quote texts that hold a comma")
        texts = {k.strip(): _text(v) for k, v in row.items() if k and v is not None and v != ""}
        if not isinstance(row.get("uri"), str) or "uri" not in texts:
            raise UsageError(
                f"{path}, row {number}: no `uri`; a source list needs that column filled (it has {', '.join(row)})"
            )
        yield Listed(
            uri=_local(texts["uri"], path, number), given_id=texts.get("source_id"), licence=texts.get("licence"),
            consent=texts.get("consent"), language=texts.get("language"),
            attributes={k: v for k, v in sorted(texts.items()) if k not in NAMED_COLUMNS},
        )  # fmt: skip


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _local(uri: str, listed_in: Path, number: int) -> str:
    """The path that a uri of a source list means."""
    scheme, separator, rest = uri.partition("://")
    if separator and scheme.isalnum():
        if scheme.lower() != "file":
            raise UsageError(f"{listed_in}, row {number}: {uri}: only files can be read; copy it to a folder first")
        uri = unquote(rest.removeprefix("localhost"))
    try:
        named = b"\0" not in os.fsencode(uri)
    except UnicodeEncodeError:
        named = False
    if not named:
        raise UsageError(f"{listed_in}, row {number}: the uri {uri!r} has characters that no path has")
    return uri if Path(uri).is_absolute() else str(listed_in.parent / uri)


def _rows(path: Path) -> list[dict[Any, Any]]:
    try:
        if path.suffix.lower() == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as file:
                cells_of = csv.reader(file, strict=True)
                header = [name.strip() for name in next(cells_of, [])]
                if twice := sorted({name for name in header if name and header.count(name) > 1}):
                    raise UsageError(f"{path}: two columns are called {', '.join(twice)}")
                return [dict(zip_longest(header, cells)) for cells in cells_of if cells]
        if path.suffix.lower() == ".jsonl":
            lines = enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1)  # splitlines splits in texts
            return [_json_object(line, path, number) for number, line in lines if line.strip()]
        import pyarrow.parquet

        table: list[dict[Any, Any]] = pyarrow.parquet.ParquetFile(path).read().to_pylist()
        return table
    except UnicodeDecodeError as fault:
        raise UsageError(f"{path}: not UTF-8 text (byte {fault.start}); save it as UTF-8") from fault
    except (ValueError, csv.Error) as fault:
        raise UsageError(f"{path}: not a readable source list: {fault}") from fault
    except OSError as fault:
        raise UsageError(f"{path}: cannot be read: {fault.strerror or fault}") from fault


def _json_object(line: str, path: Path, number: int) -> dict[Any, Any]:
    try:
        row = json.loads(line)
    except ValueError as fault:
        where = f", column {fault.colno}" if isinstance(fault, json.JSONDecodeError) else ""
        raise UsageError(f"{path}, line {number}{where}: not JSON: {getattr(fault, 'msg', fault)}") from fault
    if not isinstance(row, dict):
        raise UsageError(f"{path}, line {number}: every line must be one JSON object")
    return row


def examine(listed: Listed, options: Ingest, beat: Callable[[], None]) -> Source:
    """Hash and probe one file. Whatever is wrong with it becomes the Source's outcome, code and detail.

    Raises MediaError for what may be otherwise when asked again: no such file, no permission, a file being written.
    """
    path = Path(listed.uri)
    source_id, size = UNREAD + hashlib.sha256(listed.uri.encode(errors="surrogateescape")).hexdigest(), None
    try:
        before = regular_file(path)
        size = before.st_size
        source_id = _digest(path, before.st_size, beat)
        found = probe(path, beat)
        after = regular_file(path)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise MediaError("failed.changed", "the file changed while it was read")
    except MediaError as fault:
        if fault.code in PASSING:
            raise
        return replace(_failed(source_id, listed, fault.code, fault.detail), bytes=size)
    source = Source(
        source_id=source_id, listed=listed, outcome="ready", bytes=size, container=found.container,
        duration_s=found.duration_s, n_frames=found.n_frames,
        pictures_end_frame=found.pictures_end_frame, torn=found.torn,
        zero_s_in_container=found.zero.as_integer_ratio(), video_codec=found.video_codec,
        width_px=found.width_px, height_px=found.height_px, fps=found.fps, pixel_format=found.pixel_format,
        rotation_deg=found.rotation_deg, sample_aspect=found.sample_aspect, interlaced=found.interlaced,
        audio_codec=found.audio_codec, audio_rate_hz=found.audio_rate_hz, audio_channels=found.audio_channels,
    )  # fmt: skip
    refusal = _refusal(source, found.hdr, options)
    return source if refusal is None else replace(source, outcome="rejected", code=refusal[0], detail=refusal[1])


def _digest(path: Path, size: int, beat: Callable[[], None]) -> str:
    """sha256 of the file's first `size` bytes, that is, all: one that grows meanwhile is not read for ever."""
    digest = hashlib.sha256()
    left = size
    with faults_of(path), path.open("rb") as file:
        while left > 0 and (block := file.read(min(READ_BYTES, left))):
            digest.update(block)
            left -= len(block)
            beat()
    return digest.hexdigest()


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
        Segment(segment_id=f"{source.source_id[:16]}-{a:07d}", source_id=source.source_id, start_frame=a, end_frame=b)
        for a, b in pairwise(edges)
    ]
