"""The nouns of the product: Source, Segment, Span, Track, Clip, Measurement, Decision.

All are frozen plain values. Times are integers on the **source grid** of 25 frames per second whose frame 0
is the first frame of the source's clock (see `media.probe.Probe.zero_s`): frame k is shown from k/25 s to
(k+1)/25 s and owns the audio samples 640k … 640k+639 at 16 kHz. Spans are half open: `[start_frame, end_frame)`.

    source   |0 ------------- 600 s |-------------- 1200 s |----|      seconds since the source's first frame
    segment  |======== 0 ===========|========= 1 ==========|= 2 =|      unit of work, retry and commit
    span          |-------|   |------------|                           speech and a face are likely
    track         |--a---|    |---b---|-c--|                           one face through one shot
    clip           |--|--|    |--|    |--|                             3–60 s of one track in one still crop

Boxes are `(x0, y0, x1, y1)` in pixels of the upright, square-pixel picture (after rotation and sample aspect).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

GRID_FPS = 25
SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // GRID_FPS
GATE_LUFS = -70.0
"""EBU R128 counts no sound that is quieter: the least loudness that is told."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the upright, square-pixel source picture; x1 and y1 excluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of the user's source list: where footage is and what is known of it beforehand."""

    uri: str
    """A file path as the user gave it (absolute, or relative to the current folder)."""
    given_id: str | None = None
    """The user's own id, `source_id` in a source list: a second source with the same one is a duplicate."""
    licence: str | None = None
    consent: str | None = None
    language: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Every further column of the source list, as text; travels to the manifest."""


SourceOutcome = Literal["ready", "duplicate", "rejected", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file of footage, or the reason why it is none."""

    source_id: str
    """sha256 of the bytes; `unread-` + sha256 of the uri where the bytes could not be read."""
    listed: Listed
    outcome: SourceOutcome
    code: str | None = None
    """Why it is not `ready`, e.g. `source.no_audio`; None when ready."""
    detail: str = ""
    """The same in words, with the numbers."""
    duplicate_of: str | None = None
    """The source_id kept in place of this one (same bytes), or the first uri's (same given id)."""
    bytes: int | None = None
    container: str | None = None
    duration_s: float = 0.0
    """Seconds of footage, from its first packet to the end of its last, or to the promised end of a torn file. The
    account's sums are sums of this."""
    n_frames: int = 0
    """Whole grid frames in `duration_s`."""
    pictures_end_frame: int | None = None
    """Grid frames up to which the file holds video packets; None where that was not looked at."""
    torn: bool = False
    """The header promises over half a second more than is there, or the file cannot be read to its end."""
    zero_s_in_container: tuple[int, int] = (0, 1)
    """The container time of grid frame 0, as numerator and denominator."""
    video_codec: str | None = None
    width_px: int | None = None
    """Width of the upright, square-pixel picture."""
    height_px: int | None = None
    fps: float | None = None
    """Average frame rate of the video stream; the footage may be of variable rate."""
    pixel_format: str | None = None
    rotation_deg: int = 0
    sample_aspect: tuple[int, int] = (1, 1)
    interlaced: bool = False
    audio_codec: str | None = None
    audio_rate_hz: int | None = None
    audio_channels: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """At most ten minutes of a source: the unit of work, retry and commit. Clips do not cross segments."""

    segment_id: str
    """`<first 16 hex digits of source_id>-<start_frame, 7 digits>`."""
    source_id: str
    start_frame: int
    end_frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Part of a segment that is no candidate clip, and why."""

    start_frame: int
    end_frame: int
    code: str
    """One of `no_speech`, `no_face`, `too_short`, `no_picture`, or `failed.<what>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A candidate: 3–60 s of one face in one shot, with the still crop that frames it."""

    clip_id: str
    """sha256 of source_id, span, crop box and geometry version; the first 20 hex digits."""
    source_id: str
    segment_id: str
    track: int
    """Number of the face track within its segment."""
    shot: int
    """Number of the shot within its segment."""
    start_frame: int
    end_frame: int
    crop_xyxy_px: tuple[int, int, int, int]
    """Square, inside the picture, even-numbered."""

    @property
    def n_frames(self) -> int:
        return self.end_frame - self.start_frame

    @property
    def start_s_in_source(self) -> float:
        return self.start_frame / GRID_FPS

    @property
    def end_s_in_source(self) -> float:
        return self.end_frame / GRID_FPS

    @property
    def duration_s(self) -> float:
        return self.n_frames / GRID_FPS


BUCKETS = ("kept", "rejected", "not_candidate", "duplicate", "failed", "not_yet")
"""Where a second of footage goes: exactly one of these. `audit.account` says what they mean."""

Status = Literal["measured", "unmeasurable", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one score says of one clip.

    `status` is of the whole score: `measured` (values may still hold None for a field that is unknown, and then
    `unknown` says why), `unmeasurable` (`code` says why), `failed` (`detail` holds the error) or `skipped` (a
    cheaper hard rule had already rejected the clip).
    """

    clip_id: str
    score: str
    version: int
    fingerprint: str
    """Name, version and digest of the model behind the score; empty where there is none."""
    status: Status
    code: str = ""
    detail: str = ""
    values: Mapping[str, float | None] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Field → code, for each field of a measured score that is None."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Text → what it says, for scores that yield texts beside numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One broken rule. `code` is `<score>.<field>:{low,high,unmeasurable,failed,skipped}`."""

    code: str
    field: str
    value: float | None
    limit: float | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a clip is kept, with all broken rules in the policy's order."""

    clip_id: str
    kept: bool
    reasons: tuple[Reason, ...]
