"""When a run is to end before its last step: Ctrl-C, SIGTERM, or a file. All ranks end after the same update."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
import torch.distributed as dist

from vividhead.flashhead.train.ranks import Place

STOP_FILE = "stop"
"""In the stage's folder; whoever makes it asks the run to end, saved, wherever its ranks are."""
SAME_CTRL_C_S = 1.0
"""A terminal and torchrun both pass a Ctrl-C on: what comes within so long is the same one."""


class Stop:
    """Asks signals and the file."""

    def __init__(self, file: Path, place: Place) -> None:
        """Begin with nothing asked: the first rank removes a file of before."""
        self._file, self._place = file, place
        self._asked_s: float | None = None
        self.is_agreed = False
        """Whether the ranks have agreed to stop."""
        if place.is_first:
            file.unlink(missing_ok=True)

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Take a signal; the second one interrupts at once."""
        if self._asked_s is not None and time.monotonic() - self._asked_s > SAME_CTRL_C_S:
            raise KeyboardInterrupt
        self._asked_s = self._asked_s or time.monotonic()

    def agreed(self) -> bool:
        """Whether any rank was asked; all call it at the same step, or some would wait for others that have left."""
        mine = self._asked_s is not None or (self._place.is_first and self._file.exists())
        if dist.is_initialized():
            any_asked = torch.tensor(int(mine))
            dist.all_reduce(any_asked, dist.ReduceOp.MAX)
            mine = bool(any_asked)
        self.is_agreed = mine
        return mine


@contextmanager
def stop_asked(file: Path, place: Place) -> Iterator[Stop]:
    """Within it Ctrl-C and SIGTERM only ask to stop. In a thread signals stay as they are."""
    stop = Stop(file, place)
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, stop.ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
