"""How a server behaves: limits, each with its unit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vividhead.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Settings of a server, fixed while it runs."""

    host: str = "127.0.0.1"
    port: int = 8770
    """0 takes a free one."""
    token: str | None = None
    origins: tuple[str, ...] = ()
    """Further pages that may connect, as `https://example.org`; the server's own always may."""
    streams: int | None = None
    """Streams at once at most; None: as many as this machine was measured to hold."""
    portraits: Mapping[str, Path] = field(default_factory=dict)
    """Portraits that clients can choose by name; the first is the default."""
    uploads: bool = True
    """Whether clients may send portraits of their own."""
    require_consent: bool = False
    """Whether who sends a portrait must declare the right to let it speak."""
    audit_log: Path | None = None
    """JSONL: who generated what from which portrait."""
    label: str = ""
    """Drawn visibly into every picture."""
    quality: int = 85
    """Of JPEG and WebP pictures, 1 … 100."""
    streams_per_client: int = 8
    """Of one network address."""
    waiting_s: float = 60.0
    """Sound that a client may push ahead of what is spoken."""
    idle_s: float = 600.0
    """A stream to which nobody says anything for so long is closed."""
    resume_s: float = 20.0
    """A stream whose connection broke keeps its place for so long."""
    backlog_s: float = 3.0
    """Pictures that wait for a slow client; older ones are dropped."""
    drain_s: float = 20.0
    """At SIGTERM, time to finish what is being said."""
    portrait_pixels: int = 16 << 20

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port {self.port}: 0 … 65535 are possible")
        if self.streams is not None and self.streams < 1:
            raise UsageError(f"--streams {self.streams}: 1 or more")
        if self.streams_per_client < 1:
            raise UsageError(f"--streams-per-address {self.streams_per_client}: 1 or more")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"--quality {self.quality}: 1 … 100")
        if len(self.label) > 40 or not self.label.isascii():
            raise UsageError("--label: up to 40 ASCII characters")
        for name, value, least in (("waiting_s", self.waiting_s, 4.0), ("backlog_s", self.backlog_s, 2.5)):
            if value < least:
                raise UsageError(f"{name} of {value}: at least {least:g} s, for a listener who is not slow")
        if self.idle_s <= 0:
            raise UsageError(f"idle_s of {self.idle_s}: more than 0")
