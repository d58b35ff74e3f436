"""The columns of latents.parquet: a row for each kept clip of the dataset, cached or not."""

from typing import TYPE_CHECKING, Any

from vividhead.manifest import Column, table

if TYPE_CHECKING:
    import pyarrow

C = Column
LATENTS = (
    C("clip_id", "string", "", "the clip; its member is <clip_id>.safetensors"),
    C("status", "string", "", "cached, too_short (no window and reference fit) or failed (code says why)"),
    C("code", "string", "", "what failed, e.g. member.digest, failed.corrupt, failed.crash"),
    C("detail", "string", "", "the same in words"),
    C("n_frames", "int64", "frames", "length of the clip"),
    C("n_windows", "int64", "", "windows cached: they begin at frames 0, grid, 2 · grid, …"),
    C("n_stills", "int64", "", "stills cached: of frames first_still, first_still + grid, …"),
    C("first_still_frame", "int64", "frames", "frame in the clip of the first still"),
    C("latents_shard", "string", "", "file in this cache's shards/"),
    C("latents_shard_bytes", "int64", "B", "size of that file"),
    C("latents_shard_sha256", "string", "", "sha256 of that file"),
    C("member_offset", "int64", "B", "where in the shard the member begins"),
    C("member_bytes", "int64", "B", "its length"),
    C("member_sha256", "string", "", "its sha256"),
    C("latents_offset", "int64", "B", "where in the shard window 0's latents begin; the others follow it"),
    C("stills_offset", "int64", "B", "where the stills begin"),
    C("masks_offset", "int64", "B", "where the windows' masks begin: a byte a place, bit 1 face, bit 2 mouth"),
    C("window_crc32", "list<int64>", "", "of each window's latents and, going on, its mask"),
    C("still_crc32", "list<int64>", "", "of each still"),
    C("mp4_sha256", "string", "", "of the pictures that were encoded"),
)
"""Followed by the dataset's columns of the sync score, `lip_sync.…`."""
CACHED, TOO_SHORT, FAILED = "cached", "too_short", "failed"
SYNC = "lip_sync."


def latents_table(rows: list[dict[str, Any]], sync: "list[pyarrow.Field]") -> "pyarrow.Table":
    """Rows with the columns' schema; `sync` are the manifest's fields of the sync score."""
    units = [(field.metadata or {}).get(b"unit", b"").decode() for field in sync]
    more = [C(field.name, "double", unit, "as in the manifest") for field, unit in zip(sync, units, strict=True)]
    return table([*LATENTS, *more], rows)
