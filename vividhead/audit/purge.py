"""Take revoked content out of what stands beside the tables: the ledger's bytes and arrays, cached latents, the prints
that a split is made by, and pages with stills."""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from vividhead import manifest
from vividhead.chain import Chain
from vividhead.ledger import Ledger, write_atomically
from vividhead.plain import npz
from vividhead.shards import index
from vividhead.through import forget_all

LATENTS = "latents"
ARRAY_STAGES = ("measure", "more")
SEGMENT_STAGES = ("scan", "measure", "more")


def purge_ledger(chain: Chain, receipt: Mapping[str, Any]) -> None:
    """Forget encoded bytes, meshes and embeddings of revoked clips, and all of a revoked source's but what it is."""
    ledger = chain.ledger
    forget_all(ledger.root.parent)
    clip_ids = {row["clip_id"] for row in receipt["clips"]}
    for key in ledger.keys("pack"):
        if key.split("-", 1)[0] in clip_ids:
            ledger.forget("pack", key)
    sources = {row["source_id"][:16] for row in receipt["sources"]}
    segments = {row["segment_id"] for row in receipt["clips"]}
    for stage in SEGMENT_STAGES:
        for key in ledger.keys(stage):
            if key[:16] in sources:
                ledger.forget(stage, key)
            elif stage in ARRAY_STAGES and key[:24] in segments:
                _drop_arrays(ledger, stage, key, clip_ids)


def _drop_arrays(ledger: Ledger, stage: str, key: str, clip_ids: set[str]) -> None:
    """Rewrite a commit's arrays without those of the clips. The commit's digest is changed with them."""
    path = ledger.part(stage, key, "npz")
    record = ledger.read(stage, key)
    if record is None or "failed" in record or not path.is_file():
        return
    data = path.read_bytes()
    if not data:
        return
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        kept = {name: stored[name] for name in stored.files if name.partition(".")[0] not in clip_ids}
        if len(kept) == len(stored.files):
            return
    data = npz(kept)
    write_atomically(path, data)
    record["parts"] = {**record["parts"], "npz": hashlib.sha256(data).hexdigest()}
    text = json.dumps(record, allow_nan=False, ensure_ascii=True, sort_keys=True)
    write_atomically(ledger.root / stage / f"{key}.json", text.encode())


def purge_latents(dataset: Path, clip_ids: Sequence[str]) -> list[str]:
    """Delete cached latents that hold any of the clips, and the cache's table; returns the caches, by name.

    A cache is of the shards as they were, so one that held such a clip is stale in any case: it is made anew.
    """
    touched = []
    for cache in sorted(path for path in (dataset / LATENTS).glob("*") if path.is_dir()):
        holding = [path for path in _tapes(cache) if _holds(path, clip_ids)]
        if not holding and not _names(cache, clip_ids):
            continue
        (cache / "latents.parquet").unlink(missing_ok=True)
        for tape in holding:
            tape.unlink()
        for record in cache.glob("ledger/*/*.json"):
            if any(clip_id in record.read_text(encoding="utf-8") for clip_id in clip_ids):
                record.unlink()
        touched.append(f"{LATENTS}/{cache.name}")
    return touched


def _tapes(cache: Path) -> Iterable[Path]:
    return sorted(cache.rglob("*.tar"))


def _names(cache: Path, clip_ids: Sequence[str]) -> bool:
    table = cache / "latents.parquet"
    return table.is_file() and bool(set(clip_ids) & set(manifest.read(table)["clip_id"].to_pylist()))


def _holds(tape: Path, clip_ids: Sequence[str]) -> bool:
    stems = {name.split(".", 1)[0] for name in index([tape])}
    return not stems.isdisjoint(clip_ids)


def purge_prints(dataset: Path, clip_ids: Sequence[str]) -> list[str]:
    """Delete the fingerprints and embeddings of the clips that `vividhead split` keeps; returns the files."""
    touched = []
    for path in sorted((dataset / "splits" / "prints").glob("*.parquet")):
        prints = manifest.read(path)
        is_gone = compute.is_in(prints["clip_id"], pa.array(clip_ids, pa.string()))
        if compute.any(is_gone).as_py():
            write_atomically(path, manifest.parquet(prints.filter(compute.invert(is_gone))))
            touched.append(f"splits/prints/{path.name}")
    return touched


def purge_pages(dataset: Path, clip_ids: Sequence[str]) -> list[str]:
    """Delete the reports in the dataset's folder that show any of the clips; returns them."""
    touched = []
    for path in sorted(dataset.glob("*.html")):
        page = path.read_bytes()
        if any(clip_id.encode() in page for clip_id in clip_ids):
            path.unlink()
            touched.append(path.name)
    return touched
