"""How loud is the sound, and is it clipped?"""

from collections.abc import Mapping
from typing import ClassVar

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from vividhead.records import SAMPLE_RATE_HZ
from vividhead.score import ClipMedia, Field, Score, Unmeasurable

_GATE_LUFS = -70.0  # EBU R128 counts nothing quieter
_CLIPPED = 0.999  # of full scale


class Loudness(Score):
    """Integrated loudness, peak and clipping of the clip's 16 kHz mono sound.

    Loudness is EBU R128's (ITU-R BS.1770, gated) by FFmpeg's `ebur128` filter, the clip taken as one channel:
    a full-scale 997 Hz sine reads -3.0 LUFS. A sample counts as clipped where it and a neighbour are both
    within 0.1 % of full scale: a lone peak is no clipping.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "integrated_lufs": Field("LUFS", "integrated loudness", _GATE_LUFS, 10),
        "peak_dbfs": Field("dBFS", "largest sample", -200, 0.01),
        "clipped_fraction": Field("1", "fraction of samples that are clipped", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 1.0

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        audio_S = clip.audio_S
        loudness = _integrated_lufs(audio_S)
        if loudness <= _GATE_LUFS:
            raise Unmeasurable("silent", f"nothing in the clip reaches {_GATE_LUFS:.0f} LUFS")
        full_S = np.abs(audio_S) >= _CLIPPED
        beside_S = np.zeros_like(full_S)
        beside_S[1:] |= full_S[:-1]
        beside_S[:-1] |= full_S[1:]
        return {
            "integrated_lufs": loudness,
            "peak_dbfs": float(20 * np.log10(np.abs(audio_S).max())),
            "clipped_fraction": float((full_S & beside_S).mean()),
        }


def _integrated_lufs(audio_S: NDArray[np.float32]) -> float:
    """Run FFmpeg's meter, which reports the loudness so far with each tenth of a second; never under -70."""
    graph = Graph()
    kind = f"sample_rate={SAMPLE_RATE_HZ}:time_base=1/{SAMPLE_RATE_HZ}:sample_fmt=flt:channel_layout=mono"
    source = graph.add("abuffer", kind)
    graph.link_nodes(source, graph.add("ebur128", "metadata=1"), graph.add("abuffersink")).configure()
    frame = av.AudioFrame.from_ndarray(audio_S[None].astype(np.float32), format="flt", layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 0
    graph.push(frame)
    graph.push(None)
    loudness = _GATE_LUFS
    while True:
        try:
            report = graph.pull().metadata  # empty with the samples left after the last whole tenth
        except av.error.EOFError:
            return max(loudness, _GATE_LUFS)
        loudness = float(report.get("lavfi.r128.I", loudness))
