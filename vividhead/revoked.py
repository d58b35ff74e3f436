"""What was taken out of a dataset for good: receipts in revoked/, and the tombstones that they lay.

    revoked/000001.json     one for each revocation, written before anything is taken out and again when all of it is

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


def tombstones(written: Iterable[Mapping[str, Any]]) -> Revoked:
    """The tombstones that receipts lay."""
    clips: list[Tombstone] = []
    sources: dict[str, str] = {}
    for receipt in written:
        for row in receipt["clips"]:
            about = {name: row[name] for name in ("clip_id", "source_id", "start_frame", "end_frame", "tar_bytes")}
            clips.append(Tombstone(**about, crop_xyxy_px=tuple(row["crop_xyxy_px"]), receipt=receipt["receipt"]))
        sources.update(dict.fromkeys((row["source_id"] for row in receipt["sources"]), receipt["receipt"]))
    return Revoked(tuple(clips), sources)


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
