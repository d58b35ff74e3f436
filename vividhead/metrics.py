"""A curation job in figures while it runs: Prometheus text, a log of JSON lines, and what was spent, for `status`.

Nothing here changes a dataset: what was spent lies in `ledger/spent/`, a file for each run, beside the commits.
"""

import json
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from vividhead.contain import Fault
from vividhead.errors import UsageError
from vividhead.ledger import write_atomically
from vividhead.progress import Progress
from vividhead.records import GRID_FPS

if TYPE_CHECKING:
    from types import TracebackType

    from vividhead.chain import Chain
    from vividhead.contain import Outcome, Spent
    from vividhead.units import Failure, Unit

KEEP_EVERY_S = 60.0
HELP = {
    "units_total": ("counter", "Units of work that are done, or failed for good."),
    "attempts_total": ("counter", "Attempts at units, by how they ended."),
    "attempt_seconds_total": ("counter", "Wall seconds of attempts."),
    "attempt_cpu_seconds_total": ("counter", "CPU seconds of attempts: the cost, on machines without a GPU."),
    "attempt_memory_bytes_max": ("gauge", "The most memory that an attempt was seen to hold."),
    "queue_units": ("gauge", "Units known and not done; those that will follow from them are not known yet."),
    "footage_seconds": ("gauge", "Footage of this run: all of it, and what is through."),
    "kept_seconds": ("gauge", "Seconds of clips kept, of the footage that is through."),
}


class Meter(Progress):
    """Counts what a run does and passes everything on to another progress."""

    def __init__(self, inner: Progress, dataset: Path, log: TextIO | None = None) -> None:
        """`log` gets a line of JSON for each attempt, failure and part of the run."""
        self._inner, self._dataset, self._log = inner, dataset, log
        self.run_id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
        self._lock = threading.Lock()
        self._values: defaultdict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
        self._chain: Chain | None = None
        self._kept_at = time.monotonic()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        self._say("begun")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._inner.__exit__(kind, fault, trace)
        self._keep()
        self._say("ended", fault=None if kind is None else kind.__name__)

    def begin(self, what: str, units: int) -> None:
        self._set("queue_units", units, stage="ingest")
        self._inner.begin(what, units)

    def footage(self, chain: "Chain", units: "Sequence[Unit]") -> None:
        self._chain = chain
        waiting = {unit.segment.segment_id for unit in units if unit.segment is not None}
        for stage, count in Counter(unit.stage for unit in units).items():
            self._add("queue_units", count, stage=stage)
        for name, (segment, _) in chain.segments.placed.items():
            self._add(
                "footage_seconds", (length_s := (segment.end_frame - segment.start_frame) / GRID_FPS), state="all"
            )
            if name not in waiting:
                self._through(name, length_s)
        self._say("footage", units=len(units), seconds=self._get("footage_seconds", state="all"))
        self._inner.footage(chain, units)

    def _through(self, segment_id: str, length_s: float) -> None:
        assert self._chain is not None
        self._add("footage_seconds", length_s, state="through")
        self._add("kept_seconds", self._chain.kept_s.get(segment_id, 0.0))

    def told(self, unit: "Unit", outcome: "Outcome", spent: "Spent") -> None:
        how = outcome.kind if isinstance(outcome, Fault) else "done" if outcome is None else "failed"
        self._add("attempts_total", 1, stage=unit.stage, outcome=how)
        self._add("attempt_seconds_total", spent.wall_s, stage=unit.stage)
        self._add("attempt_cpu_seconds_total", spent.cpu_s, stage=unit.stage)
        largest = max(self._get("attempt_memory_bytes_max", stage=unit.stage), spent.memory_mb * 1e6)
        self._set("attempt_memory_bytes_max", largest, stage=unit.stage)
        about = {"stage": unit.stage, "unit": f"{unit.stage}/{unit.key}", "uri": unit.listed.uri}
        costs = {"wall_s": round(spent.wall_s, 3), "cpu_s": round(spent.cpu_s, 2), "mb": round(spent.memory_mb)}
        detail = None if outcome is None else outcome.detail
        self._say("attempt", **about, outcome=how, **costs, detail=detail)
        self._inner.told(unit, outcome, spent)

    def done(self, unit: "Unit", failure: "Failure | None", following: "list[Unit]") -> None:
        self._add("units_total", 1, stage=unit.stage, outcome="done" if failure is None else "failed")
        self._add("queue_units", -1, stage=unit.stage)
        for after in following:
            self._add("queue_units", 1, stage=after.stage)
        if unit.segment is not None and not following:
            self._through(unit.segment.segment_id, unit.seconds)
        if failure is not None:
            name = f"{unit.stage}/{unit.key}"
            self._say("failed", stage=unit.stage, unit=name, uri=unit.listed.uri, code=failure.code)
        if time.monotonic() - self._kept_at > KEEP_EVERY_S:
            self._keep()
        self._inner.done(unit, failure, following)

    def fault(self, unit: "Unit", fault: "Fault", attempt: int) -> None:
        self._inner.fault(unit, fault, attempt)

    def _add(self, name: str, value: float, **labels: str) -> None:
        with self._lock:
            key = tuple(labels.items())
            self._values[name][key] = self._values[name].get(key, 0.0) + value

    def _set(self, name: str, value: float, **labels: str) -> None:
        with self._lock:
            self._values[name][tuple(labels.items())] = value

    def _get(self, name: str, **labels: str) -> float:
        return self._values[name].get(tuple(labels.items()), 0.0)

    def text(self) -> str:
        """All figures in Prometheus' text format."""
        lines = []
        with self._lock:
            for name, (kind, meaning) in HELP.items():
                lines += [f"# HELP vividhead_{name} {meaning}", f"# TYPE vividhead_{name} {kind}"]
                for labels, value in sorted(self._values[name].items()):
                    inside = ",".join(f'{key}="{said}"' for key, said in labels)
                    lines.append(f"vividhead_{name}{{{inside}}} {value!r}" if inside else f"vividhead_{name} {value!r}")
        return "\n".join(lines) + "\n"

    def _keep(self) -> None:
        """Write down what this run has spent so far."""
        self._kept_at = time.monotonic()
        names = ("attempts_total", "attempt_seconds_total", "attempt_cpu_seconds_total")
        totals = {name: sum(self._values[name].values()) for name in names}
        if totals["attempts_total"]:
            path = self._dataset / "ledger" / "spent" / f"{self.run_id}.jsonl"  # .json would be a commit
            write_atomically(path, json.dumps(totals, sort_keys=True).encode() + b"\n")

    def _say(self, event: str, **about: Any) -> None:
        if self._log is not None:
            said = {"time": round(time.time(), 3), "run": self.run_id, "event": event, **about}
            self._log.write(json.dumps(said) + "\n")
            self._log.flush()


@contextmanager
def served(meter: Meter, port: int) -> Iterator[int]:
    """Answer http://127.0.0.1:`port`/metrics while inside; yields the port (0 asks for a free one)."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/metrics"
            body = meter.text().encode() if found else b"see /metrics\n"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            return None

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
    except (OSError, OverflowError) as fault:
        raise UsageError(f"--metrics-port {port}: {fault}; choose another") from fault
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def core_hours(dataset: Path) -> float | None:
    """CPU hours of all runs that worked on the dataset; None where none was noted."""
    found = [json.loads(path.read_bytes()) for path in (dataset / "ledger" / "spent").glob("*.jsonl")]
    return sum(spent["attempt_cpu_seconds_total"] for spent in found) / 3600 if found else None
