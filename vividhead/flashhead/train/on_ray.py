"""The same training, its ranks started by Ray Train: on this machine, or over a cluster.

Ray starts a process for each rank, anywhere, and makes their process group; they run `train` as torchrun's do. What a
run leaves lies in its folder as always, which every node must see, as it must the dataset. Ray keeps nothing that
would be needed again. Ctrl-C here asks the ranks to stop by the file that they look for, so they save.
"""

import json
import math
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import ray

from vividhead import errors
from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.train.feeding import ANY_CACHE
from vividhead.flashhead.train.logs import LOG_FILE
from vividhead.flashhead.train.loop import CHECKPOINT, Order, Told, Trained, train
from vividhead.flashhead.train.ranks import BACKENDS, PATIENCE
from vividhead.flashhead.train.stopping import SAME_CTRL_C_S, STOP_FILE
from vividhead.ledger import storage_error, write_atomically
from vividhead.run_ray import cluster

LOOK_S = 0.5
_ENDED, _FAULT = "ended.json", "fault-{rank}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """How many processes train, and what each of them has."""

    count: int = 1
    gpus_each: float = 0.0
    """0: they compute on the CPU. A rank uses one GPU; less than one is for a rank that shares it with other work."""
    cpus_each: float = 1.0
    address: str | None = None
    """Of a running cluster; None starts one here."""

    def __post_init__(self) -> None:
        """Refuse what no rank could work with."""
        if self.count < 1:
            raise UsageError(f"--workers {self.count}: 1 or more")
        if not 0 <= self.gpus_each <= 1 or (self.count > 1 and 0 < self.gpus_each < 1):
            raise UsageError(
                f"--gpus-per-worker {self.gpus_each:g}: a rank computes on one GPU, of which ranks share none: 1, or 0 "
                "for the CPU; a part of one for a single worker"
            )


def train_on_ray(order: Order, ranks: Ranks, told: Told = lambda step, steps, rate, figures: None) -> Trained:
    """As `train`, with ranks that Ray starts. Raises UsageError where Ray Train is not installed."""
    _ray_train()
    order = _from_anywhere(order)
    folder = order.run / f"stage{order.stage}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        between = Path(tempfile.mkdtemp(prefix=".ray-", dir=folder))  # what ranks tell, beside what they make
    except OSError as fault:
        raise storage_error(fault, folder) from fault
    try:
        with cluster(ranks.address, None if ranks.address else _cores(ranks)):
            _check_room(ranks)
            _run(order, ranks, between, _Follower(folder / LOG_FILE, order, told))
        return _ended(between, order)
    finally:
        shutil.rmtree(between, ignore_errors=True)


def _ray_train() -> Any:
    try:
        import ray.train.torch
    except ImportError as fault:
        raise UsageError(
            f"--on ray needs Ray Train ({fault}): pip install 'vividhead[train]', or start the ranks with torchrun"
        ) from fault
    return ray.train


def _run(order: Order, ranks: Ranks, between: Path, follower: "_Follower") -> None:
    """Start the ranks and wait for them, on a thread: Ray would answer Ctrl-C by killing them."""
    ray_train = _ray_train()
    kind = "cuda" if ranks.gpus_each else "cpu"
    per_rank = {"CPU": ranks.cpus_each} | ({"GPU": ranks.gpus_each} if ranks.gpus_each else {})
    trainer = ray_train.torch.TorchTrainer(
        _rank, train_loop_config={"order": replace(order, device=kind), "between": between},
        scaling_config=ray_train.ScalingConfig(
            num_workers=ranks.count, use_gpu=kind == "cuda", resources_per_worker=per_rank
        ),
        torch_config=ray_train.torch.TorchConfig(backend=BACKENDS[kind], timeout_s=int(PATIENCE.total_seconds())),
        run_config=ray_train.RunConfig(name="ray", storage_path=str(between)),
    )  # fmt: skip
    thread = ThreadPoolExecutor(1, "ray")
    with _stopping(order.run / f"stage{order.stage}" / STOP_FILE) as ask_again:
        running = thread.submit(trainer.fit)
        thread.shutdown(wait=False)
        while not running.done():
            wait([running], LOOK_S)
            ask_again()
            follower.look()
    try:
        running.result()
    except ray_train.TrainingFailedError as fault:
        _raise_fault(between)
        raise VividHeadError(f"Ray gave the ranks up: {fault}") from fault


def _rank(given: dict[str, Any]) -> None:
    """Runs on every rank."""
    order: Order = given["order"]
    between: Path = given["between"]
    rank = os.environ["RANK"]
    if order.device == "cuda":
        order = replace(order, device=str(_ray_train().torch.get_device()))
    try:
        ended = train(order)
    except VividHeadError as fault:
        write_atomically(between / _FAULT.format(rank=rank), json.dumps([type(fault).__name__, str(fault)]).encode())
        raise
    if rank == "0":
        write_atomically(between / _ENDED, json.dumps([ended.step, ended.steps]).encode())


def _raise_fault(between: Path) -> None:
    """What the lowest rank said, as it said it; a rank that only hears of another's fault says less."""
    found = [json.loads(path.read_bytes()) for path in sorted(between.glob("fault-*.json"))]
    found.sort(key=lambda fault: fault[0] == VividHeadError.__name__)
    for name, text in found:
        kind = getattr(errors, name, VividHeadError)
        raise (kind if _is_plain(kind) else VividHeadError)(text)


def _is_plain(kind: Any) -> bool:
    """Whether it is one of ours that is made of its text alone."""
    return isinstance(kind, type) and issubclass(kind, VividHeadError) and kind.__init__ is VividHeadError.__init__


def _ended(between: Path, order: Order) -> Trained:
    step, steps = json.loads((between / _ENDED).read_bytes())
    return Trained(step, steps, order.run / f"stage{order.stage}" / CHECKPOINT)


def _from_anywhere(order: Order) -> Order:
    """With whole paths, as ranks run in folders of their own; addresses stay as they are."""
    dataset = Path(order.dataset)
    begin_from, weights = (path and path.absolute() for path in (order.begin_from, order.weights))
    latents = order.latents if order.latents in (None, ANY_CACHE) else order.latents.absolute()
    return replace(
        order, run=order.run.absolute(), dataset=str(dataset.absolute()) if dataset.exists() else order.dataset,
        begin_from=begin_from, weights=weights, latents=latents,
    )  # fmt: skip


def _cores(ranks: Ranks) -> int:
    """Of a cluster on this machine: as many as the ranks ask for, even if it has fewer."""
    return math.ceil(ranks.count * ranks.cpus_each)


def _check_room(ranks: Ranks) -> None:
    """Raise UsageError where the ranks would wait for ever."""
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    for kind, each in (("CPU", ranks.cpus_each), ("GPU", ranks.gpus_each)):
        if ranks.count * each > there.get(kind, 0):
            raise UsageError(
                f"{ranks.count} workers of {each:g} {kind}s each, and Ray has {there.get(kind, 0):g}: fewer --workers, "
                "or a larger cluster"
            )


class _Follower:
    """Tells of the lines that the first rank adds to the log."""

    def __init__(self, path: Path, order: Order, told: Told) -> None:
        self._path, self._told = path, told
        self._steps = (order.config.stage1 if order.stage == 1 else order.config.stage2).steps
        self._seen: dict[str, Any] = {}
        self._first: dict[str, Any] = {}
        self._began_s = time.time()

    def look(self) -> None:
        """Tell of the newest line, if it is new."""
        try:
            if self._path.stat().st_mtime < self._began_s:
                return  # the lines of a start before
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        try:
            line: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        except ValueError:
            return  # half a line
        if line and line != self._seen:
            self._first = self._first or line
            self._seen = line
            steps, took_s = line["step"] - self._first["step"], line["time_s"] - self._first["time_s"]
            rate = steps / took_s if took_s else line["step"] / max(line["time_s"], 1e-9)
            self._told(line["step"], self._steps, rate, {k: v for k, v in line.items() if v is not None})


@contextmanager
def _stopping(file: Path) -> Iterator[Callable[[], None]]:
    """Within it Ctrl-C and SIGTERM ask the ranks to stop; a second one gives up at once.

    Gives what asks once more: ranks that are only starting remove the file, as one of a run before.
    """
    asked_s: list[float] = []

    def ask(signum: int, frame: FrameType | None) -> None:
        if asked_s and time.monotonic() - asked_s[0] > SAME_CTRL_C_S:
            raise KeyboardInterrupt
        asked_s.append(time.monotonic())
        file.touch()

    def ask_again() -> None:
        if asked_s:
            file.touch()

    is_main = threading.current_thread() is threading.main_thread()
    before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM) if is_main}
    try:
        yield ask_again
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
