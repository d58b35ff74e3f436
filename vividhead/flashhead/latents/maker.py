"""Make the latents of a dataset, or finish making them: groups of clips, each one commit, the table last."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividhead import manifest
from vividhead.errors import DatasetError, UsageError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.latents.codec import fitted, load_from, source_of
from vividhead.flashhead.latents.identity import CODE_VERSION, FILE, FOLDER, TABLE, Identity, folder_of, shards_of
from vividhead.flashhead.latents.plan import LatentPlan
from vividhead.flashhead.latents.table import CACHED, FAILED, SYNC, latents_table
from vividhead.flashhead.latents.unit import STAGE, LatentJob, LatentUnit
from vividhead.flashhead.latents.work import ATTEMPTS, Settler, Told, groups, left_over
from vividhead.flashhead.model.codecs import LinearCodec
from vividhead.ledger import Ledger, sole_writer, write_atomically
from vividhead.loader.checks import check_side, packed_side_px
from vividhead.loader.folder import Folder
from vividhead.loader.members import check_shards
from vividhead.pipeline import Needs, Run

if TYPE_CHECKING:
    import pyarrow

LIMITS = Run(attempts=ATTEMPTS, stall_limit_s=3600.0, unit_limit_s=604800.0, memory_limit_mb=24000)
"""A window of the LTX codec takes minutes on one core."""
CPU_MB, CUDA_MB = 4000, 8000
"""Memory that a unit reserves on a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be cached, and how."""

    dataset: str
    config: FlashHeadConfig
    codec: Path | None = None
    """Folder or file with the codec's weights; None: nano's is fitted, the others are looked for where weights lie."""
    random_weights: bool = False
    stride_frames: int | None = None
    on: str = "ray"
    workers: int | None = None
    address: str | None = None
    device: str = "cpu"
    gpus_per_worker: float = 1.0
    retry_failed: bool = False
    entry: str = "vividhead.flashhead.latents.unit:run_unit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A finished cache."""

    cache: Path
    clips: int
    windows: int
    bytes: int
    failed: tuple[str, ...]
    """Why clips could not be cached: code and detail, one for each."""
    took_s: float
    stale: tuple[str, ...]
    """Other caches of the model beside it, made of other shards, codecs or plans."""

    def plain(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "cache": str(self.cache), "clips": self.clips, "windows": self.windows, "bytes": self.bytes,
            "failed": list(self.failed), "took_s": round(self.took_s, 1), "stale": list(self.stale),
        }  # fmt: skip


def make_latents(order: Order, told: Told = lambda text: None) -> Made:
    """Cache the latents of every training window; run again to resume. Raises a VividHeadError."""
    began = time.monotonic()
    dataset = Path(order.dataset)
    folder = Folder(str(dataset))
    if folder.is_remote:
        raise UsageError(f"{dataset}: latents are written beside the dataset; give a local folder, or a shared one")
    rows = folder.manifest()
    packed_px = packed_side_px(folder)
    check_side(order.config.stream.side_px, packed_px, str(dataset))
    check_shards(folder, rows)
    plan = LatentPlan.of(order.config, order.stride_frames)
    workers = _workers(order)
    with sole_writer(dataset):
        Ledger(dataset / FOLDER).sweep()
        source = source_of(_codec_folder(order, told), order.config)
        identity = Identity(
            code_version=CODE_VERSION, codec_kind=order.config.codec.kind, codec_sha256=source.sha256,
            device=order.device, plan=plan, shards=shards_of(rows),
        )  # fmt: skip
        cache = folder_of(dataset, order.config.name, identity)
        job = LatentJob(
            dataset=str(dataset.absolute()), cache=str(cache.absolute()), config=order.config, plan=plan,
            packed_side_px=packed_px, codec=source, device=order.device, limits=LIMITS, reserves=_reserves(order),
            entry=order.entry,
        )  # fmt: skip
        write_atomically(cache / FILE, identity.text().encode())
        if order.config.codec.kind == LinearCodec.kind:  # so that a run that reads the cache decodes with the same
            codec = load_from(source.folder, order.config)
            assert isinstance(codec, LinearCodec)
            codec.save(cache)
        ledger = Ledger(cache)
        units = groups(rows)
        todo = left_over(ledger, units, order.retry_failed)
        if todo:
            _run(order, workers, todo, Settler(ledger, units, todo, told), job)
        made = _publish(ledger, cache, rows, units)
    others = (dataset / FOLDER).glob(f"{order.config.name}-*/{FILE}")
    stale = tuple(sorted(path.parent.name for path in others if path.parent != cache))
    cached = [row for row in made if row["status"] == CACHED]
    return Made(
        cache=cache, clips=len(cached), windows=sum(row["n_windows"] for row in cached),
        bytes=sum(path.stat().st_size for path in (cache / "shards").glob("*.tar")),
        failed=tuple(f"{row['clip_id']}: {row['code']}: {row['detail']}" for row in made if row["status"] == FAILED),
        took_s=time.monotonic() - began, stale=stale,
    )  # fmt: skip


def _codec_folder(order: Order, told: Told) -> Path | None:
    if order.random_weights:
        return None
    if order.codec is None and order.config.codec.kind == "linear":
        told("fitting the codec to the clips")
        return fitted(Path(order.dataset), order.config)
    return order.codec or Path(order.dataset).absolute().parent


def _workers(order: Order) -> int:
    """How many units at a time; UsageError for what cannot be meant."""
    if order.on not in ("ray", "local"):
        raise UsageError(f"cannot run on {order.on!r}; there are ray, local")
    if order.address is not None and (order.on == "local" or order.workers is not None):
        raise UsageError("an address is a cluster's, which has its own workers: leave one of the two out")
    if order.workers is not None and order.workers < 1:
        raise UsageError(f"workers {order.workers}: at least 1 is needed")
    if order.gpus_per_worker <= 0:
        raise UsageError(
            f"--gpus-per-worker {order.gpus_per_worker:g}: more than 0 is needed; 0.5 lets two share a GPU"
        )
    if order.workers is not None:
        return order.workers
    if order.device == "cuda" and order.on == "local":
        return max(1, int(1 / order.gpus_per_worker))  # children share one GPU; Ray gives each worker its own
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _reserves(order: Order) -> Needs:
    if order.device == "cuda":
        return Needs(cpus=1.0, gpus=order.gpus_per_worker, memory_mb=CUDA_MB)
    return Needs(cpus=1.0, gpus=0.0, memory_mb=CPU_MB)


def _run(order: Order, workers: int, todo: list[LatentUnit], settle: Settler, job: LatentJob) -> None:
    if order.on == "local":
        from vividhead.run_local import run_local

        run_local(todo, settle, job, workers)
        return
    from vividhead.run_ray import cluster, run_ray

    with cluster(order.address, workers):
        run_ray(todo, settle, job)


def _publish(ledger: Ledger, cache: Path, rows: "pyarrow.Table", units: Sequence[LatentUnit]) -> list[dict[str, Any]]:
    """Write latents.parquet out of the commits, in the manifest's order."""
    found = {row["clip_id"]: row for row in _committed(ledger, units)}
    sync = [field for field in rows.schema if field.name.startswith(SYNC)]
    listed = rows.select(["clip_id", *(field.name for field in sync)]).to_pylist()
    made = [{**scores, **found[scores["clip_id"]]} for scores in listed]
    write_atomically(cache / TABLE, manifest.parquet(latents_table(made, sync)))
    return made


def _committed(ledger: Ledger, units: Sequence[LatentUnit]) -> Iterator[dict[str, Any]]:
    for unit in units:
        record = ledger.read(STAGE, unit.key)
        if record is None:
            raise DatasetError(f"the group {unit.key} has no result; run the same command again")
        yield from record["rows"]
