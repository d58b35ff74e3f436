"""What a running job shows: raw hours per hour, yield, failures, time left. A live line, or plain lines in a log."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from vividhead.records import GRID_FPS

if TYPE_CHECKING:
    from vividhead.chain import Chain
    from vividhead.contain import Fault, Outcome, Spent
    from vividhead.units import Failure, Unit

LINE_EVERY_S = 10.0


class Progress:
    """Hears of every unit. This base says nothing; `shown` gives one that writes to a terminal or log."""

    @staticmethod
    def shown(stream: TextIO) -> "Progress":
        """A live line when `stream` is a terminal, else a plain line every ten seconds."""
        return _Live(stream) if stream.isatty() else _Lines(stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begin(self, what: str, units: int) -> None:
        """Files to hash and probe."""

    def footage(self, chain: "Chain", units: "Sequence[Unit]") -> None:
        """Sources are known: how much footage there is; what `units` do not concern is done already."""

    def done(self, unit: "Unit", failure: "Failure | None", following: "list[Unit]") -> None:
        """A unit is done, or has failed for good; `following` is empty when its segment is through."""

    def fault(self, unit: "Unit", fault: "Fault", attempt: int) -> None:
        """An attempt went wrong and may be repeated."""

    def told(self, unit: "Unit", outcome: "Outcome", spent: "Spent") -> None:
        """An attempt has ended, and cost so much; what becomes of it is said next."""


class _Tally(Progress):
    """Keeps count, for what its subclasses show."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.files = self.files_done = 0
        self.total_s = self.through_s = self.before_s = self.kept_s = 0.0
        self.units: Counter[str] = Counter()
        self.failures = 0
        self.began = time.monotonic()
        self.chain: Chain | None = None

    def begin(self, what: str, units: int) -> None:
        self.files = units
        if units:
            self.show()

    def footage(self, chain: "Chain", units: "Sequence[Unit]") -> None:
        self.chain = chain
        waiting = {unit.segment.segment_id for unit in units if unit.segment is not None}
        for name, (segment, _) in chain.segments.placed.items():
            length_s = (segment.end_frame - segment.start_frame) / GRID_FPS
            self.total_s += length_s
            if name not in waiting:
                self.through_s += length_s
                self._count_kept(name)
        self.before_s = self.through_s
        self.began = time.monotonic()
        self.show()

    def done(self, unit: "Unit", failure: "Failure | None", following: "list[Unit]") -> None:
        self.units[unit.stage] += 1
        self.failures += failure is not None
        if unit.stage == "ingest":
            self.files_done += 1
        elif not following and unit.segment is not None:
            self.through_s += unit.seconds
            self._count_kept(unit.segment.segment_id)
        self.show()

    def fault(self, unit: "Unit", fault: "Fault", attempt: int) -> None:
        self.say(f"{unit.stage} {unit.listed.uri}: attempt {attempt}: {fault.kind}: {fault.detail}")

    def _count_kept(self, segment_id: str) -> None:
        """A segment is through: add what the policy keeps of it."""
        assert self.chain is not None
        self.kept_s += self.chain.kept_s.get(segment_id, 0.0)

    def text(self) -> str:
        """The state in one line."""
        if self.chain is None:
            return f"ingest {self.files_done}/{self.files} files"
        took = max(time.monotonic() - self.began, 1e-3)
        here_s = self.through_s - self.before_s
        left_s = (self.total_s - self.through_s) / here_s * took if here_s else None
        parts = [
            f"{self.through_s / 60:.1f} of {self.total_s / 60:.1f} min",
            f"{here_s / took:.1f} h/h",
            f"kept {self.kept_s / 60:.1f} min",
            " ".join(f"{stage} {n}" for stage, n in self.units.items() if stage != "ingest"),
        ]
        if self.failures:
            parts.append(f"{self.failures} failed")
        parts.append(f"{left_s:.0f} s left" if left_s is not None else "")
        return " · ".join(p for p in parts if p)

    def show(self) -> None:
        """Show the state, if it is time."""

    def say(self, line: str) -> None:
        """Write a line that stays."""
        self.stream.write(line + "\n")
        self.stream.flush()


class _Lines(_Tally):
    """For logs: a line every ten seconds."""

    _shown = -LINE_EVERY_S

    def show(self) -> None:
        if time.monotonic() - self._shown >= LINE_EVERY_S:
            self._shown = time.monotonic()
            self.say(self.text())


class _Live(_Tally):
    """For terminals: one line that changes."""

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(BarColumn(24), TextColumn("{task.description}"), console=Console(file=self.stream))
        self._task = self._bar.add_task("", total=None)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self) -> None:
        whole = self.total_s if self.chain is not None else float(self.files)
        part = self.through_s if self.chain is not None else float(self.files_done)
        self._bar.update(self._task, description=self.text(), total=whole or None, completed=part)

    def say(self, line: str) -> None:
        self._bar.console.print(line, markup=False, highlight=False)


def to_stderr() -> Progress:
    """Progress on the standard error stream."""
    return Progress.shown(sys.stderr)
