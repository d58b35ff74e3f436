"""Who is here: places and their limits, streams that can be resumed, the log of who generated what."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from vividhead.errors import VividHeadError
from vividhead.flashhead.generate.engine import EngineFullError
from vividhead.flashhead.model.flashhead import FlashHead
from vividhead.flashhead.wire import CLOSE_REFUSED, CLOSE_RESTART, CODECS, MAX_PORTRAIT_BYTES, VERSION
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ
from vividhead.serve.figures import Figures
from vividhead.serve.host import Host
from vividhead.serve.options import Serving
from vividhead.serve.portraits import Portraits, Prepared
from vividhead.serve.session import Session

logger = logging.getLogger(__name__)

LOOK_AROUND_S = 0.5
DOORSTEPS = 2
"""So many connections for each stream of an address may be about to begin: pictures that they send are looked at."""
HANGS_S = 60.0
"""An engine that was not seen at work for so long hangs."""


class RefusedError(VividHeadError):
    """No stream is given. `code` is the protocol's, `retry_s` when to ask again, where that helps."""

    def __init__(self, code: str, text: str, retry_s: float | None = None) -> None:
        """Say why."""
        self.code, self.retry_s = code, retry_s
        super().__init__(text)


class Lobby:
    """All sessions of a server. Belongs to the event loop."""

    def __init__(
        self,
        host: Host,
        portraits: Portraits,
        model: FlashHead,
        serving: Serving,
        figures: Figures,
        say_text: Callable[[str], Any] | None,
    ) -> None:
        """Give out places of `host`; `say_text` speaks typed text, where there is a voice."""
        self.host, self.portraits, self.serving, self.figures = host, portraits, serving, figures
        self.say_text = say_text
        self.draining = False
        self._model = model
        self._sessions: dict[str, Session] = {}
        self._opening: Counter[str] = Counter()
        """Streams that are being opened, by their client."""
        self._arrived: Counter[str] = Counter()

    def hello(self) -> dict[str, Any]:
        """What a client is told first."""
        model, serving = self._model, self.serving
        return {
            "version": VERSION,
            "vividhead": version("vividhead"),
            "model": model.config.name,
            "checkpoint_sha256": model.checkpoint_sha256,
            "random_weights": model.random_weights,
            "fps": GRID_FPS,
            "rate_hz": SAMPLE_RATE_HZ,
            "side_px": self.side_px,
            "chunk_pictures": model.config.new_frames,
            "video": list(CODECS),
            "webrtc": find_spec("aiortc") is not None,
            "portraits": list(self.portraits.named),
            "uploads": serving.uploads,
            "consent": serving.require_consent,
            "say": self.say_text is not None,
            "label": serving.label,
            "limits": {
                "waiting_s": serving.waiting_s,
                "idle_s": serving.idle_s,
                "resume_s": serving.resume_s,
                "portrait_bytes": MAX_PORTRAIT_BYTES,
                "portrait_pixels": serving.portrait_pixels,
            },
        }

    def why_not_ready(self) -> RefusedError | None:
        """Why no stream would be given now."""
        if self.draining:
            return RefusedError("draining", "the server is being stopped", self.serving.drain_s)
        if self.host.silent_s > HANGS_S:
            return RefusedError("failed", "the engine does not answer", 60.0)
        if self.host.n_open >= self.host.capacity:
            text = f"all {self.host.capacity} places are taken"
            return RefusedError("full", text, self._free_in_s())
        return None

    @contextmanager
    def at_the_door(self, client: str) -> Iterator[None]:
        """Somebody who has no stream yet: they, too, are so many of one address. Raises RefusedError."""
        if self._arrived[client] >= DOORSTEPS * self.serving.streams_per_client:
            raise RefusedError("too_many", "too many connections of your address have not begun a stream", 10.0)
        self._arrived[client] += 1
        try:
            yield
        finally:
            self._arrived -= Counter([client])

    async def admit(self, session: Session, portrait: Prepared) -> None:
        """Open the session's stream. Raises RefusedError."""
        client = session.client
        of_client = self._opening[client] + sum(other.client == client for other in self._sessions.values())
        if of_client >= self.serving.streams_per_client:
            self.figures.count("streams_refused")
            raise RefusedError("too_many", f"{of_client} streams of your address are open, and no more may be", 10.0)
        if refused := self.why_not_ready():
            self.figures.count("streams_refused")
            raise refused
        self._opening[client] += 1
        try:
            await self.host.open(session, portrait.picture_HWC)
        except EngineFullError as fault:
            self.figures.count("streams_refused")
            raise RefusedError("full", str(fault), self._free_in_s()) from fault
        except VividHeadError as fault:
            raise RefusedError("failed", str(fault)) from fault
        finally:
            self._opening -= Counter([client])  # a client that has none is forgotten
        session.portrait_sha256, session.figures = portrait.sha256, self.figures
        try:
            self._log("opened", session)
        except OSError as fault:
            self.host.close(session)
            logger.exception("a stream is refused, as the audit log cannot be written")
            raise RefusedError("failed", "the server cannot write its audit log") from fault
        self._sessions[session.key] = session

    @property
    def side_px(self) -> int:
        """Of the pictures."""
        return self._model.config.stream.side_px

    def resumed(self, key: str, client: str, *, by_rtc: bool = False) -> Session:
        """The session whose connection broke, and was of the same kind. Raises RefusedError."""
        session = self._sessions.get(key)
        known = session is not None and session.client == client and (session.codec == "i420") == by_rtc
        if session is None or session.closed or not known:
            raise RefusedError("gone", "there is no such stream any more: start anew")
        if session.attached:
            raise RefusedError("in_use", "another connection listens to this stream", 1.0)
        session.reattach()
        return session

    def leave(self, session: Session, *, for_good: bool) -> None:
        """The session's connection ended; its place is kept for a while unless it is `for_good`."""
        session.attached, session.heard_at = False, time.monotonic()
        if for_good or session.is_ending or not self.serving.resume_s or self.draining:
            self._remove(session)

    async def look_around(self) -> None:
        """Close what nobody uses; runs as long as the server."""
        while True:
            await asyncio.sleep(LOOK_AROUND_S)
            now = time.monotonic()
            for session in list(self._sessions.values()):
                quiet_s = now - session.heard_at
                if not session.attached and quiet_s > self.serving.resume_s:
                    self._remove(session)
                elif quiet_s > self.serving.idle_s:
                    session.say_goodbye(CLOSE_REFUSED, "idle", f"nothing was said for {self.serving.idle_s:g} s")

    async def drain(self) -> None:
        """Let what is being said be finished, within the limit, then send everyone away."""
        self.draining = True
        until = time.monotonic() + self.serving.drain_s
        while time.monotonic() < until and any(s.is_busy for s in self._sessions.values()):
            await asyncio.sleep(0.05)
        for session in list(self._sessions.values()):
            session.say_goodbye(CLOSE_RESTART, "draining", "the server is being stopped", retry_s=5.0)
            if not session.attached:  # nobody is there to be waited for
                self._remove(session)
        while self._sessions and time.monotonic() < until + 2.0:
            await asyncio.sleep(0.05)

    def close(self) -> None:
        """Forget everyone."""
        for session in list(self._sessions.values()):
            self._remove(session)

    def gauges(self) -> dict[str, float]:
        """Values of this moment."""
        return {
            "streams": self.host.n_open,
            "capacity": self.host.capacity,
            "ready": float(self.why_not_ready() is None),
            "engine_silent_seconds": self.host.silent_s,
            "unspoken_seconds": sum(s.unspoken_s for s in self._sessions.values()),
        }

    def _free_in_s(self) -> float:
        """When a place may be free: as soon as a stream without connection is given up, else a guess."""
        now = time.monotonic()
        left = [s.heard_at + self.serving.resume_s - now for s in self._sessions.values() if not s.attached]
        return round(max(1.0, min([15.0, *left])), 1)

    def _remove(self, session: Session) -> None:
        if self._sessions.pop(session.key, None) is not None:
            self.host.close(session)
            try:
                self._log("closed", session)
            except OSError:
                logger.exception("the end of a stream is missing in the audit log")

    def _log(self, what: str, session: Session) -> None:
        row = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": what,
            "stream": session.key[:8],
            "client": session.client,
            "portrait_sha256": session.portrait_sha256,
            "consent": session.consent,
            "seed": session.seed,
            "model": self._model.config.name,
            "checkpoint_sha256": self._model.checkpoint_sha256,
            "pictures": session.frames_made,
            "pictures_dropped": session.dropped,
        }
        line = json.dumps(row)
        logger.info("%s", line)
        if self.serving.audit_log is not None:
            with self.serving.audit_log.open("a", encoding="utf-8") as log:
                log.write(line + "\n")
