"""What an evaluation says. What could not be measured says so and why; it never stands there as a number."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vividhead.records import Measurement, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One number, or the reason why there is none."""

    unit: str
    status: Status
    value: float | None = None
    code: str = ""
    """Why there is no value: short, closed and stable, e.g. `no_face`."""
    detail: str = ""


def measured(value: float, unit: str = "1") -> Reading:
    """A number that is known."""
    return Reading(unit=unit, status="measured", value=round(float(value), 6))


def unmeasurable(code: str, detail: str = "", unit: str = "1") -> Reading:
    """A number that this talk does not have."""
    return Reading(unit=unit, status="unmeasurable", code=code, detail=detail)


def field_of(row: Measurement, field: str, unit: str = "1") -> Reading:
    """One field of a score's row."""
    if row.status != "measured":
        return Reading(unit=unit, status=row.status, code=row.code, detail=row.detail)
    value = row.values[field]
    return unmeasurable(row.unknown[field], unit=unit) if value is None else measured(value, unit)


def median_of(readings: Iterable[Reading]) -> Reading:
    """The median of what is known of them; where nothing is, what the first one says."""
    those = list(readings)
    known = [reading.value for reading in those if reading.value is not None]
    return measured(float(np.median(known)), those[0].unit) if known else those[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Something over the time of the talk, a value a second; None where it could not be measured."""

    unit: str
    at_s: tuple[float, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LipSyncWindow:
    """The score `lip_sync` on a stretch of the talk."""

    start_s: float
    end_s: float
    offset_ms: Reading
    confidence: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """How the mouth's opening follows the sound's loudness: Pearson's r at each lag."""

    lags_frames: tuple[int, ...]
    """Positive: the picture is later than the sound."""
    r_at_lag: tuple[float, ...]
    """Empty where nothing was measured."""
    best_r: Reading
    best_lag_frames: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class LipSyncError:
    """SyncNet's distances between lips and sound, over the whole talk, as papers report them."""

    lse_c: Reading
    """Median of the mean distances at shifts of -15 … 15 frames, minus the least."""
    lse_d: Reading
    """The least."""
    offset_frames: Reading
    """As SyncNet's reference has it: 15 minus the shift of the sound at which it is least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The pictures held against one sound."""

    sound: str
    """`own`, or the clip ids that another sound was made of."""
    lip_sync_offset_ms: Reading
    """Median over the windows."""
    lip_sync_confidence: Reading
    lip_sync_windows: tuple[LipSyncWindow, ...]
    opening: Following
    lip_sync_error: LipSyncError


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Embeddings of the score `identity`, one a second, against that of the first second: 1 - L2."""

    to_first_second: Curve
    lowest: Reading
    end: Reading
    """Mean of the last three seconds."""
    drift_start_to_end: Reading
    """As the score has it: L2 from the first seconds' mean embedding to that of the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpness:
    """The score `sharpness`, for each second by itself."""

    blurs_per_face: Curve
    start: Reading
    """Median of the first five seconds."""
    end: Reading
    """Median of the last five."""
    change: Reading
    """End ÷ start - 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundaries:
    """PSNR from one picture to the next, before encoding: across chunks, and just before and after that."""

    across_db: Reading
    beside_db: Reading
    jump_db: Reading
    """`across_db` - `beside_db`: 0 where a boundary is like any other step, negative where it shows."""
    n_boundaries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """How far the mouth is open, in distances of the outer eye corners."""

    silent_opening: Reading
    """Mean while nothing is heard, but for the first 0.2 s of each silence."""
    sounding_opening: Reading
    silent_s: float
    silent_to_sounding: Reading
    """The one ÷ the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """One talk."""

    talk: str
    """Name of the file."""
    portrait: str | None
    """The clip whose picture speaks; None for a video."""
    spoken: tuple[str, ...]
    """The clips whose sound it speaks; empty for a video."""
    duration_s: float
    mesh_coverage: float
    """Frames with a face mesh ÷ frames."""
    own: Heard
    others: tuple[Heard, ...]
    """The same pictures held against other clips' sound."""
    identity: Identity
    sharpness: Sharpness
    boundaries: Boundaries
    silence: Silence
    opening: Curve
    """Of the mouth, mean of each second."""
    loudness: Curve
    """RMS of each second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is evaluated."""

    kind: str
    """`checkpoint` or `video`."""
    path: str
    model: str | None = None
    checkpoint_sha256: str | None = None
    clips_held_out: bool | None = None
    """Of a checkpoint: whether its configuration keeps the clips that speak out of training on this dataset."""
    synthetic: bool | None = None
    """Whether it was generated; of a video, whether it says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole evaluation. Numbers of two reports compare where `vividhead`, `dataset` and `minutes` are the same."""

    vividhead: str
    subject: Subject
    dataset: str
    minutes: float
    """Asked for, of each talk."""
    seed: int
    grades: tuple[Grade, ...]
    fid: Reading
    """Fréchet distance of all talks' pictures to clips' that are not trained on, by Inception's features."""
    fvd: Reading
    """The same of stretches of 16 pictures, by I3D's logits."""
