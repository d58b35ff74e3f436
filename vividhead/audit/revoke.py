"""Take content out of a dataset for good, and leave a signed receipt of what, why, when, and the digests around it.

    receipt, begun ─▶ tombstones ─▶ ledger purged ─▶ tables, shards and manifest published anew ─▶ latents, prints and
    pages purged ─▶ receipt, done.

Killed in between, `vividhead repair` (or the next revocation) finishes; loaders refuse until then.

Only shards that held revoked clips are rewritten. Of a revoked clip the dataset keeps its span, its scores and the
reason, so that the account adds up; no picture, sound, mesh or embedding. Of a revoked source not even that.
"""

import datetime
import getpass
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vividhead import manifest
from vividhead.audit.chosen import Chosen
from vividhead.audit.purge import purge_latents, purge_ledger, purge_pages, purge_prints
from vividhead.errors import UsageError
from vividhead.ledger import Ledger, sole_writer
from vividhead.publish import drop_other_decisions, publish
from vividhead.records import GRID_FPS
from vividhead.revoked import FOLDER, all_revoked, receipts, signed, tombstones, write_receipt
from vividhead.shard_set import packed_keys
from vividhead.shards import tar_size
from vividhead.standing import StandingChain, stored_pipeline, stored_policy

Receipt = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be revoked, and why."""

    what: str
    """In words, as in `--source talk.mp4`."""
    reason: str
    by: str
    """Who signs it off."""


def revoke(dataset: Path, chosen: Chosen, order: Order) -> Receipt:
    """Revoke the chosen clips and sources, and return the receipt. Raises UsageError where there is nothing left to do.

    The caller has resolved what is meant: see `chosen`.
    """
    if not order.reason.strip():
        raise UsageError("--reason is missing: say why, the receipt is for those who ask later")
    with sole_writer(dataset):
        Ledger(dataset).sweep()
        all_revoked(dataset)  # a receipt that is gone is no number for another
        finish_begun(dataset)
        already = tombstones(receipts(dataset))
        clips = [row for row in chosen.clips if row["clip_id"] not in already.by_clip]
        sources = [row for row in chosen.sources if row["source_id"] not in already.sources]
        if not clips and not sources:
            what = "all of it is revoked already" if chosen.clips or chosen.sources else "there is no such clip"
            raise UsageError(f"{order.what}: {what}")
        receipt = _begun(dataset, clips, sources, chosen, order)
        write_receipt(dataset, receipt)
        return _finish(dataset, receipt)


def finish_begun(dataset: Path) -> None:
    """Finish revocations that were cut short. Hold the lock."""
    for receipt in receipts(dataset):
        if receipt["state"] == "begun":
            _finish(dataset, receipt)


def _begun(
    dataset: Path,
    clips: Sequence[Mapping[str, Any]],
    sources: Sequence[Mapping[str, Any]],
    chosen: Chosen,
    order: Order,
) -> Receipt:
    before = receipts(dataset)
    packed = _packed(dataset)
    rows = [
        {
            "clip_id": row["clip_id"], "source_id": row["source_id"], "segment_id": row["segment_id"],
            "start_frame": row["start_frame"], "end_frame": row["end_frame"],
            "crop_xyxy_px": [row[f"crop_{end}_px"] for end in ("x0", "y0", "x1", "y1")],
            "shard": packed[row["clip_id"]]["shard"] if row["clip_id"] in packed else None,
            "tar_bytes": packed[row["clip_id"]]["tar_bytes"] if row["clip_id"] in packed else 0,
        }
        for row in clips
    ]  # fmt: skip
    return {
        "receipt": f"{len(before) + 1:06d}", "state": "begun", "what": order.what, "reason": order.reason,
        "by": order.by, "begun": _now(), "done": None, "previous_sha256": before[-1]["sha256"] if before else None,
        "clips": rows, "sources": [{"source_id": row["source_id"], "uri": row["uri"]} for row in sources],
        "seconds": sum(row["end_frame"] - row["start_frame"] for row in rows) / GRID_FPS,
        "not_compared": chosen.not_compared, "distances": chosen.distances,
        "digests_before": digests(dataset), "digests_after": None, "latents": [],
        "deleted": [],
    }  # fmt: skip


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def signer() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _packed(dataset: Path) -> dict[str, dict[str, Any]]:
    """clip_id → shard and room in it, of the clips in the manifest."""
    path = dataset / "manifest.parquet"
    if not path.is_file():
        return {}
    sizes = [f"{member}_bytes" for member in manifest.MEMBERS]
    rows = manifest.read(path).select(["clip_id", "shard", *sizes]).to_pylist()
    return {
        row["clip_id"]: {"shard": row["shard"], "tar_bytes": sum(tar_size(row[size]) for size in sizes)} for row in rows
    }


def digests(dataset: Path) -> dict[str, str]:
    """sha256 of every shard by the manifest, and of the manifest itself."""
    path = dataset / "manifest.parquet"
    if not path.is_file():
        return {}
    rows = manifest.read(path).select(["shard", "shard_sha256"]).to_pylist()
    out = {f"shards/{row['shard']}": row["shard_sha256"] for row in rows}
    return {**dict(sorted(out.items())), "manifest.parquet": hashlib.sha256(path.read_bytes()).hexdigest()}


def _finish(dataset: Path, receipt: Receipt) -> Receipt:
    """All steps after the receipt was begun; each may be done again."""
    pipeline = stored_pipeline(dataset)
    chain = StandingChain(dataset, pipeline, stored_policy(dataset, pipeline))
    purge_ledger(chain, receipt)
    chain.settle_sources(packed_keys(dataset, pipeline))
    publish(dataset, chain, finished=True, packed_only=True)
    touched = purge_latents(dataset, [row["clip_id"] for row in receipt["clips"]])
    drop_other_decisions(dataset, chain.job.policy.digest)
    clip_ids = [row["clip_id"] for row in receipt["clips"]]
    deleted = [*receipt["deleted"], *purge_prints(dataset, clip_ids), *purge_pages(dataset, clip_ids)]
    after = {
        **receipt, "state": "done", "done": _now(), "digests_after": digests(dataset),
        "latents": sorted({*receipt["latents"], *touched}), "deleted": sorted(set(deleted)),
    }  # fmt: skip
    write_receipt(dataset, after)
    return signed(after)


def told(receipt: Receipt) -> str:
    """The receipt in lines for people."""
    before, after = receipt["digests_before"], receipt["digests_after"] or {}
    changed = [name for name, digest in before.items() if after.get(name) != digest and name.startswith("shards/")]
    same = sum(name.startswith("shards/") for name in before) - len(changed)
    lines = [
        f"receipt {receipt['receipt']}: {receipt['what']}, because: {receipt['reason']}",
        f"{len(receipt['clips'])} clips ({receipt['seconds']:.1f} s) and {len(receipt['sources'])} sources are out; "
        f"{sum(row['shard'] is not None for row in receipt['clips'])} of the clips were in shards",
        f"{len(changed)} shards rewritten, {same} as before",
        *(f"  {name}  {before[name][:16]} ▶ {after[name][:16] if name in after else 'gone'}" for name in changed),
    ]
    if receipt["latents"]:
        lines.append(f"latents dropped, make them anew: {', '.join(receipt['latents'])}")
    if receipt["deleted"]:
        lines.append(f"deleted, for what they showed of it: {', '.join(receipt['deleted'])}")
    if receipt["not_compared"]:
        lines.append(
            f"{receipt['not_compared']} clips have no face embedding (their identity was never scored): not compared"
        )
    lines.append(f"signed off by {receipt['by']}, {receipt['done']}, sha256 {receipt['sha256']}")
    lines.append(f"{FOLDER}/{receipt['receipt']}.json")
    return "\n".join(lines)
