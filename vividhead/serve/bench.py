"""What serving costs: a server in a process of its own, clients over loopback that listen in real time.

Each client lets the face say something, over and over with rests between, and plays what comes by a clock of its own:
120 ms after the first pictures of an utterance arrive they begin, and every later one has its moment. One that is not
there by then is an underrun.
"""

import platform
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.client import ServerRefusedError, connect
from vividhead.records import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

BEGIN_AFTER_S = 0.12
"""What a player holds back; the page does the same."""
UTTERANCE_S, REST_S = 4.0, 1.5
ADDRESS = re.compile(r"http(://\S+?)/(\?token=\S+)?$")
STARTS_WITHIN_S = 600.0


@dataclass(slots=True)
class Listener:
    """What one client saw."""

    answers_s: list[float] = field(default_factory=list)
    """From the last sound of an utterance sent to its first picture."""
    spare_s: list[float] = field(default_factory=list)
    """How long before its moment each message was there; negative: too late."""
    underruns: int = 0
    skew_samples: int = 0
    """Largest difference between pictures and 640 samples each."""
    speech_pictures: int = 0
    dropped: int = 0
    refused: str = ""


def speech_like(seconds: float, seed: int) -> NDArray[np.float32]:
    """Noise in syllables, four a second, mono at 16 kHz."""
    random = np.random.default_rng(seed)
    time_S = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    loudness_S = np.clip(np.sin(2 * np.pi * 2 * time_S), 0, None)
    sound: NDArray[np.float32] = (random.normal(0, 0.1, time_S.size) * loudness_S).astype(np.float32)
    return sound


def listen(address: str, seed: int, until: float, listener: Listener) -> None:
    """One client, until the monotonic time `until`."""
    try:
        with connect(address, seed=seed, shown=True) as head:
            sound_S = speech_like(UTTERANCE_S, seed)
            while time.monotonic() < until:
                head.say(sound_S, SAMPLE_RATE_HZ)
                said = time.monotonic()
                due = 0.0
                for media in head.spoken(120.0):
                    now = time.monotonic()
                    if not due:
                        listener.answers_s.append(now - said)
                        due = now + BEGIN_AFTER_S
                    listener.spare_s.append(due - now)
                    if now > due:
                        listener.underruns += 1
                        due = now
                    due += media.duration_s
                    listener.speech_pictures += len(media.pictures)
                    mismatch = abs(media.pcm_S.size - SAMPLES_PER_FRAME * len(media.pictures))
                    listener.skew_samples = max(listener.skew_samples, mismatch)
                    listener.dropped = media.dropped
                    head.shown(media.end_frame)
                rests_until = max(due, time.monotonic()) + REST_S
                while (left := rests_until - time.monotonic()) > 0:
                    try:
                        rest = head.next_media(left)
                    except TimeoutError:
                        break
                    if rest is None:
                        raise ServerRefusedError("closed", "the server ended the stream")
                    head.shown(rest.end_frame)
    except (ServerRefusedError, OSError) as fault:
        listener.refused = str(fault)


def bench_serve(
    server_options: Sequence[str], clients: int, seconds: float, told: Callable[[str], None]
) -> dict[str, Any]:
    """Start `vividhead serve` with these options and measure it with so many clients for so long."""
    command = [sys.executable, "-m", "vividhead.cli", "serve", "--port", "0", *server_options]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        lines = _lines_of(server)
        address, found = _address(server, lines, told)
        told(f"{clients} clients, {seconds:g} s")
        return _measured(server.pid, address, clients, seconds) | {"server": found}
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        assert server.stderr is not None
        server.stderr.close()


def _measured(pid: int, address: str, clients: int, seconds: float) -> dict[str, Any]:
    until = time.monotonic() + seconds
    listeners = [Listener() for _ in range(clients)]
    threads = [
        threading.Thread(target=listen, args=(address, seed, until, listener))
        for seed, listener in enumerate(listeners)
    ]
    for thread in threads:
        thread.start()
    memory_mb = []
    while any(thread.is_alive() for thread in threads):
        memory_mb.append(_memory_mb(pid))
        time.sleep(0.5)
    for thread in threads:
        thread.join()
    answers = [value for listener in listeners for value in listener.answers_s]
    spare = [value for listener in listeners for value in listener.spare_s]
    if not answers:
        raise VividHeadError(f"nobody was served: {'; '.join({listener.refused for listener in listeners})}")
    third = max(1, len(memory_mb) // 3)
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{platform.processor() or platform.machine()}, {platform.system()}",
        "clients": clients,
        "seconds": seconds,
        "refused": sum(bool(listener.refused) for listener in listeners),
        "speech_pictures": sum(listener.speech_pictures for listener in listeners),
        "underruns": sum(listener.underruns for listener in listeners),
        "messages": len(spare),
        "dropped_pictures": sum(listener.dropped for listener in listeners),
        "answer_ms": _percentiles_ms(answers),
        "spare_ms": {"p1": round(float(np.percentile(spare, 1)) * 1000), "p50": round(float(np.median(spare)) * 1000)},
        "skew_samples": max(listener.skew_samples for listener in listeners),
        "memory_mb": {
            "first_third": round(float(np.median(memory_mb[:third]))),
            "last_third": round(float(np.median(memory_mb[-third:]))),
            "peak": round(max(memory_mb)),
        },
    }


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    answer, spare, memory = figures["answer_ms"], figures["spare_ms"], figures["memory_mb"]
    return "\n".join([
        f"{figures['server']}",
        f"{figures['clients']} clients for {figures['seconds']:g} s, {figures['refused']} refused, {figures['date']}",
        f"pictures of speech  {figures['speech_pictures']:>8}",
        f"underruns           {figures['underruns']:>8}   of {figures['messages']} messages",
        f"dropped pictures    {figures['dropped_pictures']:>8}",
        f"answer after        {answer['p50']:>8} ms (p99 {answer['p99']} ms), sound sent to first picture",
        f"there before due    {spare['p50']:>8} ms (p1 {spare['p1']} ms)",
        f"sound off pictures  {figures['skew_samples']:>8} samples",
        f"memory              {memory['first_third']:>8} MB in the first third, {memory['last_third']} MB in the last,"
        f" peak {memory['peak']} MB",
    ])  # fmt: skip


def _percentiles_ms(seconds: Sequence[float]) -> dict[str, int]:
    return {f"p{at}": round(float(np.percentile(seconds, at)) * 1000) for at in (50, 99)}


def _lines_of(server: subprocess.Popen[str]) -> queue.SimpleQueue[str | None]:
    """The server's lines, read by a thread so that its pipe never fills; None at their end."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        assert server.stderr is not None
        for line in server.stderr:
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _address(
    server: subprocess.Popen[str], lines: queue.SimpleQueue[str | None], told: Callable[[str], None]
) -> tuple[str, str]:
    """Where it listens, and what it said before."""
    before: list[str] = []
    while True:
        line = lines.get(timeout=STARTS_WITHIN_S)
        if line is None:
            raise UsageError(f"the server did not start ({server.wait()}): {' '.join(before[-2:])}")
        if found := ADDRESS.match(line):
            return f"ws{found[1]}", before[-1] if before else ""
        told(line)
        before.append(line)


def _memory_mb(pid: int) -> float:
    """Resident memory of a process; 0 where it has ended or the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else 0.0
