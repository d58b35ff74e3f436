"""The thread that owns the engine: obeys commands, makes what is due, speech before rest, and hands it to encoders.

What is due at once is made in one batch. A stream whose chunk cannot be made is closed; the others go on.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import VividHeadError
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.generate.stream import Chunk, Stream
from vividhead.flashhead.wire import Pcm
from vividhead.serve.encode import encoder_for, messages
from vividhead.serve.figures import Figures
from vividhead.serve.session import Session

logger = logging.getLogger(__name__)

LATE_S = 0.1
"""A listener's own buffer covers so much."""
MOST_REST_LEAD_S = 0.6
"""Rest is made no earlier, however slow the machine: speech would wait behind it."""
LANES = 4
"""Threads that encode; a stream's pictures stay in order as it keeps to one of them."""
MOST_ENCODING_CHUNKS = 4
"""Of one stream: where pictures are made faster than they are encoded, they are made later, not kept."""
OBEYS_S = 0.02
"""The thread obeys so long before it looks for what is due: who sends much stalls nobody else."""


class Host:
    """Streams of one engine, driven in real time by one thread."""

    def __init__(self, engine: Engine, figures: Figures, *, chunk_s: float, quality: int, label: str) -> None:
        """Drive `engine`, which nobody else may use from now on; a chunk of it takes about `chunk_s`."""
        self._engine, self._figures = engine, figures
        self._quality, self._label = quality, label
        self._rest_lead_s = min(2 * chunk_s + 0.1, MOST_REST_LEAD_S)
        self._sessions: list[Session] = []
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lanes = [ThreadPoolExecutor(1, f"encode-{lane}") for lane in range(LANES)]
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._stopping = False
        self._turned_at = time.monotonic()
        self._n_opened = 0

    def start(self) -> None:
        """Begin to obey."""
        self._thread.start()

    def stop(self) -> None:
        """Close all streams and wait for the threads."""
        self._stopping = True
        self._commands.put(lambda: None)
        self._thread.join()
        for lane in self._lanes:
            lane.shutdown()

    @property
    def capacity(self) -> int:
        """Streams at once."""
        return self._engine.capacity

    @property
    def n_open(self) -> int:
        """Streams that have a place now."""
        return len(self._sessions)

    @property
    def silent_s(self) -> float:
        """Seconds since the thread was last seen at work; many mean that it hangs."""
        return time.monotonic() - self._turned_at if self._thread.is_alive() else float("inf")

    async def open(self, session: Session, portrait_HWC: NDArray[np.uint8]) -> None:
        """Give the session a stream of this prepared portrait. Raises EngineFullError or UsageError."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()

        def settle(fault: VividHeadError | None) -> None:
            if opened.cancelled():
                return
            if fault is None:
                opened.set_result(None)
            else:
                opened.set_exception(fault)

        def command() -> None:
            fault: VividHeadError | None = None
            try:
                session.stream = self._engine.open(portrait_HWC, session.seed, as_it_is=True)
            except VividHeadError as found:
                fault = found
            except Exception:  # as a device's memory that is full: those who are in go on
                logger.exception("a stream could not be opened")
                fault = VividHeadError("the server could not open a stream")
            else:
                session.clock.forget(time.monotonic())
                self._sessions.append(session)
                self._n_opened += 1
            if fault is None:
                self._figures.count("streams_opened")
            loop.call_soon_threadsafe(settle, fault)

        self._commands.put(command)
        try:
            await opened
        except asyncio.CancelledError:
            self.close(session)  # it may have been opened in this very moment, and nobody would know
            raise

    def push(self, session: Session, sound: Pcm) -> None:
        """Let the session speak this."""

        def command() -> None:
            assert session.stream is not None
            session.obeyed_s += sound.duration_s
            session.stream.push_pcm(sound.samples_S, sound.rate_hz)
            session.clock.lacks_sound = False

        session.hear(sound.duration_s)
        self._order(session, command)

    def flush(self, session: Session) -> None:
        """End the session's utterance."""

        def command() -> None:
            assert session.stream is not None
            session.stream.flush()
            session.clock.lacks_sound = False

        self._order(session, command)

    def interrupt(self, session: Session) -> None:
        """Forget what the session has not said; its own `interrupt` was called."""

        def command() -> None:
            assert session.stream is not None
            session.stream.interrupt()
            session.clock.forget(time.monotonic())

        self._figures.count("interrupts")
        self._order(session, command)

    def close(self, session: Session) -> None:
        """Free the session's place."""

        def command() -> None:
            if session.stream is not None and not session.closed:
                session.stream.close()
                self._sessions.remove(session)
            session.closed = True

        self._commands.put(command)

    def _order(self, session: Session, command: Callable[[], None]) -> None:
        def obeyed() -> None:
            session.n_obeyed += 1
            if session.closed or session.stream is None:
                return
            try:
                command()
            except Exception as fault:
                if not isinstance(fault, VividHeadError):
                    logger.exception("a command failed: stream closed")
                self._fail(session, fault)
                return
            session.waiting_s = session.stream.waiting_s

        session.heard_at = time.monotonic()
        session.n_ordered += 1
        self._commands.put(obeyed)

    def _run(self) -> None:
        while not self._stopping:
            self._obey(self._work())
        for session in self._sessions:
            assert session.stream is not None
            session.stream.close()
        self._sessions.clear()

    def _obey(self, wait_s: float) -> None:
        try:
            self._commands.get(timeout=wait_s)() if wait_s else self._commands.get_nowait()()
            until = time.monotonic() + OBEYS_S
            while time.monotonic() < until:
                self._commands.get_nowait()()
        except queue.Empty:
            return

    def _work(self) -> float:
        """Make what is due; returns the seconds for which there is nothing to do but to obey."""
        now = self._turned_at = time.monotonic()
        attached = [s for s in self._sessions if s.attached]
        most_frames = MOST_ENCODING_CHUNKS * self._engine.model.config.new_frames
        listened = [s for s in attached if s.frames_made - s.frames_delivered < most_frames]
        due = [s for s in listened if s.clock.is_due(now, _speaks(s), self._rest_lead_s)]
        if not due:
            waits = (s.clock.wait_s(now, _speaks(s), self._rest_lead_s) for s in listened)
            return min([1.0 if len(listened) == len(attached) else 0.02, *waits])
        speech = [s for s in due if _speaks(s)]
        self._make(speech or due, now)
        return 0.0

    def _make(self, due: list[Session], began: float) -> None:
        for session, chunk in zip(due, self._chunks(due), strict=True):
            if session.closed:
                continue
            assert session.stream is not None
            if chunk is None:
                session.clock.lacks_sound = True
                continue
            session.frames_made += len(chunk.frames_THWC)
            session.waiting_s = session.stream.waiting_s  # after it was counted as made: it is never in neither
            late_s = session.clock.add(chunk, time.monotonic())
            self._figures.count("rest_chunks" if chunk.idle else "speech_chunks")
            if late_s > LATE_S:
                self._figures.count("underruns")
            lane = self._lanes[hash(session.key) % LANES]
            lane.submit(self._encode, session, chunk, not session.stream.is_speaking, began)

    def _chunks(self, due: list[Session]) -> list[Chunk | None]:
        """A chunk for each; if the batch fails, one by one, and who fails alone is closed."""
        streams = [s.stream for s in due if s.stream is not None]
        try:
            return self._engine.next_chunks(streams)
        except Exception as fault:
            if len(due) == 1:
                logger.exception("a chunk could not be made: stream closed")
                self._fail(due[0], fault)
                return [None]
            logger.warning("a batch of %d could not be made, so each is tried alone: %r", len(due), fault)
        return [self._chunks([session])[0] for session in due]

    def _fail(self, session: Session, fault: Exception) -> None:
        assert session.stream is not None
        session.stream.close()
        self._sessions.remove(session)
        session.closed = True
        self._tell(session, fault)

    def _tell(self, session: Session, fault: Exception) -> None:
        """End the session; what is no fault of its own is told in the log alone."""
        self._figures.count("streams_failed")
        told = str(fault) if isinstance(fault, VividHeadError) else "the server could not make the next pictures"
        session.from_thread(session.fail, told)

    def _encode(self, session: Session, chunk: Chunk, is_last: bool, began: float) -> None:
        try:
            if session.encoder is None:
                session.encoder = encoder_for(session.codec, chunk.frames_THWC.shape[1], self._quality)
            pieces = list(
                messages(chunk, session.codec, self._quality, self._label, is_last=is_last, encoder=session.encoder)
            )
        except Exception as fault:  # nobody waits for a lane's result: it would be gone, and the listener with nothing
            logger.exception("pictures could not be encoded: stream closed")
            self._tell(session, fault)
            return
        self._figures.chunk_took(time.monotonic() - began)
        session.from_thread(session.deliver, pieces)


def _speaks(session: Session) -> bool:
    assert session.stream is not None
    return session.stream.is_speaking


def measured_capacity(engine: Engine, most: int, reserve: float = 0.2) -> tuple[int, float]:
    """How many streams this machine holds, up to `most` and the engine's capacity, and a chunk's seconds for one.

    Batches of growing size are made until one takes longer than its pictures last, less the reserve.
    """
    config = engine.model.config
    blank_HWC = np.full((config.stream.side_px, config.stream.side_px, 3), 127, np.uint8)
    allowed_s = config.new_frames / 25 * (1 - reserve)
    streams: list[Stream] = []
    holds, one_s = 1, 0.0
    try:
        for count in range(1, min(most, engine.capacity) + 1):
            streams.append(engine.open(blank_HWC, count, as_it_is=True))
            engine.next_chunks(streams)  # the first of a size is slower
            took_s = min(_timed(engine, streams) for _ in range(2))
            one_s = one_s or took_s
            if took_s > allowed_s:
                break
            holds = count
    finally:
        for stream in streams:
            stream.close()
    return holds, one_s


def _timed(engine: Engine, streams: list[Stream]) -> float:
    began = time.perf_counter()
    engine.next_chunks(streams)
    return time.perf_counter() - began
