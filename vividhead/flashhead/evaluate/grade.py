"""From a watched talk to its grade.

Axes: T frames on the 25 fps grid, S audio samples at 16 kHz, K seconds.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from vividhead.flashhead.evaluate.mouth import Floats, following, opening_of, rms_of, silence_of
from vividhead.flashhead.evaluate.others_metrics import Networks
from vividhead.flashhead.evaluate.records import (
    Boundaries,
    Curve,
    Grade,
    Heard,
    Identity,
    LipSyncWindow,
    Reading,
    Sharpness,
    field_of,
    measured,
    median_of,
    unmeasurable,
)
from vividhead.flashhead.evaluate.watch import Second, Watched
from vividhead.records import GRID_FPS, SAMPLES_PER_FRAME

LIP_SYNC_FRAMES = 10 * GRID_FPS
"""Lip sync is read stretch by stretch, each about as long as the clips that its confidence was fitted on."""
LEAST_LIP_SYNC_FRAMES = 3 * GRID_FPS
"""As short as a clip may be."""
IDENTITY_END_S = 3
SHARPNESS_ENDS_S = 5


def graded(
    watched: Watched, others: Mapping[str, NDArray[np.float32]], talk: str, boundaries: Boundaries, networks: Networks,
    portrait: str | None = None, spoken: Sequence[str] = (),
) -> Grade:  # fmt: skip
    """Grade a talk; `others` are other clips' sounds by name, each at least as long as the talk."""
    opening_T = opening_of(watched.landmarks_TNC)
    samples = watched.n_frames * SAMPLES_PER_FRAME
    return Grade(
        talk=talk,
        portrait=portrait,
        spoken=tuple(spoken),
        duration_s=watched.n_frames / GRID_FPS,
        mesh_coverage=round(float(np.isfinite(opening_T).mean()), 6),
        own=_heard("own", watched, watched.audio_S, opening_T, networks),
        others=tuple(_heard(name, watched, other_S[:samples], opening_T, networks) for name, other_S in others.items()),
        identity=identity_of(watched.seconds),
        sharpness=sharpness_of(watched.seconds),
        boundaries=boundaries,
        silence=silence_of(opening_T, watched.audio_S),
        opening=by_the_second(opening_T),
        loudness=by_the_second(rms_of(watched.audio_S)),
    )


def _heard(name: str, watched: Watched, audio_S: NDArray[np.float32], opening_T: Floats, networks: Networks) -> Heard:
    starts = range(0, max(1, watched.n_frames - LEAST_LIP_SYNC_FRAMES + 1), LIP_SYNC_FRAMES)
    spans = [(start, min(start + LIP_SYNC_FRAMES, watched.n_frames)) for start in starts]
    windows = tuple(_lip_sync(watched, audio_S, start, end) for start, end in spans)
    return Heard(
        sound=name,
        lip_sync_offset_ms=median_of(window.offset_ms for window in windows),
        lip_sync_confidence=median_of(window.confidence for window in windows),
        lip_sync_windows=windows,
        opening=following(opening_T, audio_S),
        lip_sync_error=networks.lip_sync_error(watched.lips_ND, audio_S),
    )


def _lip_sync(watched: Watched, audio_S: NDArray[np.float32], start: int, end: int) -> LipSyncWindow:
    row = watched.score("lip_sync", audio_S, start, end)
    return LipSyncWindow(
        start_s=start / GRID_FPS, end_s=end / GRID_FPS, offset_ms=field_of(row, "offset_ms", "ms"),
        confidence=field_of(row, "confidence"),
    )  # fmt: skip


def identity_of(seconds: Sequence[Second]) -> Identity:
    """Similarity to the first second over time. A talk in whose first second nobody is seen has none."""
    unit = "1 - L2"
    first_128 = seconds[0].embedding_128 if seconds else None
    known = [second.embedding_128 for second in seconds if second.embedding_128 is not None]
    near = [None if first_128 is None else _similarity(first_128, second.embedding_128) for second in seconds]
    later = [value for value in near[1:] if value is not None]
    curve = Curve(unit=unit, at_s=tuple(second.start_s for second in seconds), values=tuple(near))
    if first_128 is None or not later:
        none = unmeasurable("no_face_at_start" if first_128 is None else "too_short", unit=unit)
        drift = unmeasurable(none.code, unit="L2")
        return Identity(to_first_second=curve, lowest=none, end=none, drift_start_to_end=drift)
    ends = min(IDENTITY_END_S, len(known) // 2)
    drift_128 = np.mean(known[-ends:], axis=0) - np.mean(known[:ends], axis=0)
    return Identity(
        to_first_second=curve,
        lowest=measured(min(later), unit),
        end=measured(float(np.mean(later[-IDENTITY_END_S:])), unit),
        drift_start_to_end=measured(float(np.linalg.norm(drift_128)), "L2"),
    )


def _similarity(first_128: NDArray[np.float32], other_128: NDArray[np.float32] | None) -> float | None:
    return None if other_128 is None else round(1 - float(np.linalg.norm(other_128 - first_128)), 6)


def sharpness_of(seconds: Sequence[Second]) -> Sharpness:
    """The first seconds' sharpness, the last ones', and the way between."""
    if not seconds:
        none = unmeasurable("too_short", "under one second")
        return Sharpness(blurs_per_face=Curve(unit="1", at_s=(), values=()), start=none, end=none, change=none)
    readings = [second.sharpness for second in seconds]
    at_s, values = tuple(second.start_s for second in seconds), tuple(reading.value for reading in readings)
    ends = min(SHARPNESS_ENDS_S, max(1, len(readings) // 2))
    start, end = median_of(readings[:ends]), median_of(readings[-ends:])
    return Sharpness(
        blurs_per_face=Curve(unit="1", at_s=at_s, values=values), start=start, end=end, change=_change(start, end)
    )


def _change(start: Reading, end: Reading) -> Reading:
    if not start.value or end.value is None:
        return unmeasurable(start.code or end.code or "no_edges")
    return measured(end.value / start.value - 1)


def by_the_second(values_T: Floats) -> Curve:
    """Means of whole seconds; None where none of a second's values is known."""
    whole_KT = values_T[: len(values_T) // GRID_FPS * GRID_FPS].reshape(-1, GRID_FPS)
    means = tuple(
        round(float(np.nanmean(second_T)), 6) if np.isfinite(second_T).any() else None for second_T in whole_KT
    )
    return Curve(unit="1", at_s=tuple(float(k) for k in range(len(means))), values=means)


def gaps_of(curve: Curve) -> list[list[tuple[float, float]]]:
    """The curve's points in runs without a gap, for drawing."""
    points = zip(curve.at_s, curve.values, strict=True)
    runs = groupby(points, key=lambda point: point[1] is not None)
    return [[(at, value) for at, value in run if value is not None] for known, run in runs if known]
