"""How loud sound is, by FFmpeg's EBU R128 meter."""

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from vividhead.records import GATE_LUFS, SAMPLE_RATE_HZ


def integrated_lufs(audio_S: NDArray[np.float32]) -> float:
    """Return the gated loudness (ITU-R BS.1770) of 16 kHz sound, -1 … 1, taken as one channel."""
    graph = Graph()
    kind = f"sample_rate={SAMPLE_RATE_HZ}:time_base=1/{SAMPLE_RATE_HZ}:sample_fmt=flt:channel_layout=mono"
    source = graph.add("abuffer", kind)
    graph.link_nodes(source, graph.add("ebur128", "metadata=1"), graph.add("abuffersink")).configure()
    frame = av.AudioFrame.from_ndarray(audio_S[None].astype(np.float32), format="flt", layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 0
    graph.push(frame)
    graph.push(None)
    loudness = GATE_LUFS
    while True:
        try:
            report = graph.pull().metadata  # of all sound so far; empty after the last whole tenth
        except av.error.EOFError:
            return max(loudness, GATE_LUFS)
        loudness = float(report.get("lavfi.r128.I", loudness))
