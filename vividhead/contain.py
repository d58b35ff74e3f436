"""Units run in a child process, so that a file that crashes, hangs or floods the decoder costs one attempt only.

The parent watches the child's progress (`beat`), total time and memory, and kills it when a limit is passed. The
child dies with its parent. One child is reused for many units; models stay loaded.
"""

import ctypes
import errno
import importlib
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from vividhead.errors import MediaError, StorageError
from vividhead.ledger import storage_error
from vividhead.pipeline import Run
from vividhead.units import Failure

TRANSIENT = frozenset({"failed.changed", "failed.vanished", "failed.no_permission"})
"""Failures that the outside world may mend: not written to the ledger, tried again by the next run."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})

POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Fault:
    """An attempt that went wrong and may pass when retried: `crash`, `hang`, `too_long`, `memory` or `error`."""

    kind: str
    detail: str


Outcome = Failure | Fault | None
"""None: done and committed."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What an attempt cost, whatever came of it."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Of the child process, as far as was seen; not of programs that it started."""
    memory_mb: float = 0.0
    """The most that was seen resident."""


class Contained(Protocol):
    """What a child must know of a job, such as `chain.Job`: it and the units are pickled on their way there."""

    @property
    def entry(self) -> str:
        """The function that runs a unit, `module:name`; it takes the unit, the job, and `beat` to call on progress."""

    @property
    def limits(self) -> Run:
        """What a unit may take."""


class Child:
    """One child process that runs units, restarted when it was lost."""

    def __init__(self) -> None:
        """Start nothing yet: the first unit does."""
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self.spent = Spent()
        """On the last unit."""

    def run(self, unit: object, job: Contained) -> Outcome:
        """Run one unit to its end. Raises StorageError when the output cannot be written."""
        process = self._started()
        began, cpu_before_s = time.monotonic(), _cpu_s(process.pid)
        self._seen = [cpu_before_s, 0.0]
        try:
            return self._run(process, unit, job)
        finally:
            self._look(process.pid)
            cpu_s, memory_mb = self._seen
            self.spent = Spent(time.monotonic() - began, cpu_s - cpu_before_s, memory_mb)

    def _look(self, pid: int) -> float:
        """Note what the child has used by now; returns its memory in MB."""
        used_mb = _memory_mb(pid)
        self._seen = [max(self._seen[0], _cpu_s(pid)), max(self._seen[1], used_mb)]
        return used_mb

    def _run(self, process: subprocess.Popen[bytes], unit: object, job: Contained) -> Outcome:
        assert process.stdin is not None and process.stdout is not None
        try:
            _send(process.stdin, (unit, job))
        except BrokenPipeError:
            return self._lost("crash")
        limits = job.limits
        began = alive = time.monotonic()
        while True:
            ready, _, _ = select.select([process.stdout], [], [], POLL_S)
            now = time.monotonic()
            if ready:
                try:
                    kind, *rest = _receive(process.stdout)
                except EOFError:
                    return self._lost("crash")
                if kind != "beat":
                    return _outcome(kind, rest)
                alive = now
            elif now - alive > limits.stall_limit_s:
                return self._lost("hang", f"no progress for {limits.stall_limit_s:g} s")
            if now - began > limits.unit_limit_s:
                return self._lost("too_long", f"not done after {limits.unit_limit_s:g} s")
            used_mb = self._look(process.pid)
            if used_mb > limits.memory_limit_mb:
                return self._lost("memory", f"{used_mb:.0f} MB used, {limits.memory_limit_mb} MB allowed")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vividhead.contain"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0,
                start_new_session=True, env=_environment(),
            )  # fmt: skip
        return self._process

    def _lost(self, kind: str, why: str = "") -> Fault:
        """Kill what is left of the child and say what became of it, with its last words."""
        process, errors = self._process, self._errors
        assert process is not None and errors is not None
        process.kill()
        code = process.wait()
        errors.seek(0)
        words = [w for w in errors.read()[-4000:].decode(errors="replace").splitlines() if w.strip()]
        if not why:
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            why = f"the process ended with {name}"
        self.stop()
        return Fault(kind, f"{why}; last words: {words[-1].strip()}" if words and kind == "crash" else why)

    def stop(self) -> None:
        """End the child, if there is one, at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._errors is not None:
            self._errors.close()
        self._process = self._errors = None


def _environment() -> dict[str, str]:
    """One thread for each library: units run side by side, and sums must not depend on the core count."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    path = os.pathsep.join(p for p in sys.path if p)
    return {**os.environ, **one, "PYTHONPATH": path, "GLOG_minloglevel": "3", "TF_CPP_MIN_LOG_LEVEL": "3"}


def _outcome(kind: str, rest: list[str]) -> Outcome:
    if kind == "failed":
        code, detail = rest
        return Failure(code, detail, transient=code in TRANSIENT)
    if kind == "storage":
        raise StorageError(rest[0])
    if kind == "error":
        return Fault("error", rest[0])
    return None


def _memory_mb(pid: int) -> float:
    """Resident memory of a process; 0 where the system does not tell (or the process is gone)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_s(pid: int) -> float:
    """CPU seconds that a process has used; 0 where the system does not tell (or the process is gone)."""
    try:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except (OSError, ValueError):
        return 0.0
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _send(pipe: IO[bytes], message: object) -> None:
    data = pickle.dumps(message)
    rest = memoryview(struct.pack("<Q", len(data)) + data)
    while rest:  # an unbuffered pipe may take a part
        rest = rest[pipe.write(rest) :]
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:  # whatever the other side of our own pipe sent
    (length,) = struct.unpack("<Q", _exactly(pipe, 8))
    return pickle.loads(_exactly(pipe, length))  # noqa: S301 - from our own child over its pipe


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    """Read `size` bytes and not one more: what waits behind them must still wake `select`."""
    data = b""
    while len(data) < size:
        part = pipe.read(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _child_main() -> None:
    """Read units from stdin, run each, answer on stdout; whatever libraries print goes to stderr."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the parent
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import cv2

    cv2.setNumThreads(1)
    told = 0.0

    def beat() -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > 1:
            told = now
            _send(answers, ("beat",))

    while True:
        try:
            unit, job = _receive(sys.stdin.buffer)
        except EOFError:
            return
        _send(answers, _attempt(unit, job, beat))


def _attempt(unit: object, job: Contained, beat: Any) -> tuple[str, ...]:
    module, name = job.entry.split(":")
    try:
        getattr(importlib.import_module(module), name)(unit, job, beat)
    except MediaError as fault:
        return "failed", fault.code, fault.detail
    except StorageError as fault:
        return "storage", str(fault)
    except OSError as fault:
        if fault.errno in NO_ROOM:  # for temporary files: no fault of this footage, and trying again is in vain
            return "storage", str(storage_error(fault, Path(fault.filename or tempfile.gettempdir())))
        return _error(fault)
    except Exception as fault:  # noqa: BLE001 - becomes a row, with the place it came from
        return _error(fault)
    return ("done",)


def _error(fault: Exception) -> tuple[str, str]:
    where = traceback.extract_tb(fault.__traceback__)[-1]
    return "error", f"{type(fault).__name__}: {fault} (at {Path(where.filename).name}:{where.lineno})"


if __name__ == "__main__":
    _child_main()
