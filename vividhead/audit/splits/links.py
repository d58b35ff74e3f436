"""Which sources belong together, and by what: a link for each likeness between clips of different sources.

Candidates are found by equal parts of prints (no two clips are compared unless they share one), then compared in full.
N clips, P pictures of 4 words of 64 bits, F steps of 16 ms, K keys that are looked up.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vividhead.audit.splits.prints import HOP, Print
from vividhead.records import SAMPLE_RATE_HZ

PICTURE_BITS = 60
"""Of 256 that may differ between two pictures that are alike. Read off clips at hand: the same film encoded anew 28 …
47, different talkers in the same pose 92 and more."""
PICTURES_ALIKE = 0.5
"""Of the shorter clip's pictures."""
SOUND_BITS = 0.30
"""Share of the bits that may differ between two sounds that are alike."""
SOUND_S = 2.5
"""How long they must be alike."""
Ints = NDArray[np.int64]
SAMPLED = 8
"""One in so many sound prints is looked up; the same ones in every clip, chosen by their bits."""
CROWDED = 64
"""A part of a print that more clips share says little: each is compared with so many of them only."""
LAGS_TRIED = 16
PAIRS_AT_ONCE = 1 << 20
MIXER = np.uint32(2654435761)
"""Spreads prints evenly, so that one in `SAMPLED` can be chosen by size (Knuth's multiplicative hash)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Two clips, of different sources, that are alike."""

    kind: str
    """video, audio, face, voice, or the name of an attribute."""
    a: int
    b: int
    """Rows of the clips, a < b."""
    distance: float
    """video: bits of 256; audio: share of bits; face and voice: L2."""


def video_links(prints: Sequence[Print], source_N: Ints) -> Iterator[Link]:
    """Pairs of which half the shorter clip's pictures have a like in the other."""
    words_P4 = np.concatenate([one.pictures_P4 for one in prints])
    clip_P = np.repeat(np.arange(len(prints)), [len(one.pictures_P4) for one in prints])
    parts = words_P4[:, :1].copy().view(np.uint16)
    key_K = (parts.astype(np.int64) + (np.arange(4) << 16)).reshape(-1)
    picture_K = np.repeat(np.arange(len(words_P4)), 4)
    found: set[tuple[int, int]] = set()
    for first, second in _sharing(key_K, picture_K, words_P4[picture_K, 1]):
        apart = source_N[clip_P[first]] != source_N[clip_P[second]]
        first, second = first[apart], second[apart]
        alike = _bits(words_P4[first] ^ words_P4[second]).sum(axis=1) <= PICTURE_BITS
        found.update(zip(clip_P[first[alike]].tolist(), clip_P[second[alike]].tolist(), strict=True))
    for a, b in sorted({(min(pair), max(pair)) for pair in found}):
        between = _bits(prints[a].pictures_P4[:, None] ^ prints[b].pictures_P4).sum(axis=2)
        nearest = between.min(axis=int(between.shape[0] < between.shape[1]))
        if np.mean(nearest <= PICTURE_BITS) >= PICTURES_ALIKE:
            yield Link(kind="video", a=a, b=b, distance=float(np.sort(nearest)[(len(nearest) - 1) // 2]))


def _bits(words: NDArray[Any]) -> Ints:
    """How many bits are set in each word."""
    flat = np.ascontiguousarray(words).reshape(-1).view(np.uint8)
    per_byte = _BITS_OF_BYTE[flat].reshape(*words.shape, words.dtype.itemsize)
    return np.asarray(per_byte.sum(axis=-1, dtype=np.int64))


_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


def audio_links(prints: Sequence[Print], source_N: Ints) -> Iterator[Link]:
    """Pairs with the same sound for `SOUND_S`, at whatever lag."""
    steps = [np.flatnonzero(one.heard_F & (one.sounds_F * MIXER < 2**32 // SAMPLED)) for one in prints]
    key_K = np.concatenate([one.sounds_F[at] for one, at in zip(prints, steps, strict=True)]).astype(np.int64)
    clip_K = np.repeat(np.arange(len(prints)), [len(at) for at in steps])
    step_K = np.concatenate(steps)
    lags: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    for first, second in _sharing(key_K, np.arange(len(key_K)), clip_K):
        apart = source_N[clip_K[first]] != source_N[clip_K[second]]
        for i, j in zip(first[apart].tolist(), second[apart].tolist(), strict=True):
            a, b = sorted((i, j), key=lambda k: int(clip_K[k]))
            lags[int(clip_K[a]), int(clip_K[b])][int(step_K[b] - step_K[a])] += 1
    for (a, b), counted in sorted(lags.items()):
        best = min(_error(prints[a], prints[b], lag) for lag, _ in counted.most_common(LAGS_TRIED))
        if best <= SOUND_BITS:
            yield Link(kind="audio", a=a, b=b, distance=best)


def _error(a: Print, b: Print, lag: int) -> float:
    """The smallest share of differing bits over any `SOUND_S` that are mostly heard; 1 where there are none."""
    n_steps = round(SOUND_S * SAMPLE_RATE_HZ / HOP)
    first, last = max(0, -lag), min(len(a.sounds_F), len(b.sounds_F) - lag)
    if last - first < n_steps:
        return 1.0
    heard = a.heard_F[first:last] & b.heard_F[first + lag : last + lag]
    wrong = _bits(a.sounds_F[first:last] ^ b.sounds_F[first + lag : last + lag]) * heard
    n_heard = np.convolve(heard, np.ones(n_steps, np.int64), "valid")
    n_wrong = np.convolve(wrong, np.ones(n_steps, np.int64), "valid")
    enough = n_heard >= n_steps // 2
    return float((n_wrong[enough] / (32 * n_heard[enough])).min()) if enough.any() else 1.0


def _sharing(key_K: Ints, item_K: Ints, beside_K: NDArray[Any]) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of items of equal key, some at a time; in a crowd each with its `CROWDED` next by `beside_K` alone."""
    order = np.lexsort((item_K, beside_K, key_K))
    key_K, item_K = key_K[order], item_K[order]
    for step in range(1, CROWDED + 1):
        at = np.flatnonzero(key_K[:-step] == key_K[step:])
        if not len(at):
            return
        for block in np.array_split(at, len(at) // PAIRS_AT_ONCE + 1):
            yield item_K[block], item_K[block + step]


def embedding_links(
    kind: str, vectors: Mapping[int, NDArray[np.float64]], source_N: Ints, most: float
) -> Iterator[Link]:
    """Pairs at most `most` apart (L2). Clips of a source much alike are stood for by one of them, and compared
    themselves where it is near enough that one of them may be."""
    groups = _groups(vectors, source_N, most * STAND_IN)
    rows = sorted(groups)
    if not rows:
        return
    all_RD = np.stack([vectors[row] for row in rows]).astype(np.float32)
    square_R = np.square(all_RD).sum(axis=1)
    reach = most * (1 + 2 * STAND_IN) + 1e-4  # float32 is that exact
    for start in range(0, len(rows), 1024):
        block = slice(start, start + 1024)
        squared = square_R[block, None] + square_R - 2 * all_RD[block] @ all_RD.T
        for i, j in np.argwhere(squared <= reach * reach).tolist():
            one, other = rows[start + i], rows[j]
            if one < other and source_N[one] != source_N[other]:
                a, b, distance = _nearest(vectors, groups[one], groups[other])
                if distance <= most:
                    yield Link(kind=kind, a=min(a, b), b=max(a, b), distance=distance)


STAND_IN = 0.1
"""How far, in parts of the distance asked for, a clip may be from the one that stands for it."""


def _nearest(
    vectors: Mapping[int, NDArray[np.float64]], ones: Sequence[int], others: Sequence[int]
) -> tuple[int, int, float]:
    """The two clips of two groups that are least apart, and how far."""
    apart = np.linalg.norm(
        np.stack([vectors[row] for row in ones])[:, None] - np.stack([vectors[row] for row in others]), axis=2
    )
    i, j = divmod(int(apart.argmin()), len(others))
    return ones[i], others[j], float(apart[i, j])


def _groups(vectors: Mapping[int, NDArray[np.float64]], source_N: Ints, near: float) -> dict[int, list[int]]:
    """Clip that stands for others → those of its source within `near` of it, itself first."""
    groups: dict[int, list[int]] = {}
    by_source: dict[int, list[int]] = {}
    for row in sorted(vectors):
        chosen = by_source.setdefault(int(source_N[row]), [])
        like = next((other for other in chosen if np.linalg.norm(vectors[row] - vectors[other]) <= near), None)
        if like is None:
            chosen.append(row)
            groups[row] = [row]
        else:
            groups[like].append(row)
    return groups


def same_links(kind: str, values: Sequence[str | None], source_N: Ints) -> Iterator[Link]:
    """Clips of different sources with the same value of an attribute; a chain through them is enough."""
    by_value: dict[str, dict[int, int]] = {}
    for row, value in enumerate(values):
        if value:
            by_value.setdefault(value, {}).setdefault(int(source_N[row]), row)
    for firsts in by_value.values():
        ordered = sorted(firsts.values())
        yield from (Link(kind=kind, a=a, b=b, distance=0.0) for a, b in pairwise(ordered))


def components(n_sources: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Component of each source, named by its first member."""
    parent = list(range(n_sources))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return [root(at) for at in range(n_sources)]
