"""The chain on Ray: one task a unit, each in a contained child of its Ray worker. The only module that imports ray.

Frames never enter the object store: a task takes a unit and returns how it ended, the ledger holds the result. So
the dataset folder must be a path that every node sees.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import ray

from vividhead.chain import Job, Unit
from vividhead.contain import Child, Fault, Outcome
from vividhead.errors import StorageError, UsageError
from vividhead.pipeline import Needs
from vividhead.run_local import Settle

CHECK_S = 5.0
IN_FLIGHT_PER_CPU = 2
"""Tasks handed to Ray ahead of free cores, so that a core never waits for the driver."""


@cache
def _child() -> Child:
    return Child()


def _attempt(unit: Unit, job: Job) -> Outcome:
    """Runs in a Ray worker; its child stays warm for the worker's next unit."""
    try:
        return _child().run(unit, job)
    except StorageError as fault:
        return Fault("storage", str(fault))


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[None]:
    """Join the cluster at `address`, or start a local one of `workers` cores (all of this machine's if None)."""
    try:
        ray.init(
            address=address or "local", num_cpus=None if address else workers, include_dashboard=False,
            log_to_driver=False, logging_level=logging.ERROR, configure_logging=False,
        )  # fmt: skip
    except (ConnectionError, ValueError) as fault:
        raise UsageError(f"no Ray cluster at {address}: {fault}") from fault
    try:
        yield
    finally:
        ray.shutdown()


def run_ray(units: Iterable[Unit], settle: Settle, job: Job) -> None:
    """Run `units` and all that follow from them on the cluster joined by `cluster`.

    A task that outlives its limits by far (its worker or node is stopped or unreachable) is given up and handed out
    again; should it finish after all, it commits the same bytes.
    """
    remote = ray.remote(max_retries=0, max_calls=0)(_attempt)
    shared: Any = ray.put(job)
    needs = job.pipeline.resources
    per_stage: dict[str, Needs] = {
        "ingest": needs.ingest, "scan": needs.scan, "measure": needs.measure, "more": needs.measure, "pack": needs.pack,
    }  # fmt: skip
    todo = deque(units)
    running: dict[Any, tuple[Unit, float]] = {}
    deadline_s = job.pipeline.run.unit_limit_s + job.pipeline.run.stall_limit_s
    while todo or running:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        room = max(2, int(resources.get("CPU", 1) * IN_FLIGHT_PER_CPU)) - len(running)
        for _ in range(min(room, len(todo))):
            unit = todo.popleft()
            need = per_stage[unit.stage]
            options = {"num_cpus": need.cpus, "num_gpus": need.gpus, "memory": need.memory_mb * 1_000_000}
            running[remote.options(**options).remote(unit, shared)] = (unit, time.monotonic())
        done, _ = ray.wait(list(running), num_returns=1, timeout=CHECK_S)
        late = [ref for ref, (_, began) in running.items() if time.monotonic() - began > deadline_s]
        for ref in {*done, *late}:
            unit, _ = running.pop(ref)
            outcome = _outcome(ref) if ref in done else Fault("hang", "its worker does not answer")
            if isinstance(outcome, Fault) and outcome.kind == "storage":
                raise StorageError(outcome.detail)
            todo.extendleft(reversed(settle(unit, outcome)))


def _outcome(ref: Any) -> Outcome:
    try:
        return ray.get(ref)  # type: ignore[no-any-return]
    except ray.exceptions.RayError as fault:
        return Fault("crash", f"its Ray worker was lost: {type(fault).__name__}")
