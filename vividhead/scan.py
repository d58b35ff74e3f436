"""From a Segment to the spans worth decoding: sound alone, then key frames alone. No full decode.

speech      |---####----######------##---|   voice activity, bridged over short silences and padded
key frames  |-o--o--x---x---o---o--o--o--|   o a face, x none
spans       |--[####]------[####]-[####]-|   what `measure` will decode
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

from vividhead.faces import FaceDetector
from vividhead.media import key_frames, sound
from vividhead.media.decode import Planes
from vividhead.pipeline import Pipeline
from vividhead.records import GRID_FPS, Segment, Source, Stretch
from vividhead.vad import speech_spans_s

Span = tuple[int, int]
"""Source grid frames [start, end)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What sound and key frames say of one segment. Spans and stretches together tile it."""

    spans: tuple[Span, ...]
    stretches: tuple[Stretch, ...]
    speech_s_in_source: tuple[tuple[float, float], ...]


@cache
def detector(min_confidence: float) -> FaceDetector:
    """The face detector of this process."""
    return FaceDetector(min_confidence)


def scan(path: Path, source: Source, segment: Segment, pipeline: Pipeline, beat: Callable[[], None]) -> Scan:
    """Find the spans of `segment` in which speech and a face are likely, and say why the rest is none."""
    options = pipeline.scan
    segment, missing = _with_pictures(source, segment)
    start, end = segment.start_frame, segment.end_frame
    if start == end:
        return Scan(spans=(), stretches=missing, speech_s_in_source=())
    heard = speech_spans_s(sound(path, source, start, end), options.speech_probability, options.min_speech_s)
    beat()
    offset_s = start / GRID_FPS
    speech = tuple((round(a + offset_s, 3), round(b + offset_s, 3)) for a, b in heard)
    talk = widen(speech, options.bridge_silence_s, options.pad_s, start, end)
    looks: list[tuple[int, bool]] = []
    for first, last in talk:
        for time_s, picture in key_frames(path, source, first, last, options.min_look_gap_s):
            small = Planes(picture).thumbnail_HWC(pipeline.track.detector_width_px)
            seen = detector(options.face_confidence).detect(small)
            looks.append((round(time_s * GRID_FPS), bool(seen)))
            beat()
    faceless = [
        (a, b)
        for (a, seen_a), (b, seen_b) in pairwise(looks)
        if not seen_a and not seen_b and 0 < b - a <= options.max_face_gap_s * GRID_FPS
    ]
    found = _tile(segment, talk, merge(faceless), speech, round(pipeline.clips.min_s * GRID_FPS))
    return replace(found, stretches=(*found.stretches, *missing))


def _with_pictures(source: Source, segment: Segment) -> tuple[Segment, tuple[Stretch, ...]]:
    """The part of the segment up to the file's last picture, and the stretch after it, if there is one."""
    last = segment.end_frame if source.pictures_end_frame is None else source.pictures_end_frame
    end = min(max(segment.start_frame, last), segment.end_frame)
    if end == segment.end_frame:
        return segment, ()
    code = "failed.truncated" if source.torn else "no_picture"
    return replace(segment, end_frame=end), (Stretch(start_frame=end, end_frame=segment.end_frame, code=code),)


def widen(speech_s: Iterable[tuple[float, float]], bridge_s: float, pad_s: float, start: int, end: int) -> list[Span]:
    """Bridge silences of up to `bridge_s`, pad by `pad_s` on both sides, and clip to grid frames [start, end)."""
    joined: list[list[float]] = []
    for a, b in speech_s:
        if joined and a - joined[-1][1] <= bridge_s:
            joined[-1][1] = b
        else:
            joined.append([a, b])
    frames = [(int((a - pad_s) * GRID_FPS), -int(-(b + pad_s) * GRID_FPS // 1)) for a, b in joined]
    return merge((max(start, a), min(end, b)) for a, b in frames if min(end, b) > max(start, a))


def merge(spans: Iterable[Span]) -> list[Span]:
    """Sorted, disjoint union of half-open spans."""
    out: list[Span] = []
    for a, b in sorted(spans):
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], max(b, out[-1][1]))
        elif b > a:
            out.append((a, b))
    return out


def subtract(spans: Iterable[Span], holes: Sequence[Span]) -> list[Span]:
    """What is in `spans` and in none of `holes` (both sorted and disjoint)."""
    out: list[Span] = []
    for a, b in spans:
        for c, d in holes:
            if d <= a or c >= b:
                continue
            if c > a:
                out.append((a, c))
            a = max(a, d)
        if b > a:
            out.append((a, b))
    return out


def _tile(
    segment: Segment, talk: list[Span], faceless: list[Span], speech: tuple[tuple[float, float], ...], least: int
) -> Scan:
    whole = [(segment.start_frame, segment.end_frame)]
    likely = subtract(talk, faceless)
    spans = [(a, b) for a, b in likely if b - a >= least]
    silent = subtract(whole, talk)
    parts = [("no_speech", silent), ("no_face", subtract(subtract(whole, silent), likely))]
    parts.append(("too_short", [(a, b) for a, b in likely if b - a < least]))
    stretches = [Stretch(start_frame=a, end_frame=b, code=code) for code, runs in parts for a, b in runs]
    return Scan(
        spans=tuple(spans),
        stretches=tuple(sorted(stretches, key=lambda s: s.start_frame)),
        speech_s_in_source=speech,
    )
