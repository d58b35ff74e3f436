"""The chain on Ray: one task a unit, each in a contained child of its Ray worker. The only module that imports ray.

Frames never enter the object store: a task takes a unit and returns how it ended, the ledger holds the result. So
the dataset folder must be a path that every node sees.
"""

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol, TypeVar

import ray

from vividhead.contain import Child, Contained, Fault, Outcome, Spent
from vividhead.errors import StorageError, UsageError
from vividhead.pipeline import Needs
from vividhead.run_local import Settle, Told

CHECK_S = 5.0
AHEAD = 2
"""Tasks handed to Ray beyond its free cores, so that a core never waits for the driver."""


class Staged(Protocol):
    """A unit of work."""

    @property
    def stage(self) -> str:
        """Which of the job's `needs` it has."""


class ClusterJob(Contained, Protocol):
    """What is asked of a cluster, such as `chain.Job`."""

    @property
    def needs(self) -> Mapping[str, Needs]:
        """Stage → what one of its units reserves."""

    def where_to_lower(self, stage: str) -> str:
        """What a user changes for a stage to reserve less."""


U = TypeVar("U", bound=Staged)


@cache
def _child() -> Child:
    return Child()


def _attempt(unit: object, job: Contained) -> tuple[Outcome, Spent]:
    """Runs in a Ray worker; its child stays warm for the worker's next unit."""
    try:
        return _child().run(unit, job), _child().spent
    except StorageError as fault:
        return Fault("storage", str(fault)), _child().spent


class _Exported:
    """What attempts cost, through Ray's own exporter: `ray_vividhead_…` at every node's metrics port."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Gauge

        tags = ("stage", "outcome")
        self._attempts = Counter("vividhead_attempts", "attempts at units of work", tags)
        self._wall_s = Counter("vividhead_attempt_seconds", "wall seconds of attempts", tags)
        self._cpu_s = Counter("vividhead_attempt_cpu_seconds", "CPU seconds of attempts", tags)
        self._running = Gauge("vividhead_running_units", "units handed to Ray")

    def told(self, stage: str, outcome: Outcome, spent: Spent, running: int) -> None:
        """One more attempt has ended."""
        tags = {"stage": stage, "outcome": "done" if outcome is None else "failed"}
        self._attempts.inc(1, tags)
        for counter, value in ((self._wall_s, spent.wall_s), (self._cpu_s, spent.cpu_s)):
            if value > 0:  # Ray refuses to count nothing
                counter.inc(value, tags)
        self._running.set(running)


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[None]:
    """Join the cluster at `address`, or start a local one of `workers` cores (all of this machine's if None)."""
    ours = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address or "local", num_cpus=None if address else workers, include_dashboard=False,
            log_to_driver=False, logging_level=logging.ERROR, configure_logging=False,
        )  # fmt: skip
    except (ConnectionError, ValueError, RuntimeError) as fault:
        raise UsageError(f"cannot join or start Ray at {address or 'this machine'}: {fault}") from fault
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ours)  # Ray puts its own in place, which ends in a core dump
    try:
        yield
    finally:
        ray.shutdown()


def run_ray(units: Iterable[U], settle: Settle[U], job: ClusterJob, told: Told[U] | None = None) -> None:
    """Run `units` and all that follow from them on the cluster joined by `cluster`.

    A task that does not end within its limits (its worker or node is stopped or unreachable, or the cluster is busy
    with others' work) is cancelled and handed out again; should it finish after all, it commits the same bytes.
    Raises UsageError when no node can ever hold one of the stages.
    """
    per_stage = job.needs
    _check_needs(job)
    remote = ray.remote(max_retries=0, max_calls=0)(_attempt)
    shared: Any = ray.put(job)
    todo = deque(units)
    running: dict[Any, tuple[U, float]] = {}
    exported = _Exported()
    deadline_s = job.limits.unit_limit_s + job.limits.stall_limit_s
    try:
        while todo or running:
            resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            room = int(resources.get("CPU", 1)) + AHEAD - len(running)
            for _ in range(min(room, len(todo))):
                unit = todo.popleft()
                need = per_stage[unit.stage]
                options = {"num_cpus": need.cpus, "num_gpus": need.gpus, "memory": need.memory_mb * 1_000_000}
                running[remote.options(**options).remote(unit, shared)] = (unit, time.monotonic())
            for ref in _ended(list(running)):
                unit, _ = running.pop(ref)
                outcome, spent = _outcome(ref)
                exported.told(unit.stage, outcome, spent, len(running))
                if told is not None:
                    told(unit, outcome, spent)
                todo.extendleft(reversed(settle(unit, outcome)))
            for ref in [r for r, (_, began) in running.items() if time.monotonic() - began > deadline_s]:
                ray.cancel(ref, force=True)
                todo.append(running.pop(ref)[0])
    finally:
        for ref in running:
            ray.cancel(ref, force=True)


def _check_needs(job: ClusterJob) -> None:
    """Raise UsageError for a stage that no present node has room for: its tasks would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    for stage, need in job.needs.items():
        wanted = {"CPU": need.cpus, "GPU": need.gpus, "memory": need.memory_mb * 1_000_000}
        if not any(all(node.get(kind, 0) >= amount for kind, amount in wanted.items()) for node in nodes):
            raise UsageError(
                f"{job.where_to_lower(stage)} asks for {need.cpus:g} CPUs, {need.gpus:g} GPUs and {need.memory_mb} MB; "
                "no node of the cluster has that. Lower it, or add a node"
            )


def _ended(refs: list[Any]) -> list[Any]:
    """Those that have ended by now, waiting for the first: asked for together, as each question looks at them all."""
    first, rest = ray.wait(refs, num_returns=1, timeout=CHECK_S, fetch_local=False)
    if not first or not rest:
        return list(first)
    return [*first, *ray.wait(rest, num_returns=len(rest), timeout=0, fetch_local=False)[0]]


def _outcome(ref: Any) -> tuple[Outcome, Spent]:
    outcome: Outcome
    spent: Spent
    try:
        outcome, spent = ray.get(ref)
    except ray.exceptions.RayTaskError as fault:
        return Fault("error", f"in its Ray task: {fault.cause}"), Spent()
    except ray.exceptions.RayError as fault:
        return Fault("crash", f"its Ray worker was lost: {type(fault).__name__}"), Spent()
    if isinstance(outcome, Fault) and outcome.kind == "storage":
        raise StorageError(outcome.detail)
    return outcome, spent
