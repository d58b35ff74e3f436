"""The chain as a plain loop on this machine: the specification that `run_ray` must equal, byte for byte."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from vividhead.contain import Child, Contained, Outcome, Spent

U = TypeVar("U")
Settle = Callable[[U, Outcome], list[U]]
"""Takes a finished attempt; returns the units to do next (the same one again for a retry)."""


Told = Callable[[U, Outcome, Spent], None]
"""Hears what every attempt cost, before it is settled."""


def run_local(units: Iterable[U], settle: Settle[U], job: Contained, workers: int, told: Told[U] | None = None) -> None:
    """Run `units` and all that follow from them, `workers` at a time, each in a child process.

    What follows from a unit goes first, so that a segment is finished before the next one is begun.
    """
    todo = deque(units)
    running: dict[Future[tuple[Outcome, Spent]], U] = {}
    children: list[Child] = []
    mine = threading.local()

    def attempt(unit: U) -> tuple[Outcome, Spent]:
        if not hasattr(mine, "child"):
            mine.child = Child()
            children.append(mine.child)
        child: Child = mine.child
        return child.run(unit, job), child.spent

    pool = ThreadPoolExecutor(workers, thread_name_prefix="unit")
    try:
        while todo or running:
            while todo and len(running) < workers:
                unit = todo.popleft()
                running[pool.submit(attempt, unit)] = unit
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                unit = running.pop(future)
                outcome, spent = future.result()
                if told is not None:
                    told(unit, outcome, spent)
                todo.extendleft(reversed(settle(unit, outcome)))
    finally:
        for child in children:
            child.stop()
        pool.shutdown(wait=True, cancel_futures=True)
