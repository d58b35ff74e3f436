"""How loud is the sound, and is it clipped?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vividhead.records import GATE_LUFS
from vividhead.score import ClipMedia, Field, Score, Unmeasurable

_CLIPPED = 0.999  # of full scale


class Loudness(Score):
    """Integrated loudness, peak and clipping of the clip's 16 kHz mono sound.

    Loudness is EBU R128's (ITU-R BS.1770, gated) by FFmpeg's `ebur128` filter, the clip taken as one channel:
    a full-scale 997 Hz sine reads -3.0 LUFS. A sample counts as clipped where it and a neighbour are both
    within 0.1 % of full scale: a lone peak is no clipping.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "integrated_lufs": Field("LUFS", "integrated loudness", GATE_LUFS, 10),
        "peak_dbfs": Field("dBFS", "largest sample", -200, 0.01),
        "clipped_fraction": Field("1", "fraction of samples that are clipped", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 1.0

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        from vividhead.media.meter import integrated_lufs  # FFmpeg's libraries, for who only asks for the fields

        audio_S = clip.audio_S
        loudness = integrated_lufs(audio_S)
        if loudness <= GATE_LUFS:
            raise Unmeasurable("silent", f"nothing in the clip reaches {GATE_LUFS:.0f} LUFS")
        full_S = np.abs(audio_S) >= _CLIPPED
        beside_S = np.zeros_like(full_S)
        beside_S[1:] |= full_S[:-1]
        beside_S[:-1] |= full_S[1:]
        return {
            "integrated_lufs": loudness,
            "peak_dbfs": float(20 * np.log10(np.abs(audio_S).max())),
            "clipped_fraction": float((full_S & beside_S).mean()),
        }
