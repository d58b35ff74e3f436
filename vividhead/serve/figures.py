"""What a server counts, as Prometheus reads it."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

BOUNDS_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
_COUNTED = {
    "streams_opened": "Streams that were opened",
    "streams_refused": "Streams refused: no place, too many of one address, or the server is being stopped",
    "streams_failed": "Streams closed because their chunk could not be made",
    "pictures_sent": "Pictures sent",
    "pictures_dropped": "Pictures dropped because a client was too slow",
    "speech_chunks": "Chunks of speech made",
    "rest_chunks": "Chunks of rest made",
    "underruns": "Chunks of speech that came more than 0.1 s after their listener had run out",
    "interrupts": "Interrupts",
    "bad_messages": "Messages that were none of the protocol's or broke a limit",
}


class Figures:
    """Counters and one histogram; any thread adds to them."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter(dict.fromkeys(_COUNTED, 0))
        self._buckets = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += by

    def chunk_took(self, seconds: float) -> None:
        """A chunk was made and encoded so long after it was due."""
        with self._lock:
            self._buckets[bisect_left(BOUNDS_S, seconds)] += 1
            self._sum_s += seconds

    def of(self, name: str) -> int:
        """A counter."""
        with self._lock:
            return self._counts[name]

    def text(self, gauges: Mapping[str, float]) -> str:
        """All of it in Prometheus' text format; `gauges` are values of this moment."""
        with self._lock:
            lines = []
            for name, meaning in _COUNTED.items():
                full = f"vividhead_{name}_total"
                lines += [f"# HELP {full} {meaning}", f"# TYPE {full} counter", f"{full} {self._counts[name]}"]
            full, below = "vividhead_chunk_seconds", 0
            lines += [f"# HELP {full} From due to encoded", f"# TYPE {full} histogram"]
            for bound, amount in zip((*map(str, BOUNDS_S), "+Inf"), self._buckets, strict=True):
                below += amount
                lines.append(f'{full}_bucket{{le="{bound}"}} {below}')
            lines += [f"{full}_sum {self._sum_s:.6f}", f"{full}_count {below}"]
        for name, value in gauges.items():
            lines += [f"# TYPE vividhead_{name} gauge", f"vividhead_{name} {value:g}"]
        return "\n".join(lines) + "\n"
