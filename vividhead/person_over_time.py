"""What embeddings of one face over a clip say of its person: shared by the scores of identity, whatever the network.

Axes: K samples, one a second, D dimensions.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from vividhead.records import GRID_FPS
from vividhead.score import Field, Unknown, Unmeasurable

FIRST_FRAME, EVERY_FRAMES = GRID_FPS // 2, GRID_FPS
"""Samples are from the middle of each whole second."""
_ENDS = 3  # samples averaged at each end for the drift
_SIDE = 2  # samples averaged before and after a moment for the step there
_LEAST_FOR_RATE = 10  # samples; a rate of shorter clips would be their noise, stretched to a minute
_NARROW_FRAMES = 3  # a moment is known to half of this

Embeddings = NDArray[np.float32]
Similarity = Callable[[float], float]


def fields(similarity: str, low: float, distance: str, most: float) -> dict[str, Field]:
    """The fields that `person_over_time` fills; `similarity` and `distance` are their units."""
    return {
        "worst_similarity_to_medoid": Field(similarity, "smallest similarity of a sample to the medoid", low, 1),
        "worst_pair_similarity": Field(similarity, "smallest similarity of any two samples", low, 1),
        "drift_start_to_end": Field(distance, "distance of the last samples' mean to the first ones'", 0, most),
        "drift_per_minute": Field(f"{distance}/min", "steady part of the change, less what its noise would give", 0),
        "largest_step": Field(distance, "largest distance of the samples just before a moment to those after", 0, most),
        "switch_at_s": Field("s", "moment of that step in the clip, if it is as large as to another person", 0),
    }  # fmt: skip


def sample_frames(n_frames: int) -> list[int]:
    """Grid frames of a clip at which the face is looked at."""
    return list(range(FIRST_FRAME, n_frames, EVERY_FRAMES))


def person_over_time(
    samples_KD: Embeddings, frames: list[int], look: Callable[[int], Embeddings | None], stranger: float,
    similarity: Similarity,
) -> Mapping[str, float | Unknown]:  # fmt: skip
    """Read the course of the samples at `frames`; distances are L2, and `similarity` turns one into a similarity.

    A step of `stranger` and more is a switch, whose moment is sought by further looks (`look` gives the embedding of
    a frame, None where there is none): at most four, and none in a clip without one. Raises Unmeasurable under two
    samples.
    """
    if len(samples_KD) < 2:
        raise Unmeasurable("too_few_samples", "a clip under two seconds has nothing to compare")
    distance_KK = np.linalg.norm(samples_KD[:, None] - samples_KD, axis=2)
    medoid = int(distance_KK.sum(axis=1).argmin())
    end = min(_ENDS, len(samples_KD) // 2)
    steps = [_sides(samples_KD, at) for at in range(1, len(samples_KD))]
    sizes = [float(np.linalg.norm(after_D - before_D)) for before_D, after_D in steps]
    largest = int(np.argmax(sizes))
    moment: float | Unknown = Unknown("no_switch")
    if sizes[largest] >= stranger:
        moment = _moment_s(frames[largest], frames[largest + 1], steps[largest], look)
    return {
        "worst_similarity_to_medoid": similarity(float(distance_KK[medoid].max())),
        "worst_pair_similarity": similarity(float(distance_KK.max())),
        "drift_start_to_end": float(np.linalg.norm(samples_KD[-end:].mean(axis=0) - samples_KD[:end].mean(axis=0))),
        "drift_per_minute": _rate(samples_KD, frames),
        "largest_step": sizes[largest],
        "switch_at_s": moment,
    }


def _sides(samples_KD: Embeddings, at: int) -> tuple[Embeddings, Embeddings]:
    """Means of the samples just before and just after the gap in front of sample `at`."""
    return samples_KD[max(0, at - _SIDE) : at].mean(axis=0), samples_KD[at : at + _SIDE].mean(axis=0)


def _moment_s(
    before: int, after: int, sides: tuple[Embeddings, Embeddings], look: Callable[[int], Embeddings | None]
) -> float:
    """Where between two frames the face begins to be nearer to what comes after: the middle of a cross-fade, too."""
    before_D, after_D = sides
    while after - before > _NARROW_FRAMES:
        middle = (before + after) // 2
        seen_D = look(middle)
        if seen_D is None:
            break
        if np.linalg.norm(seen_D - before_D) < np.linalg.norm(seen_D - after_D):
            before = middle
        else:
            after = middle
    return (before + after + 1) / 2 / GRID_FPS


def _rate(samples_KD: Embeddings, frames: list[int]) -> float | Unknown:
    """Slope of a straight line through the samples, per minute. What scatter around it adds to a slope is taken off."""
    if len(samples_KD) < _LEAST_FOR_RATE:
        return Unknown("too_short")
    minutes_K = np.array(frames) / (60 * GRID_FPS)
    minutes_K -= minutes_K.mean()
    spread = float((minutes_K**2).sum())
    from_mean_KD = samples_KD - samples_KD.mean(axis=0)
    slope_D = minutes_K @ from_mean_KD / spread
    scatter = float(((from_mean_KD - np.outer(minutes_K, slope_D)) ** 2).sum()) / (len(samples_KD) - 2)
    return float(np.sqrt(max(0.0, float(slope_D @ slope_D) - scatter / spread)))
