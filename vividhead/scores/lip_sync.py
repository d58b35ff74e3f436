"""Do the lips move with the sound, and how far is one ahead of the other?"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vividhead.faces import FaceMesh
from vividhead.lip_audio import MAX_LAG_FRAMES, LipAudioMap, read_lag
from vividhead.records import GRID_FPS, SAMPLES_PER_FRAME
from vividhead.score import ClipMedia, Field, Score, Unknown, Unmeasurable

MAP = Path(__file__).with_name("lip_sync_map.npz")

_FRAME_MS = 1000 / GRID_FPS
_LARGEST_MS = MAX_LAG_FRAMES * _FRAME_MS
_LEAST_CONFIDENCE = 0.5  # below, a reading is more likely wrong than right
_LEAST_COVERAGE = 0.5
_LEAST_FRAMES = 2 * GRID_FPS
_SILENT_RMS = 1e-3  # -60 dB below full scale


class LipSync(Score):
    """Lag between lips and sound, by a fixed linear map from mouth shape to voice (docs/lip-sync.md).

    `offset_ms` is **positive when the picture is later than the sound**. Delay the sound by 3 frames and it
    falls by 120 ms: lips that open 120 ms before their syllable is heard read -120. It is searched within
    600 ms to either side and refined between frames. The absolute zero is that of the clips the map was
    fitted on, known to one or two frames; differences are good to a fraction of a frame.

    `confidence` is the probability that the sound is these lips' own and the offset is right, if that was as
    likely as not beforehand. Under 0.5 the offset is unknown (`low_confidence`), which does **not** mean out
    of sync: calm mouths, profiles and clips of 3 s often say too little. Music and other voices read low too.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "offset_ms": Field("ms", "positive: picture later than sound", -_LARGEST_MS, _LARGEST_MS),
        "confidence": Field("1", "probability that sound and lips match and offset_ms is right", 0, 1),
        "peak": Field("1", "agreement of lips and sound at the best lag: weighted Fisher's z", -8, 8),
        "coverage": Field("1", "frames with a face mesh ÷ frames", 0, 1),
    }
    cost_ms_per_s: ClassVar[float] = 59.0  # a third of the mesh, which three scores share

    def __init__(self) -> None:
        """Load the shipped map."""
        self._map = LipAudioMap.load(MAP)
        digest = hashlib.sha256(MAP.read_bytes()).hexdigest()[:12]
        self.fingerprint = f"lip_sync_map/{digest} {FaceMesh.fingerprint}"

    def measure(self, clip: ClipMedia) -> Mapping[str, float | Unknown]:
        if _loudest_rms(clip.audio_S) < _SILENT_RMS:
            raise Unmeasurable("silent", "the clip's loud parts are under -60 dBFS")
        seen_T = np.isfinite(clip.landmarks_TNC[:, 0, 0])
        coverage = float(seen_T.mean())
        if coverage < _LEAST_COVERAGE or seen_T.sum() < _LEAST_FRAMES:
            raise Unmeasurable("face_mesh_lost", f"a face mesh on {seen_T.sum()} of {len(seen_T)} frames")
        reading = read_lag(self._map, clip.landmarks_TNC, clip.audio_S)
        sure = reading.confidence >= _LEAST_CONFIDENCE
        return {
            "offset_ms": reading.lag_frames * _FRAME_MS if sure else Unknown("low_confidence"),
            "confidence": reading.confidence,
            "peak": reading.peak,
            "coverage": coverage,
        }


def _loudest_rms(audio_S: NDArray[np.float32]) -> float:
    """95th percentile over frames of the sound's RMS, a constant offset not counted."""
    return float(np.percentile(audio_S.reshape(-1, SAMPLES_PER_FRAME).std(axis=1), 95))
