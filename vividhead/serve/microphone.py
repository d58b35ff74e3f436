"""A microphone that is always on: what it hears is speech until it is muted for a while."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vividhead.flashhead.wire import Pcm

PIECE_S = 0.08
QUIET, QUIET_S = 8, 1.0
"""Muted: no sample is larger than this, of 32768. After so long that ends an utterance, and rest begins."""


class Microphone:
    """Joins the small blocks of a track."""

    def __init__(self, push: Callable[[Pcm], None], flush: Callable[[], None]) -> None:
        """`push` gets the sound, `flush` hears that an utterance has ended."""
        self._push, self._flush = push, flush
        self._parts: list[NDArray[np.int16]] = []
        self._held_s = self._quiet_s = 0.0
        self._in_speech = False

    def take(self, samples_S: NDArray[np.int16], rate_hz: int) -> None:
        """Hear the next block."""
        took_s = samples_S.size / rate_hz
        is_quiet = bool(np.abs(samples_S.astype(np.int32)).max(initial=0) <= QUIET)
        self._quiet_s = self._quiet_s + took_s if is_quiet else 0.0
        if self._quiet_s > QUIET_S:
            self.end()
        elif self._in_speech or not is_quiet:
            self._in_speech = True
            self._parts.append(samples_S)
            self._held_s += took_s
            if self._held_s >= PIECE_S - 0.001:
                self._push(Pcm(np.concatenate(self._parts), rate_hz))
                self._parts, self._held_s = [], 0.0

    def end(self) -> None:
        """The utterance, if there is one, is over."""
        if self._in_speech:
            self._flush()
        self._parts, self._held_s, self._in_speech = [], 0.0, False
