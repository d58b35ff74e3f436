"""Sound that was pushed and is not spoken yet: utterances at 16 kHz, taken a chunk at a time."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import UsageError
from vividhead.media.resample import Resampler

Pushed = NDArray[np.float32] | NDArray[np.int16]


@dataclass(slots=True)
class _Utterance:
    pieces: deque[NDArray[np.float32]] = field(default_factory=deque)
    n_samples: int = 0
    ended: bool = False

    def first(self, count: int) -> NDArray[np.float32]:
        """A copy of the first `count` samples, or of all there are."""
        found, missing = [np.zeros(0, np.float32)], count
        for piece in self.pieces:
            if missing <= 0:
                break
            found.append(piece[:missing])
            missing -= piece.size
        return np.concatenate(found)

    def drop(self, count: int) -> None:
        """Forget the first `count` samples."""
        self.n_samples -= count
        while count:
            piece = self.pieces.popleft()
            if piece.size > count:
                self.pieces.appendleft(piece[count:])
            count -= min(count, piece.size)


class Voice:
    """Sound pushed and not yet spoken, at 16 kHz."""

    def __init__(self) -> None:
        """Begin with nothing to say."""
        self._utterances: deque[_Utterance] = deque()
        self._resampler: Resampler | None = None

    def push(self, samples_S: Pushed, rate_hz: int) -> None:
        """Add mono sound: float -1 … 1 or 16-bit integers, any length, at a rate that may change between calls.

        Nothing is no sound: it begins no utterance. Raises UsageError for what is not mono sound of such a rate.
        """
        samples_S = _as_float(samples_S)
        if not samples_S.size:
            return
        if self._resampler is not None and self._resampler.rate_hz != rate_hz:
            self._add(self._resampler.rest())
            self._resampler = None
        self._resampler = self._resampler or Resampler(rate_hz)
        self._add(self._resampler.push(samples_S))

    def flush(self) -> None:
        """End the utterance: nothing will be added to it, its last partial chunk may be made."""
        if self._resampler is not None:
            self._add(self._resampler.rest())
            self._resampler = None
        if self._utterances:
            self._utterances[-1].ended = True

    def clear(self) -> None:
        """Forget everything that has not been spoken."""
        self._utterances.clear()
        self._resampler = None

    @property
    def n_samples(self) -> int:
        """Samples that wait to be spoken."""
        return sum(u.n_samples for u in self._utterances)

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to say, and no utterance begun."""
        self._drop_empty()
        return not self._utterances

    def is_ready(self, count: int) -> bool:
        """Whether the next `count` samples, or the end of an utterance, are there."""
        self._drop_empty()
        return bool(self._utterances) and (self._utterances[0].ended or self._utterances[0].n_samples >= count)

    def first(self, count: int) -> NDArray[np.float32]:
        """The next `count` samples, fewer at the end of an utterance; they stay until `drop`."""
        return self._utterances[0].first(count)

    def drop(self, count: int) -> None:
        """Forget the next `count` samples: they are spoken."""
        self._utterances[0].drop(count)

    def _drop_empty(self) -> None:
        while self._utterances and self._utterances[0].ended and not self._utterances[0].n_samples:
            self._utterances.popleft()

    def _add(self, samples_S: NDArray[np.float32]) -> None:
        if not self._utterances or self._utterances[-1].ended:
            self._utterances.append(_Utterance())
        if samples_S.size:
            self._utterances[-1].pieces.append(samples_S.copy())
            self._utterances[-1].n_samples += samples_S.size


def _as_float(samples_S: Pushed) -> NDArray[np.float32]:
    if samples_S.ndim != 1:
        raise UsageError(f"sound of shape {samples_S.shape}: mono samples of one axis are expected")
    if np.issubdtype(samples_S.dtype, np.floating):
        found = samples_S.astype(np.float32)
        if not np.isfinite(found).all():
            raise UsageError("sound that holds NaN or infinity")
        return found
    if samples_S.dtype == np.int16:
        return samples_S.astype(np.float32) / 32768
    raise UsageError(f"sound of type {samples_S.dtype}: float32 (-1 … 1) or int16 is expected")
