"""The main job: footage in, a dataset out. Resumes by itself; the same bytes however often it was interrupted."""

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from vividhead import manifest
from vividhead.chain import Chain
from vividhead.contain import Fault, Outcome, Spent
from vividhead.dataset import claim, note_run, refuse_strangers
from vividhead.errors import DatasetError, UsageError
from vividhead.ingest import find
from vividhead.ledger import Ledger, sole_writer
from vividhead.pipeline import DEFAULT_PIPELINE, load_pipeline
from vividhead.plain import to_plain, utf8
from vividhead.policy import load_policy
from vividhead.progress import Progress
from vividhead.publish import publish
from vividhead.records import Listed
from vividhead.score import require_models
from vividhead.shard_set import packed_keys
from vividhead.through import Through
from vividhead.units import Failure, Job, Unit, end_basis


@dataclass(slots=True)
class _Settler:
    """Decides what becomes of a finished attempt: the next units, a retry, or a failure for good."""

    chain: Chain
    progress: Progress
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __call__(self, unit: Unit, outcome: Outcome) -> list[Unit]:
        blamed = self.chain.at_fault(unit) if outcome is not None else unit
        if blamed is None:
            outcome = None
        elif blamed != unit:
            if isinstance(outcome, Fault):
                self.progress.fault(unit, outcome, 0)
            return [blamed]
        name = (unit.stage, unit.key)
        job = self.chain.job
        if isinstance(outcome, Fault):
            self.attempts[name] += 1
            self.progress.fault(unit, outcome, self.attempts[name])
            if self.attempts[name] < job.pipeline.run.attempts:
                return [unit]
            outcome = Failure(
                f"failed.{outcome.kind}",
                f"{outcome.detail}; {self.attempts[name]} attempts; reproduce: "
                f"vividhead reproduce {shlex.quote(job.dataset)} {unit.stage}/{unit.key}",
            )
        if outcome is not None and not outcome.transient:
            self.chain.ledger.commit(
                unit.stage, unit.key, {"failed": to_plain(outcome), "unit": to_plain(unit), "here": job.here}, {}
            )
        following = self.chain.after(unit, outcome)
        self.progress.done(unit, outcome, following)
        return following


Settle = Callable[[Unit, Outcome], list[Unit]]


class Runner(Protocol):
    """`run_local` and `run_ray`, given where to run."""

    def __call__(
        self, units: Iterable[Unit], settle: Settle, job: Job, *, told: Callable[[Unit, Outcome, Spent], None]
    ) -> None:
        """Run `units` and all that follow from them."""


def curate(
    footage: str | Path,
    out: str | Path,
    *,
    pipeline: str = DEFAULT_PIPELINE,
    filters: str | None = None,
    on: str = "ray",
    workers: int | None = None,
    address: str | None = None,
    forget_missing: bool = False,
    retry_failed: bool = False,
    progress: Progress | None = None,
    entry: str = "vividhead.stages:run_unit",
) -> Path:
    """Curate `footage` (a folder, file, glob or source list) into the dataset folder `out`, and return it.

    `pipeline` and `filters` are shipped names or paths. `on` is `ray` (a local Ray is started on demand; `address`
    joins a cluster) or `local` (child processes of this one); the dataset is the same. `workers` defaults to the
    machine's cores. Run again to resume, with new filters to judge anew, with more footage to extend.

    Footage that had clips in the dataset and is gone is refused, unless `forget_missing` drops its clips.
    `retry_failed` tries quarantined units anew.

    Raises ConfigError, UsageError, DatasetError or StorageError; footage that cannot be used becomes rows.
    """
    plan = load_pipeline(pipeline)
    policy = load_policy(filters if filters is not None else plan.filters, plan.measure.scores)
    require_models(plan.measure.scores)
    count = _checked(on, workers, address)
    where = str(Path.cwd() / footage)
    listed = find(str(footage))
    if "://" in str(out):
        raise UsageError(f"--out {out}: datasets are written to folders; give a local one, or one that all nodes share")
    dataset = Path(out)
    job = Job(dataset=str(dataset.absolute()), here=str(Path.cwd()), pipeline=plan, policy=policy, entry=entry)
    refuse_strangers(dataset)  # before a lock is laid into somebody's folder
    with sole_writer(dataset):
        claim(dataset, where, plan, policy)
        if retry_failed:
            Ledger(dataset).forget_failures()
        with _runner(on, count, address) as runner:
            _run(dataset, job, listed, runner, progress or Progress(), forget_missing)
        note_run(dataset, where, plan, policy)
    return dataset


def _run(
    dataset: Path, job: Job, listed: list[Listed], runner: Runner, progress: Progress, forget_missing: bool
) -> None:
    ledger = Ledger(dataset)
    ledger.sweep()
    with Through(ledger, end_basis(job)) as through, progress:
        chain = Chain(job, ledger, listed, through)
        settle = _Settler(chain, progress)
        units = chain.ingest_units()
        progress.begin("ingest", len(units))
        if units:
            runner(units, settle, job, told=progress.told)
        units = chain.settle_sources(packed_keys(dataset, job.pipeline))
        if not forget_missing:
            _refuse_loss(dataset, chain)
        progress.footage(chain, units)
        finished = False
        try:
            if units:
                runner(units, settle, job, told=progress.told)
            finished = True
        finally:
            publish(dataset, chain, finished)


def _refuse_loss(dataset: Path, chain: Chain) -> None:
    """Raise DatasetError if footage with clips in the dataset is not there any more: its clips would go unseen."""
    if not (dataset / "manifest.parquet").is_file():
        return
    packed = manifest.read(dataset / "manifest.parquet").select(["source_id", "uri"]).to_pylist()
    there = [source for source in chain.sources if source.outcome != "failed"]
    contents, uris = {s.source_id for s in there}, {utf8(s.listed.uri) for s in there}
    gone = sorted({row["uri"] for row in packed if row["source_id"] not in contents and row["uri"] not in uris})
    if gone:
        raise DatasetError(
            f"{gone[0]} has clips in {dataset} and is no longer listed, gone or unreadable ({len(gone)} in all). Bring "
            "it back, or give --forget-missing to drop such clips from the shards"
        )


def _checked(on: str, workers: int | None, address: str | None) -> int:
    """The number of workers, or UsageError for what cannot be meant."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if on not in ("ray", "local"):
        raise UsageError(f"cannot run on {on!r}; there are ray, local")
    if on == "local" and address is not None:
        raise UsageError("an address is for --on ray; leave one of the two out")
    if address is not None and workers is not None:
        raise UsageError("workers are for this machine; a cluster at an address has its own: leave one of the two out")
    if workers is not None and workers < 1:
        raise UsageError(f"workers {workers}: at least 1 is needed")
    return workers if workers is not None else cores


@contextmanager
def _runner(on: str, workers: int, address: str | None) -> Iterator[Runner]:
    if on == "local":
        from vividhead.run_local import run_local

        yield partial(run_local, workers=workers)
    else:
        from vividhead.run_ray import cluster, run_ray

        with cluster(address, workers):
            yield run_ray
