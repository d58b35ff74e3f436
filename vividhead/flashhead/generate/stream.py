"""One talking head: the sound it has still to speak, how far its pictures are, and what was made ahead.

Sound comes in utterances: `flush` ends one. A chunk takes 24 (Pro: 28) pictures' worth of it; the end of an utterance
is padded with silence for the model, and what the padding made is cut off again and forgotten, so that the next
utterance goes on from the last picture that was given out.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import VividHeadError
from vividhead.flashhead.generate.voice import Pushed, Voice
from vividhead.flashhead.model.audio_cache import TemporalAudioContextCache
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

if TYPE_CHECKING:
    from torch import Tensor


class StreamClosedError(VividHeadError):
    """The stream was closed; open another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Pictures and exactly the sound that belongs to them: 640 samples to a picture."""

    frames_THWC: NDArray[np.uint8]
    pcm_S: NDArray[np.float32]
    """16 kHz mono, -1 … 1."""
    start_frame: int
    """Pictures that the stream gave out before this chunk."""
    epoch: int
    """How often the stream had been interrupted when this was made."""
    idle: bool
    """Whether the stream was at rest: silence that nobody pushed."""

    @property
    def start_s(self) -> float:
        """Presentation time of the first picture and sample; picture k of the chunk follows k / 25 s later."""
        return self.start_frame / GRID_FPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a portrait becomes once, for all chunks."""

    reference_CTHW: "Tensor"
    colour_mean_3111: "Tensor"
    colour_deviation_3111: "Tensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that the next chunk depends on, besides portrait and sound."""

    motion_CTHW: "Tensor"
    """Latents taken over, padded with zeros to those of a chunk."""
    motion_latents: int
    cache: TemporalAudioContextCache
    random: "Tensor"
    """State of the stream's random numbers."""
    n_frames: int
    """Pictures made so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Sound of the next chunk."""

    pcm_S: NDArray[np.float32]
    """Padded to whole pictures, at most a chunk's."""
    n_samples: int
    """Of them those that were pushed."""
    idle: bool

    @property
    def n_frames(self) -> int:
        """Pictures that this sound needs."""
        return self.pcm_S.size // SAMPLES_PER_FRAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A chunk whose pictures may still be on their way from the device."""

    request: Request
    frames_THWC: Callable[[], NDArray[np.uint8]]
    """Waits for them."""
    after: State


class Maker(Protocol):
    """Who makes a stream's chunks: an `Engine`."""

    def next_chunks(self, streams: "Sequence[Stream]") -> list[Chunk | None]: ...
    def forget(self, stream: "Stream") -> None: ...


class Stream:
    """One talking head of an engine; see `Engine.open`."""

    def __init__(self, engine: Maker, look: Look, start: State) -> None:
        """Begin at the portrait; `Engine.open` calls this."""
        self._engine, self.look = engine, look
        self._voice = Voice()
        self._ahead: deque[Made] = deque()
        self._taken = self.made = start
        self._epoch = 0
        self._closed = False

    def push_pcm(self, samples_S: Pushed, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        """Add mono sound to be spoken: float -1 … 1 or int16, any length, at 4 to 384 kHz."""
        self.check_open()
        self._voice.push(samples_S, rate_hz)

    def flush(self) -> None:
        """End the utterance, so that its last, partial chunk can be made; more may be pushed afterwards."""
        self.check_open()
        self._voice.flush()

    def interrupt(self) -> None:
        """Drop all sound and pictures that have not been given out; the head goes on from the last that were."""
        self.check_open()
        self._voice.clear()
        self._ahead.clear()
        self.made = self._taken
        self._epoch += 1

    def close(self) -> None:
        """Leave the engine and free the place; closing twice does nothing."""
        self._closed = True
        self._voice.clear()
        self._ahead.clear()
        self._engine.forget(self)

    def next_chunk(self) -> Chunk | None:
        """The next pictures and their sound; None while an utterance has begun and lacks sound for a chunk.

        At rest, when nothing was pushed or all of it was spoken and flushed, the chunk is one of silence (`idle`).
        """
        return self._engine.next_chunks([self])[0]

    @property
    def is_speaking(self) -> bool:
        """Whether sound that was pushed has not been given out yet."""
        return bool(self._ahead) or not self._voice.at_rest

    @property
    def waiting_s(self) -> float:
        """Seconds of sound pushed and not yet made into pictures: what a caller bounds."""
        return self._voice.n_samples / SAMPLE_RATE_HZ

    @property
    def epoch(self) -> int:
        """How often the stream was interrupted."""
        return self._epoch

    def wants(self, n_frames: int, *, idle: bool = False, ahead: int = 0) -> bool:
        """For the engine: whether a chunk can be made now, of silence too if `idle`, with so many made `ahead`."""
        if self._closed or len(self._ahead) > ahead:
            return False
        return self._voice.is_ready(n_frames * SAMPLES_PER_FRAME) or (idle and self._voice.at_rest)

    def request(self, n_frames: int) -> Request:
        """For the engine: the sound of the next chunk, which stays until the chunk is made."""
        if self._voice.at_rest:
            return Request(pcm_S=silence(n_frames), n_samples=0, idle=True)
        pcm_S = self._voice.first(n_frames * SAMPLES_PER_FRAME)
        padded_S = np.pad(pcm_S, (0, -pcm_S.size % SAMPLES_PER_FRAME))
        return Request(pcm_S=padded_S, n_samples=pcm_S.size, idle=False)

    def add(self, made: Made) -> None:
        """For the engine: a chunk was made."""
        if not made.request.idle:
            self._voice.drop(made.request.n_samples)
        self._ahead.append(made)
        self.made = made.after

    def take(self) -> Chunk | None:
        """For the engine: give the oldest chunk out, waiting for its pictures."""
        if not self._ahead:
            return None
        made = self._ahead.popleft()
        start_frame, self._taken = self._taken.n_frames, made.after
        return Chunk(
            frames_THWC=made.frames_THWC(),
            pcm_S=made.request.pcm_S,
            start_frame=start_frame,
            epoch=self._epoch,
            idle=made.request.idle,
        )

    def check_open(self) -> None:
        """Raise StreamClosedError where the stream is closed."""
        if self._closed:
            raise StreamClosedError("this stream is closed; open another")


def silence(n_frames: int) -> NDArray[np.float32]:
    """Exact zeros: the model closes the mouth on them."""
    return np.zeros(n_frames * SAMPLES_PER_FRAME, np.float32)
