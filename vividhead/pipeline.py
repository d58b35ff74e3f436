"""What a run does: pipelines/*.toml read into a Pipeline of typed sections.

Each section belongs to the stages that read it, and `digest_of` tells whether anything that concerns a stage
has changed: a stage's work stays valid as long as its own sections do.
Options read `name: type = quantity(default, unit, low, high, meaning)`, low and high included.
"""

import hashlib
import json
from dataclasses import dataclass, fields, replace
from operator import attrgetter

from vividhead.settings import (
    Mistakes,
    filled,
    instead,
    is_path,
    plain,
    quantity,
    read_settings,
    setting,
    shipped_names,
    unshipped,
)

DEFAULT_PIPELINE = "talking-head"

X264_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip

SCORES = (
    "framing", "other_faces", "speech", "exposure", "sharpness",
    "loudness", "audio_quality", "artifacts", "detail", "interlacing", "jump_cut", "background", "overlay",
    "head_pose", "motion", "expression", "occlusion", "lip_sync", "identity",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """Which files count as footage."""

    min_duration_s: float = quantity(3.0, "s", 0, 86400, "shorter files are rejected")
    max_duration_s: float = quantity(14400.0, "s", 1, 604800, "longer files are rejected")
    min_side_px: int = quantity(96, "px", 16, 8192, "least width and height of the upright picture")
    max_side_px: int = quantity(4096, "px", 64, 16384, "greatest width and height of it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """The unit of work, retry and commit."""

    max_s: float = quantity(600.0, "s", 10, 3600, "length of a segment; no clip crosses into the next")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Where speech and a face are likely, from sound and key frames alone."""

    speech_probability: float = quantity(0.5, "", 0.01, 0.99, "sound this likely to be speech is speech")
    min_speech_s: float = quantity(0.25, "s", 0, 10, "shorter bursts of speech are ignored")
    bridge_silence_s: float = quantity(2.0, "s", 0, 60, "shorter silences do not end a span")
    pad_s: float = quantity(1.0, "s", 0, 30, "added before and after the speech of a span")
    face_confidence: float = quantity(0.5, "", 0.05, 0.99, "how sure of a face the detector must be")
    max_face_gap_s: float = quantity(3.0, "s", 0, 60, "two looks this near without a face mean none between")
    min_look_gap_s: float = quantity(1.0, "s", 0, 60, "key frames nearer to the last look are passed over")


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Shots and face tracks, in the one decode of a span."""

    detect_every_frames: int = quantity(8, "frames", 1, 25, "how often the detector looks")
    search_every_frames: int = quantity(25, "frames", 1, 250, "how often while no face is in view")
    detector_width_px: int = quantity(640, "px", 128, 1920, "wider pictures are scaled down to this for it")
    min_confidence: float = quantity(0.5, "", 0.05, 0.99, "how sure of a face it must be")
    min_iou: float = quantity(0.3, "", 0.01, 0.99, "intersection over union of two boxes of one face")
    max_gap_frames: int = quantity(24, "frames", 0, 250, "a track survives this long without its face")
    min_face_px: int = quantity(40, "px", 8, 2000, "smaller faces in the source start no track")
    max_faces: int = quantity(2, "", 1, 16, "tracks at once whose face crops are kept")
    cut_adaptive_threshold: float = quantity(3.0, "", 0.5, 20, "a cut changes so many times more than around")
    cut_min_content: float = quantity(15.0, "", 0, 255, "and at least so much in hue, saturation and luma")
    max_picture_gap_s: float = quantity(0.5, "s", 0.04, 10, "a longer time without a new picture ends a clip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """How a track becomes candidate clips."""

    min_s: float = quantity(3.0, "s", 0.2, 600, "shorter stretches are no clips")
    max_s: float = quantity(60.0, "s", 0.2, 600, "longer stretches are divided")
    crop_scale: float = quantity(2.2, "", 1.2, 6, "side of the crop in sides of the face box")
    max_zoom: float = quantity(1.6, "", 1, 10, "largest face of a clip in sizes of its smallest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Which scores are taken; the cheapest runs first, whatever the order here."""

    scores: tuple[str, ...] = setting(SCORES, "names of the files in vividhead/scores/")
    exhaustive: bool = setting(False, "measure on after a hard rule rejects a clip, to calibrate")
    syncnet_every_frames: int = quantity(1, "frames", 1, 25, "lip_sync_syncnet reads one window in so many")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """How kept clips are written."""

    side_px: int = quantity(512, "px", 64, 2048, "side of the square picture", multiple_of=2)
    crf: int = quantity(18, "", 0, 51, "H.264 constant rate factor: 0 is lossless, 51 the worst")
    preset: str = setting("veryfast", "what x264 spends on a smaller file", choices=X264_PRESETS)
    gop_frames: int = quantity(50, "frames", 1, 1000, "a key frame at least this often")
    aac_kbps: int = quantity(96, "kbit/s", 32, 512, "sound for viewing; the exact sound is the FLAC")
    shard_mb: int = quantity(512, "MB", 1, 100000, "no shard with more than one clip is larger")
    shard_prefix: str = setting("train", "as in train-000000.tar", pattern="[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a failing unit of work is contained; changes nothing in one that succeeds."""

    attempts: int = quantity(3, "", 1, 10, "then the unit is set aside with its error")
    stall_limit_s: float = quantity(120.0, "s", 1, 86400, "a child process without progress is killed")
    unit_limit_s: float = quantity(7200.0, "s", 1, 604800, "so is one that takes longer in all")
    memory_limit_mb: int = quantity(3000, "MB", 256, 1000000, "so is one that grows beyond this")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one task of a stage reserves; changes no result."""

    cpus: float = quantity(1.0, "", 0.01, 1024, "CPU cores")
    gpus: float = quantity(0.0, "", 0, 64, "GPUs; a fraction shares one")
    memory_mb: int = quantity(1500, "MB", 64, 1000000, "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one task of each stage reserves of a cluster."""

    ingest: Needs = Needs(memory_mb=500)
    scan: Needs = Needs(memory_mb=1000)
    measure: Needs = Needs(memory_mb=1500)
    pack: Needs = Needs(memory_mb=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One pipelines file; options that it leaves out have their defaults."""

    name: str = DEFAULT_PIPELINE
    """Name of the file, without folder and suffix."""
    text: str = ""
    """The file as it was read."""
    filters: str = setting("talking-head", "the policy unless another is named: shipped, or a path")
    seed: int = quantity(0, "", 0, 2**31 - 1, "for whatever is drawn by chance")
    ingest: Ingest = Ingest()
    segments: Segments = Segments()
    scan: Scan = Scan()
    track: Track = Track()
    clips: Clips = Clips()
    measure: Measure = Measure()
    pack: Pack = Pack()
    run: Run = Run()
    resources: Resources = Resources()


Section = Ingest | Segments | Scan | Track | Clips | Measure | Pack | Run | Needs | Resources


def digest_of(*parts: Section | str | float) -> str:
    """16 hex digits over plain values and all values of sections; in a section 3 and 3.0 are the same."""
    content = [p if isinstance(p, (str, int, float)) else [type(p).__name__, _values(p)] for p in parts]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _values(section: Section) -> dict[str, object]:
    values: dict[str, object] = {}
    for member in fields(section):
        value = getattr(section, member.name)
        if isinstance(value, Needs):
            values[member.name] = _values(value)
        elif isinstance(value, tuple):
            values[member.name] = sorted(value)  # names; their order means nothing
        else:
            values[member.name] = float(value) if isinstance(member.default, float) else value
    return values


def load_pipeline(name_or_path: str = DEFAULT_PIPELINE) -> Pipeline:
    """Read a pipeline; a bare name is a shipped one, else it is a path.

    `filters` may be a path relative to the pipeline file's folder. Raises ConfigError with every mistake.
    """
    path, text, content = read_settings("pipelines", name_or_path)
    mistakes = Mistakes()
    pipeline = filled(Pipeline(name=path.stem, text=text), content, "", mistakes)
    _check_names(pipeline, mistakes)
    _check_order(pipeline, mistakes)
    mistakes.raise_any(name_or_path)
    if is_path(pipeline.filters):
        return replace(pipeline, filters=str(path.parent / pipeline.filters))
    return pipeline


def _check_names(pipeline: Pipeline, mistakes: Mistakes) -> None:
    """Do the policy and the scores that the file names exist?"""
    from vividhead.score import score_names

    if not is_path(pipeline.filters) and pipeline.filters not in shipped_names("filters"):
        mistakes.add(f"filters {pipeline.filters!r}", unshipped("filters", pipeline.filters))
    names = score_names()
    for score in pipeline.measure.scores:
        if score not in names:
            mistakes.add("measure.scores", f"has no {score!r}" + instead(score, names, "there are"))
    if not pipeline.measure.scores:
        mistakes.add("measure.scores", f"is empty; there are {', '.join(names)}")


_IN_ORDER = (
    ("ingest.min_duration_s", "ingest.max_duration_s"),
    ("ingest.min_side_px", "ingest.max_side_px"),
    ("scan.min_look_gap_s", "scan.max_face_gap_s"),
    ("track.detect_every_frames", "track.search_every_frames"),
    ("track.detect_every_frames", "track.max_gap_frames"),
    ("clips.min_s", "clips.max_s"),
    ("clips.max_s", "segments.max_s"),
    ("run.stall_limit_s", "run.unit_limit_s"),
)
"""Pairs of options of which the first may not exceed the second."""


def _check_order(pipeline: Pipeline, mistakes: Mistakes) -> None:
    for lower, upper in _IN_ORDER:
        if mistakes.about & {lower, upper}:
            continue  # its default stands in for what is wrong, and may contradict what is right
        small, large = attrgetter(lower)(pipeline), attrgetter(upper)(pipeline)
        if small > large:
            mistakes.add(lower, f"{plain(small)} is above {upper} {plain(large)}")
