"""The manifest against the other tables and the shards; and, deep, every byte and every picture of the shards."""

import hashlib
import io
import json
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.findings import Findings
from vividhead.audit.tables import Tables
from vividhead.errors import MediaError
from vividhead.live_line import LiveLine
from vividhead.manifest import MANIFEST, MEMBERS
from vividhead.pipeline import Pack
from vividhead.records import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from vividhead.revoked import FOLDER, broken_seal
from vividhead.shards import BLOCK

PATH = "manifest.parquet"
AAC_SLACK_S = 0.1
"""The viewing sound is made of whole AAC frames, and of the encoder's run-in: it may be so much off."""
COPIED = ("source_id", "segment_id", "start_frame", "end_frame")
"""Columns that the manifest has from clips.parquet."""


def check_manifest(tables: Tables, found: Findings, readable: set[str], same: set[str]) -> None:
    """Rows are the kept clips, values are those of the other tables, shards are there and large enough.

    `same`: tables whose rows are those of clips.parquet.
    """
    layout = [f"{member}_{what}" for member in MEMBERS for what in ("offset", "bytes")]
    manifest = tables.read(
        "manifest", ["clip_id", "shard", "shard_bytes", "n_frames", *COPIED, *layout], coded=["shard"]
    )
    out = tables.revoked()
    if fault := broken_seal(tables.schema("manifest").metadata, out):
        found.add("revoked", FOLDER, None, fault)
    gone = out.by_clip
    stale = np.array([clip_id in gone for clip_id in manifest["clip_id"].to_pylist()] if gone else [], np.bool_)
    found.rows("revoked", PATH, stale, lambda row: f"{manifest['clip_id'][row]} is revoked; finish: vividhead repair")
    _check_layout(found, manifest)
    _check_files(tables, found, manifest)
    if "clips" in readable:
        clips = tables.read("clips", ["clip_id", *COPIED])
        rows = compute.index_in(manifest["clip_id"], clips["clip_id"].combine_chunks())
        _check_copies(found, manifest, clips, rows)
        _check_kept(tables, found, readable, clips["clip_id"], rows)
        _check_scores(tables, found, same, rows)


def _check_layout(found: Findings, manifest: pa.Table) -> None:
    """Members lie one after the other, each after its header, within the shard."""
    n_frames = manifest["n_frames"].to_numpy()
    span = manifest["end_frame"].to_numpy() - manifest["start_frame"].to_numpy()
    found.rows("span", PATH, n_frames != span, lambda row: f"n_frames is {n_frames[row]}, its span {span[row]}")
    shard_bytes = manifest["shard_bytes"].to_numpy()
    offsets = np.stack([manifest[f"{member}_offset"].to_numpy() for member in MEMBERS])
    sizes = np.stack([manifest[f"{member}_bytes"].to_numpy() for member in MEMBERS])
    wrong = ((offsets < BLOCK) | (offsets % BLOCK != 0) | (sizes < 0) | (offsets + sizes > shard_bytes)).any(axis=0)
    ends = offsets + -(-sizes // BLOCK) * BLOCK
    wrong |= (offsets[1:] < ends[:-1] + BLOCK).any(axis=0)
    found.rows("shard", PATH, wrong, lambda row: "its members overlap or leave the shard")
    shards = _numbers(manifest["shard"])
    order = np.lexsort((offsets[0], shards))
    follows = shards[order[1:]] == shards[order[:-1]]
    overlap = np.zeros(len(shards), np.bool_)
    overlap[order[1:][follows & (offsets[0][order[1:]] < ends[-1][order[:-1]] + BLOCK)]] = True
    found.rows("shard", PATH, overlap & ~wrong, lambda row: "its members overlap those of another clip")


def _numbers(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    whole = texts.cast(pa.string()).combine_chunks().dictionary_encode()
    whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
    return np.asarray(whole.indices.to_numpy(), np.int64)


def _check_files(tables: Tables, found: Findings, manifest: pa.Table) -> None:
    there = tables.shard_sizes()
    said = pa.table({"shard": manifest["shard"].cast(pa.string()), "bytes": manifest["shard_bytes"]})
    for shard, sizes in zip(
        *said.group_by("shard").aggregate([("bytes", "distinct")]).to_pydict().values(), strict=True
    ):
        found.looked("shards", 1)
        if shard not in there:
            found.add("shard", f"shards/{shard}", None, "it is missing")
        elif sizes != [there[shard]]:
            found.add("shard", f"shards/{shard}", None, f"it has {there[shard]} bytes, the manifest says {sizes}")
    for shard in sorted(set(there) - set(said["shard"].to_pylist())):
        found.add("shard", f"shards/{shard}", None, "no row of the manifest is of it")


def _check_copies(found: Findings, manifest: pa.Table, clips: pa.Table, rows: pa.ChunkedArray) -> None:
    for name in COPIED:
        theirs = clips[name].take(rows)
        same = compute.fill_null(compute.equal(manifest[name], theirs), True).to_numpy()
        found.rows("key", PATH, ~same, _told(name, manifest[name], theirs))


def _told(name: str, ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> Callable[[int], str]:
    return lambda row: f"{name} is {ours[row]}, elsewhere {theirs[row]}"


def _check_kept(
    tables: Tables, found: Findings, readable: set[str], clip_ids: pa.ChunkedArray, rows: pa.ChunkedArray
) -> None:
    """Just the clips that the newest decisions keep are in the manifest."""
    name = f"decisions/{tables.digest}"
    if name not in readable:
        return
    decisions = tables.read(name, ["clip_id", "kept"])
    if not decisions["clip_id"].equals(clip_ids):
        return
    kept = decisions["kept"].to_numpy()
    packed = np.zeros(len(kept), np.bool_)
    known = compute.fill_null(rows, -1).to_numpy()
    packed[known[known >= 0]] = True
    wrong = (known >= 0) & ~kept[known]
    found.rows("decision", PATH, wrong, lambda row: f"the decisions {tables.digest} do not keep this clip")
    missing = kept & ~packed
    found.rows("decision", tables.place(name), missing, lambda row: f"kept, but clip {clip_ids[row]} is in no shard")


def _check_scores(tables: Tables, found: Findings, same: set[str], rows: pa.ChunkedArray) -> None:
    """The manifest repeats the measurements."""
    contract = {column.name for column in MANIFEST}
    fields = [name.split(".", 1) for name in tables.schema("manifest").names if name not in contract]
    for score in dict.fromkeys(score for score, _ in fields):
        name = f"measurements/{score}"
        if name not in same:
            continue
        for field in (f for s, f in fields if s == score and f in tables.schema(name).names):
            ours = tables.read("manifest", [f"{score}.{field}"])[f"{score}.{field}"]
            theirs = tables.read(name, [field])[field].take(rows)
            alike = compute.fill_null(compute.equal(ours, theirs), False).to_numpy()
            alike |= (ours.is_null().to_numpy() & theirs.is_null().to_numpy()) | rows.is_null().to_numpy()
            found.rows("key", PATH, ~alike, _told(f"{score}.{field}", ours, theirs))


def check_shards(tables: Tables, found: Findings, line: LiveLine | None) -> None:
    """Read every shard: its digest, its members' names, places and digests; decode every clip."""
    manifest = tables.read("manifest", [c.name for c in MANIFEST if c.type != "map<string, string>"])
    rows = sorted(enumerate(manifest.to_pylist()), key=lambda pair: (pair[1]["shard"], pair[1]["mp4_offset"]))
    side_px = int(tomllib.loads(tables.run["pipeline"]["text"]).get("pack", {}).get("side_px", Pack().side_px))
    there = tables.shard_sizes()
    for done, (shard, of_shard) in enumerate(_grouped(rows)):
        if line is not None:
            line(f"verify: shard {done + 1}, {shard}")
        if shard in there:
            _check_shard(tables, found, shard, of_shard, side_px)


def _grouped(rows: list[tuple[int, dict[str, Any]]]) -> Iterator[tuple[str, list[tuple[int, dict[str, Any]]]]]:
    by_shard: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for row, cells in rows:
        by_shard.setdefault(cells["shard"], []).append((row, cells))
    yield from by_shard.items()


def _check_shard(
    tables: Tables, found: Findings, shard: str, rows: list[tuple[int, dict[str, Any]]], side_px: int
) -> None:
    path = f"shards/{shard}"
    with tables.open_shard(shard) as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 22):
            digest.update(block)
        if digest.hexdigest() != rows[0][1]["shard_sha256"]:
            found.add(
                "digest",
                path,
                None,
                f"its sha256 is {digest.hexdigest()}, the manifest says {rows[0][1]['shard_sha256']}",
            )
        for row, cells in rows:
            found.looked("clips decoded", 1)
            members: dict[str, bytes] = {}
            for member in MEMBERS:
                file.seek(cells[f"{member}_offset"] - BLOCK)
                header, data = file.read(BLOCK), file.read(cells[f"{member}_bytes"])
                wrong = _member_fault(header, data, f"{cells['clip_id']}.{member}", cells[f"{member}_sha256"])
                if wrong:
                    found.add("digest", PATH, row, f"{cells['clip_id']}.{member} in {path}: {wrong}")
                members[member] = data
            for wrong in media_faults(members, cells, side_px):
                found.add("media", PATH, row, f"{cells['clip_id']} in {path}: {wrong}")


def _member_fault(header: bytes, data: bytes, name: str, sha256: str) -> str | None:
    """What is wrong with a member's header or bytes."""
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except tarfile.HeaderError as fault:
        return f"no tar header stands before it ({fault})"
    if (info.name, info.size) != (name, len(data)):
        return f"the header before it is of {info.name}, {info.size} bytes"
    is_same = hashlib.sha256(data).hexdigest() == sha256
    return None if is_same else f"its sha256 is {hashlib.sha256(data).hexdigest()}, the manifest says {sha256}"


def media_faults(members: Mapping[str, bytes], cells: Mapping[str, Any], side_px: int) -> Iterator[str]:
    """What is wrong with a clip's media: undecodable, or of another length than the clip."""
    from vividhead.media.packed import decode_packed

    n_frames = cells["n_frames"]
    try:
        packed = decode_packed(members["mp4"], members["flac"])
    except MediaError as fault:
        yield str(fault)
    else:
        if packed.n_pictures != n_frames:
            yield f"the .mp4 has {packed.n_pictures} pictures, not {n_frames}"
        if (packed.width_px, packed.height_px) != (side_px, side_px):
            yield f"its pictures are {packed.width_px}×{packed.height_px} px, not {side_px}×{side_px}"
        if (packed.n_samples, packed.rate_hz) != (n_frames * SAMPLES_PER_FRAME, SAMPLE_RATE_HZ):
            yield f"the .flac has {packed.n_samples} samples of {packed.rate_hz} Hz, not {n_frames * SAMPLES_PER_FRAME}"
        if abs(packed.viewing_sound_s - n_frames * SAMPLES_PER_FRAME / SAMPLE_RATE_HZ) > AAC_SLACK_S:
            yield f"the .mp4's sound lasts {packed.viewing_sound_s:.3f} s"
    try:
        about = json.loads(members["json"])
        if about.get("clip_id") != cells["clip_id"] or about.get("n_frames") != n_frames:
            yield "the .json is another clip's"
    except (ValueError, AttributeError):
        yield "the .json is none"
    yield from _array_faults(members["landmarks.npz"], n_frames)


def _array_faults(npz: bytes, n_frames: int) -> Iterator[str]:
    try:
        with np.load(io.BytesIO(npz), allow_pickle=False) as arrays:
            shapes = {name: arrays[name].shape for name in arrays.files}
    except (zipfile.BadZipFile, ValueError, OSError, KeyError) as fault:
        yield f"the .landmarks.npz cannot be read: {fault}"
        return
    mesh = shapes.get("landmarks")
    if mesh is not None and mesh[0] != n_frames:
        yield f"the mesh has {mesh[0]} frames, not {n_frames}"
