"""Sound of any rate to 16 kHz mono, piece by piece, as it arrives."""

import av
import numpy as np
from av import AudioFrame
from numpy.typing import NDArray

from vividhead.errors import UsageError
from vividhead.records import SAMPLE_RATE_HZ

MIN_RATE_HZ, MAX_RATE_HZ = 4000, 384000


class Resampler:
    """One run of mono sound, -1 … 1; what it returns in pieces is what it would return at once.

    16 kHz passes unchanged. Other rates pass swresample's filter, which holds the last samples back until `rest`.
    """

    def __init__(self, rate_hz: int) -> None:
        """Take the rate of what will be pushed; raises UsageError outside of `MIN_RATE_HZ` to `MAX_RATE_HZ`."""
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise UsageError(f"a sample rate of {rate_hz} Hz: {MIN_RATE_HZ} … {MAX_RATE_HZ} can be read")
        self.rate_hz = rate_hz
        self._filter = None if rate_hz == SAMPLE_RATE_HZ else av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ)

    def push(self, samples_S: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take samples and return those at 16 kHz that are ready."""
        if self._filter is None or not samples_S.size:
            return samples_S
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples_S[None]), "flt", "mono")
        frame.sample_rate = self.rate_hz
        return _joined(self._filter.resample(frame))

    def rest(self) -> NDArray[np.float32]:
        """What the filter still holds; nothing may be pushed afterwards."""
        return np.zeros(0, np.float32) if self._filter is None else _joined(self._filter.resample(None))


def _joined(frames: list[AudioFrame]) -> NDArray[np.float32]:
    pieces: list[NDArray[np.float32]] = [np.zeros(0, np.float32), *(frame.to_ndarray()[0] for frame in frames)]
    return np.concatenate(pieces)
