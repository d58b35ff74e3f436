"""Does a chunk's beginning show? Steps from picture to picture across the boundary, and just beside it.

Axes: T frames, H W picture, C channel (RGB).
"""

import math

import numpy as np
from numpy.typing import NDArray

from vividhead.flashhead.evaluate.records import Boundaries, Reading, measured, unmeasurable


class BoundaryMeter:
    """Takes chunks as they are generated, before any encoding."""

    def __init__(self) -> None:
        """Begin with no chunk."""
        self._last_THWC: NDArray[np.uint8] | None = None
        self._across: list[float] = []
        self._beside: list[float] = []

    def add(self, frames_THWC: NDArray[np.uint8]) -> None:
        """The next chunk; of the last only its end is kept."""
        if self._last_THWC is not None:
            self._across.append(_mse(self._last_THWC[-1], frames_THWC[0]))
            for pair in (self._last_THWC, frames_THWC[:2]):
                if len(pair) == 2:
                    self._beside.append(_mse(*pair))
        self._last_THWC = frames_THWC[-2:].copy()

    def read(self) -> Boundaries:
        """All boundaries so far."""
        across, beside = _psnr(self._across), _psnr(self._beside)
        if across.value is None or beside.value is None:
            jump = unmeasurable(across.code or beside.code, unit="dB")
        else:
            jump = measured(across.value - beside.value, "dB")
        return Boundaries(across_db=across, beside_db=beside, jump_db=jump, n_boundaries=len(self._across))


def no_boundaries() -> Boundaries:
    """Of a video that is not made of chunks, or not of chunks that are known."""
    unknown = unmeasurable("no_chunks", "a file does not say where chunks begin: evaluate the checkpoint", "dB")
    return Boundaries(across_db=unknown, beside_db=unknown, jump_db=unknown, n_boundaries=0)


def _mse(one_HWC: NDArray[np.uint8], other_HWC: NDArray[np.uint8]) -> float:
    return float(np.square(one_HWC.astype(np.float32) - other_HWC).mean())


def _psnr(errors: list[float]) -> Reading:
    if not errors:
        return unmeasurable("one_chunk", "there is no boundary in a talk of one chunk", "dB")
    mean = sum(errors) / len(errors)
    if mean == 0:
        return unmeasurable("still", "neighbouring pictures are the same", "dB")
    return measured(10 * math.log10(255**2 / mean), "dB")
