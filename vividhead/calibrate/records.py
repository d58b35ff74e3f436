"""What a calibration writes down: good clips, readings, and what follows from them. All are frozen plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vividhead.records import Measurement

UNTOUCHED = "untouched"
"""Name of the family of readings of good clips as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A clip known to be good, or a window of one, as it lies in the calibration's folder."""

    name: str
    """Of its files, and of the clip in reports."""
    source_id: str
    """Clips of one source are no independent evidence."""
    speaker: str
    """Whom the clip shows as far as the footage says; else its source."""
    n_frames: int
    side_px: int
    face_px_in_source: float
    facts: Mapping[str, str] = field(default_factory=dict)
    """What is known beforehand and may divide clips: `language`, `licence`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One clip, spoilt by one level of one family (or untouched), and what the scores said of it."""

    clip: str
    family: str
    level: float
    measurements: tuple[Measurement, ...]
    cost_ms: Mapping[str, float]
    """Score → milliseconds it took; `face_mesh` is the mesh that several of them share, `watch` finding the face."""
    n_frames: int
    cuts: int
    """Cuts that the tracker saw in it: curation would have parted the clip there, before any score."""
    face_share: float
    """Part of the frames in which the tracker had a face."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A figure with the interval that holds it in 95 of 100 resamplings of the sources."""

    value: float | None
    """None where there is nothing to take it of."""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """All readings of one field at one level of a family."""

    level: float
    harmful: bool
    clips: int
    p10: float | None
    median: float | None
    p90: float | None
    unmeasured: int
    """Clips of which the field gave no value."""
    refused: float | None
    """Part of the clips that the shipped rules on the field's score refuse."""
    parted: float
    """Part of the clips in which the tracker saw a cut or lost the face: they reach no score as one clip."""
    error_median: float | None = None
    error_p95: float | None = None
    """Of |reading − truth|, in the field's unit, where there is a truth."""
    within: float | None = None
    """Part of the clips whose |reading − truth| is at most `tolerance`; unmeasured ones are not within."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How one field answers one family."""

    field: str
    family: str
    tolerance: float | None
    levels: tuple[Level, ...]
    """The first is the untouched clips, as level 0 and harmless."""
    auc: Span
    """How often an untouched clip reads better than a harmful one; an unmeasured one is the worst of all."""
    monotone: Span
    """Mean over sources of Spearman's correlation between the order of levels and the reading."""
    subgroups: Mapping[str, Mapping[str, float]]
    """Division → its part → AUC within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The limit on one field that the readings ask for, beside the shipped one."""

    field: str
    sense: str
    """`low`, `high` or `size`: which readings are bad."""
    families: tuple[str, ...]
    auc: Span
    wanted: Span
    """The limit for the wanted precision: of clips kept by it, so many are good, good and harmful being as many."""
    reached: bool
    """Is there such a limit? Else `wanted` is the one of the best precision there is."""
    precision: float | None
    kept_good: Span
    """Part of the good clips that it keeps."""
    shipped: float | None
    shipped_precision: float | None
    shipped_kept_good: float | None
    held_out_precision: float | None = None
    held_out_kept_good: float | None = None
    """What limits drawn without a speaker do to that speaker's clips, over all speakers."""
    dropped_of_datasets: Mapping[str, tuple[float, float | None]]
    """Dataset → parts of its candidate clips (those measured) that the wanted and the shipped limit would drop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One step of a reliability curve."""

    said: float
    """Mean confidence of the readings."""
    true: float
    """Part of them that were right."""
    readings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LipSync:
    """What `lip_sync` is worth, over readings of `audio_shift` and of sound that is not the lips' own."""

    clips: int
    within_1_frame: Span
    """Part of the shifted readings whose change from the untouched reading is right within a frame."""
    within_1_frame_of_known: Span
    """The same, of readings that gave an offset at all."""
    peak_auc: Span
    """How often the peak of the own voice beats that of another's, music or noise."""
    false_accepts: Mapping[str, float]
    """Family of wrong sound → part that the shipped rules on lip_sync accept."""
    false_confident: Mapping[str, float]
    """The same by confidence alone."""
    kept_good: float
    """Part of untouched clips that the shipped rules on lip_sync accept."""
    reliability: tuple[Bin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The whole report."""

    vividhead: str
    command: str
    where: tuple[str, ...]
    filters: str
    seed: int
    seconds: float
    precision: float
    clips: tuple[Good, ...]
    untouched_kept: float
    """Part of the good clips that the shipped rules keep, as far as they are on measured scores."""
    curves: tuple[Curve, ...]
    thresholds: tuple[Threshold, ...]
    lip_sync: Mapping[str, LipSync]
    """By part of the clips: `all`, and whether the shipped map was fitted on them."""
    bystanders: Mapping[str, Mapping[str, float]]
    """Field → family that does not concern it → median change, in spreads of the untouched clips."""
    cost_ms_per_s: Mapping[str, float]
    """Score → median milliseconds a second of untouched clip, on one core."""
    wall_s: float
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Clip → why it is none of those: the code of what is wrong with its file, or `not good` by its first reading."""
