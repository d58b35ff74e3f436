"""What training says of itself: one line of JSON for every few steps, always; TensorBoard and wandb where wanted.

    log.jsonl       {"step": 120, "time_s": 81.4, "samples_per_s": 9.6, "loss": 0.71, …}
    tensorboard/    the same numbers

Numbers are means over the steps since the line before and over all ranks. A run that goes on from a checkpoint drops
the lines after it: no step is told twice.
"""

import importlib
import json
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from vividhead.errors import UsageError
from vividhead.flashhead.train.ranks import Place, summed
from vividhead.ledger import storage_error, write_atomically

logger = logging.getLogger(__name__)
LOG_FILE = "log.jsonl"
TENSORBOARD_FOLDER = "tensorboard"
WANDB_FILE = "wandb-run.txt"
_SAMPLES, _STEP, _TIME, _MFU = "samples_per_s", "step", "time_s", "mfu"

Line = dict[str, float | None]
"""One line; None for what is not finite, which JSON cannot say."""


class Log:
    """The log of one run. All ranks make one and call it alike; the first one writes."""

    def __init__(
        self,
        folder: Path,
        place: Place,
        *,
        resumed_step: int | None = None,
        peak_flops_per_s: float | None = None,
        wandb_project: str | None = None,
    ) -> None:
        """Go on after `resumed_step`, or begin anew with None.

        `peak_flops_per_s` of one device gives `mfu`: the share of the devices' peak that the model's own arithmetic
        comes to. A `wandb_project` asks for wandb too.
        """
        self._place, self._peak_flops_per_s = place, peak_flops_per_s
        self._sums: dict[str, Tensor | float] = {}
        self._counts: dict[str, int] = {}
        self._n_samples, self._flops = 0, 0.0
        self._time_s, self._aside_s = 0.0, 0.0
        self._sinks: list[Callable[[int, Mapping[str, float]], None]] = []
        self._open = ExitStack()
        if place.is_first:
            with self._open:  # closes what is open, should the rest fail
                self._time_s = self._begin(folder, resumed_step, wandb_project)
                self._open = self._open.pop_all()
        self._began_s = self._line_s = time.monotonic()

    def add(self, values: Mapping[str, Tensor | float], samples: int = 0, flops: float = 0.0) -> None:
        """Of one step on this rank; tensors of one number are left on their device until the next line.

        `flops` are those of the model's forward and backward passes; what recomputation adds is not among them.
        """
        self._n_samples += samples
        self._flops += flops
        for name, value in values.items():
            known = self._sums.get(name, 0.0)
            self._sums[name] = known + (value.detach().float() if isinstance(value, Tensor) else value)
            self._counts[name] = self._counts.get(name, 0) + 1

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within it time does not count for `samples_per_s`: validation, sampling."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self._aside_s += time.monotonic() - began_s

    def write(self, step: int, now: Mapping[str, float] | None = None) -> Line:
        """Write the means since the last line, and `now` as it is (such as the learning rate); returns the line."""
        totals = {name: (float(total), float(self._counts[name])) for name, total in self._sums.items()}
        added = summed(totals | {_SAMPLES: (self._n_samples, 1), _MFU: (self._flops, 1)})
        (n_samples, _), (flops, _) = added.pop(_SAMPLES), added.pop(_MFU)
        at_s = time.monotonic()
        busy_s = max(at_s - self._line_s - self._aside_s, 1e-9)
        values: dict[str, float] = {_TIME: round(self._time_s + at_s - self._began_s, 3)}
        if n_samples:
            values[_SAMPLES] = n_samples / busy_s
        if flops and self._peak_flops_per_s:
            values[_MFU] = flops / busy_s / (self._peak_flops_per_s * self._place.world)
        values |= {name: total / count for name, (total, count) in sorted(added.items())} | dict(now or {})
        for sink in self._sinks:
            sink(step, values)
        self._sums, self._counts, self._n_samples, self._flops = {}, {}, 0, 0.0
        self._aside_s, self._line_s = 0.0, at_s
        return _line(step, values)

    def close(self) -> None:
        """Finish the files."""
        self._open.close()

    def __enter__(self) -> Self:
        """Give itself, closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _begin(self, folder: Path, resumed_step: int | None, wandb_project: str | None) -> float:
        """Open what is written to; returns the seconds of training until the step that is resumed."""
        path = folder / LOG_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            last = keep_until(path, resumed_step)
            file = self._open.enter_context(path.open("a", encoding="utf-8"))
        except OSError as fault:
            raise storage_error(fault, path) from fault

        def write_line(step: int, values: Mapping[str, float]) -> None:
            try:
                file.write(json.dumps(_line(step, values), allow_nan=False) + "\n")
                file.flush()
            except OSError as fault:
                raise storage_error(fault, path) from fault

        self._sinks.append(write_line)
        self._add_tensorboard(folder / TENSORBOARD_FOLDER, resumed_step)
        if wandb_project is not None:
            self._add_wandb(folder, wandb_project, anew=resumed_step is None)
        return float(last.get(_TIME) or 0.0) if last else 0.0

    def _add_tensorboard(self, folder: Path, resumed_step: int | None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.info("no curves for TensorBoard: pip install 'vividhead[train]' brings it")
            return
        writer = SummaryWriter(str(folder), purge_step=None if resumed_step is None else resumed_step + 1)
        self._open.callback(writer.close)

        def write_scalars(step: int, values: Mapping[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
            writer.flush()

        self._sinks.append(write_scalars)

    def _add_wandb(self, folder: Path, project: str, anew: bool) -> None:
        try:
            wandb: Any = importlib.import_module("wandb")
        except ImportError as fault:
            raise UsageError("wandb is asked for and not installed: pip install wandb") from fault
        id_file = folder / WANDB_FILE
        if anew or not id_file.exists():
            write_atomically(id_file, uuid.uuid4().hex.encode())
        run = wandb.init(project=project, dir=str(folder), id=id_file.read_text(encoding="utf-8"), resume="allow")
        self._open.callback(run.finish)
        self._sinks.append(lambda step, values: run.log(dict(values), step=step))


def keep_until(path: Path, step: int | None) -> dict[str, Any] | None:
    """Drop the lines of a log after a step (None: all), and one cut short by a kill; returns the last that stays."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    kept, last = [], None
    for line in text.splitlines(keepends=True):
        read = _read(line)
        if step is not None and read is not None and read[_STEP] <= step:
            kept.append(line)
            last = read
    if b"".join(kept) != text:
        write_atomically(path, b"".join(kept))
    return last


def _read(line: bytes) -> dict[str, Any] | None:
    """One whole line, or None for the rest of one."""
    try:
        read = json.loads(line)
    except ValueError:
        return None
    return read if line.endswith(b"\n") and isinstance(read, dict) and _STEP in read else None


def _line(step: int, values: Mapping[str, float]) -> Line:
    return {_STEP: step} | {name: value if math.isfinite(value) else None for name, value in values.items()}
