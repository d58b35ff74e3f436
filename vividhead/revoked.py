"""What was taken out of a dataset for good: receipts in revoked/, and the tombstones that they lay.

    revoked/000001.json     one for each revocation, written before anything is taken out and again when all of it is

Each receipt holds the sha256 of the one before it, and the manifest holds how many there are and the sha256 of what
they order: neither one between nor the newest can go missing unnoticed.

A tombstone names content, not files: a source by the sha256 of its bytes, a clip by its source, span and crop. So the
same footage under another name, cut by other options, or wanted by other filters, stays out.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vividhead.errors import DatasetError
from vividhead.ledger import write_atomically
from vividhead.records import Clip

FOLDER = "revoked"
CODE = "revoked"
"""Reason of a clip that no filters may keep."""
SEAL = b"vividhead.revoked"
"""Key in the metadata of manifest.parquet."""
SOURCE_CODE = "source.revoked"
"""Why a source whose bytes were revoked is not curated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """A clip that was revoked."""

    clip_id: str
    source_id: str
    start_frame: int
    end_frame: int
    crop_xyxy_px: tuple[int, int, int, int]
    tar_bytes: int = 0
    """Room it took in its shard, which stays empty room in the plan, so that no other shard changes; 0: in none."""
    receipt: str = ""


@dataclass(frozen=True)
class Revoked:
    """All tombstones of a dataset."""

    clips: tuple[Tombstone, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    """source_id → receipt."""
    orders: tuple[str, ...] = ()
    """Of each receipt the sha256 of what it ordered, which no later step changes."""

    @property
    def seal(self) -> dict[bytes, bytes]:
        """For the metadata of a manifest that is made without all this: which receipts there must be."""
        if not self.orders:
            return {}
        return {SEAL: json.dumps({"receipts": len(self.orders), "sha256": _chained(self.orders)}).encode()}

    @cached_property
    def _by_source(self) -> dict[str, list[Tombstone]]:
        out: dict[str, list[Tombstone]] = {}
        for stone in self.clips:
            out.setdefault(stone.source_id, []).append(stone)
        return out

    @cached_property
    def by_clip(self) -> dict[str, str]:
        """clip_id → receipt."""
        return {stone.clip_id: stone.receipt for stone in self.clips}

    def receipt_of(self, clip: Clip | Tombstone) -> str | None:
        """The receipt by which a clip is out: it, its source, or a face at that place and time was revoked."""
        if clip.source_id in self.sources:
            return self.sources[clip.source_id]
        for stone in self._by_source.get(clip.source_id, ()):
            if stone.clip_id == clip.clip_id or _same_place(stone, clip):
                return stone.receipt
        return None


def _same_place(stone: Tombstone, clip: Clip | Tombstone) -> bool:
    """Do both show one part of the picture at one time?"""
    (a0, b0, a1, b1), (c0, d0, c1, d1) = stone.crop_xyxy_px, clip.crop_xyxy_px
    in_time = max(stone.start_frame, clip.start_frame) < min(stone.end_frame, clip.end_frame)
    return in_time and max(a0, c0) < min(a1, c1) and max(b0, d0) < min(b1, d1)


def receipts(dataset: Path) -> list[dict[str, Any]]:
    """All receipts, oldest first; DatasetError where one is damaged: then nothing may be trusted to stay out."""
    return checked((str(path), path.read_bytes()) for path in sorted((dataset / FOLDER).glob("[0-9]*.json")))


def checked(files: Iterable[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """Receipts out of the bytes of their files (by name, oldest first): each as it was signed, and none missing
    between them. DatasetError names the file that is not."""
    out: list[dict[str, Any]] = []
    for name, data in files:
        try:
            receipt = json.loads(data)
            check_signature(receipt)
            if receipt["previous_sha256"] != (out[-1]["sha256"] if out else None):
                raise ValueError("the receipt before it is missing, or another")
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise DatasetError(f"{name} is damaged ({fault}): bring it back, it says what must stay out") from fault
        out.append(receipt)
    return out


def revoked(dataset: Path) -> Revoked:
    """The tombstones of all receipts."""
    return tombstones(receipts(dataset))


def all_revoked(dataset: Path) -> Revoked:
    """The same for who writes: DatasetError where a receipt that the manifest was sealed with is gone, the newest
    one too. Without it what it took out would return."""
    import pyarrow
    import pyarrow.parquet

    found = revoked(dataset)
    try:
        metadata = pyarrow.parquet.read_schema(dataset / "manifest.parquet").metadata
    except (OSError, pyarrow.ArrowInvalid):
        return found  # no manifest, or a damaged one: it is about to be made anew
    if fault := broken_seal(metadata, found):
        raise DatasetError(f"{dataset / FOLDER}: {fault}")
    return found


def broken_seal(metadata: Mapping[bytes, bytes] | None, found: Revoked) -> str | None:
    """What is wrong with the receipts, by the seal of the manifest that was made by them; None where nothing is.

    There may be more: a revocation has begun since.
    """
    said = (metadata or {}).get(SEAL)
    if said is None:
        return None
    try:
        seal = json.loads(said)
        count, sha256 = int(seal["receipts"]), str(seal["sha256"])
    except (ValueError, KeyError, TypeError) as fault:
        return f"the seal of manifest.parquet cannot be read ({fault})"
    if count > len(found.orders):
        return (
            f"manifest.parquet was made after {count} revocations, and {len(found.orders)} receipts are there: bring "
            "the others back, they say what must stay out"
        )
    if _chained(found.orders[:count]) != sha256:
        return "the receipts are not those that manifest.parquet was made by: bring those back"
    return None


def _chained(orders: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(orders).encode()).hexdigest()


ORDERED = ("receipt", "what", "reason", "by", "begun", "previous_sha256", "clips", "sources")


def _order(receipt: Mapping[str, Any]) -> str:
    """Of what was ordered; how it was carried out is written later."""
    said = {name: receipt[name] for name in ORDERED}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def tombstones(written: Iterable[Mapping[str, Any]]) -> Revoked:
    """The tombstones that receipts lay."""
    clips: list[Tombstone] = []
    sources: dict[str, str] = {}
    orders: list[str] = []
    for receipt in written:
        orders.append(_order(receipt))
        for row in receipt["clips"]:
            about = {name: row[name] for name in ("clip_id", "source_id", "start_frame", "end_frame", "tar_bytes")}
            clips.append(Tombstone(**about, crop_xyxy_px=tuple(row["crop_xyxy_px"]), receipt=receipt["receipt"]))
        sources.update(dict.fromkeys((row["source_id"] for row in receipt["sources"]), receipt["receipt"]))
    return Revoked(tuple(clips), sources, tuple(orders))


def signed(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """The receipt with the sha256 of all that it says."""
    said = {name: value for name, value in receipt.items() if name != "sha256"}
    return {**said, "sha256": hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}


def check_signature(receipt: Mapping[str, Any]) -> None:
    """Raise ValueError unless the receipt is as it was signed."""
    if signed(receipt)["sha256"] != receipt["sha256"]:
        raise ValueError("it is not as it was signed")


def write_receipt(dataset: Path, receipt: Mapping[str, Any]) -> Path:
    """Write the receipt under its number, or again."""
    path = dataset / FOLDER / f"{receipt['receipt']}.json"
    write_atomically(path, (json.dumps(signed(receipt), indent=1, ensure_ascii=False) + "\n").encode())
    return path


def check_manifest(where: str, clip_ids: Sequence[str], out: Revoked) -> None:
    """Raise DatasetError for a manifest that still names a revoked clip: an old copy, or a revocation cut short."""
    stale = [clip_id for clip_id in clip_ids if clip_id in out.by_clip] if out.by_clip else []
    if stale:
        raise DatasetError(
            f"the manifest of {where} is stale: it names {len(stale)} revoked clips, {stale[0]} first (receipt "
            f"{out.by_clip[stale[0]]}). Copy the dataset again, or finish with: vividhead repair {where}"
        )
