"""The account's sums for datasets of any size: hours by bucket and code, and by source, in seconds.

`account` paints every frame and lists every clip; here the same claims are intervals on one long line, cut at all
their ends, and each piece goes to its strongest claim:

    source 0                          source 1
    |--- no_face ---|                 |------------- failed --------|
            |====== clip: kept ======|
    |   0   |   1   |       2        |            3                 |   pieces
"""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vividhead.audit.account import BUCKETS
from vividhead.records import GRID_FPS

if TYPE_CHECKING:
    from vividhead.audit.sql import Session

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_CLAIMS = """
    WITH sources_of AS (SELECT source_id, source FROM sources WHERE outcome = 'ready'),
    parts AS (
        SELECT source_id, start_frame, end_frame, 0 AS place_in_row, 'failed' AS bucket, code
        FROM segments WHERE state = 'failed'
        UNION ALL
        SELECT source_id, s.start_frame, s.end_frame, at_stretch,
            CASE WHEN starts_with(s.code, 'failed.') THEN 'failed' ELSE 'not_candidate' END, s.code
        FROM (
            SELECT source_id, unnest(stretches) AS s, generate_subscripts(stretches, 1) AS at_stretch
            FROM segments WHERE state = 'done'
        )
    )
    SELECT source, start_frame, end_frame, 0::TINYINT AS strength, place_in_row, bucket, code
    FROM parts JOIN sources_of USING (source_id) UNION ALL
    SELECT source, start_frame, end_frame,
        CASE WHEN failure IS NOT NULL THEN 3 WHEN packed THEN 4
             WHEN kept OR ends_with(first, ':skipped') THEN 2 ELSE 1 END::TINYINT, nth_clip,
        CASE WHEN failure IS NOT NULL THEN 'failed' WHEN packed THEN 'kept'
             WHEN kept OR ends_with(first, ':skipped') THEN 'not_yet' ELSE 'rejected' END,
        CASE WHEN failure IS NOT NULL THEN failure WHEN packed THEN 'kept' WHEN kept THEN 'not_packed'
             WHEN ends_with(first, ':skipped') THEN 'not_measured' ELSE first END
    FROM candidates WHERE done AND source >= 0
"""


UNCLAIMED, UNDER_ONE_FRAME = 0, 1
"""Codes of what nobody claims, and of what is left beyond the last frame."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Stretches of sources. K of them."""

    source_K: Ints
    start_K: Ints
    end_K: Ints
    """Frames of the source's grid."""
    code_K: Ints
    rank_K: Ints
    """Of two that overlap the higher one counts."""

    def take(self, at: Ints) -> "Spans":
        """Some of them, by number."""
        return Spans(*(getattr(self, f.name)[at] for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Flow:
    """Seconds of footage by where they went. They sum to the footage, as in the account."""

    seconds: dict[str, dict[str, float]]
    """Bucket → code → seconds, the largest first."""
    uris: list[str]
    """Every source, ready ones first."""
    footage_s_N: Floats
    """Seconds of each source."""
    kept_s_N: Floats
    """Of them kept."""

    @property
    def footage_s(self) -> float:
        return float(self.footage_s_N.sum())

    def bucket_s(self, bucket: str) -> float:
        """Seconds in a bucket."""
        return sum(self.seconds.get(bucket, {}).values())


def flow_of(session: "Session") -> Flow:
    """Add up the tables behind an `sql.opened` session."""
    ready = session.execute(
        "SELECT source, uri, n_frames, duration_s FROM sources WHERE outcome = 'ready' ORDER BY uri"
    ).fetchnumpy()
    others = session.execute(
        "SELECT uri, outcome, code, duration_s FROM sources WHERE outcome <> 'ready' ORDER BY uri"
    ).fetchall()
    frames_N = np.asarray(ready["n_frames"], np.int64)
    duration_s_N = np.asarray(ready["duration_s"], np.float64)
    claims, names = _claims(session, np.asarray(ready["source"], np.int64), frames_N)
    pieces = _painted(claims, frames_N)
    rest_s_N = duration_s_N - frames_N / GRID_FPS
    rest_code_N = np.where((rest_s_N < 0) & (frames_N > 0), _at_end(pieces, frames_N), UNDER_ONE_FRAME)
    piece_s = (pieces.end_K - pieces.start_K) / GRID_FPS
    unclaimed_s_N = (frames_N - np.bincount(pieces.source_K, pieces.end_K - pieces.start_K, len(frames_N))) / GRID_FPS
    all_codes = np.concatenate((pieces.code_K, np.full(len(frames_N), UNCLAIMED), rest_code_N))
    all_seconds = np.concatenate((piece_s, unclaimed_s_N, rest_s_N))
    by_code = np.bincount(all_codes, all_seconds, len(names))
    is_kept = np.array([name.startswith("kept/") for name in names])[all_codes]
    where = np.concatenate((pieces.source_K, np.tile(np.arange(len(frames_N)), 2)))
    kept_s_N = np.bincount(where[is_kept], all_seconds[is_kept], len(frames_N))
    sums: dict[str, dict[str, float]] = {bucket: {} for bucket in BUCKETS}
    for name, total in zip(names, by_code.tolist(), strict=True):
        bucket, code = name.split("/", 1)
        if total:
            sums[bucket][code] = sums[bucket].get(code, 0.0) + total
    for _, outcome, code, duration_s in others:
        sums[outcome][code] = sums[outcome].get(code, 0.0) + duration_s
    return Flow(
        {bucket: dict(sorted(codes.items(), key=lambda c: -c[1])) for bucket, codes in sums.items()},
        [*ready["uri"].tolist(), *(row[0] for row in others)],
        np.concatenate((duration_s_N, [row[3] for row in others])),
        np.concatenate((kept_s_N, np.zeros(len(others)))),
    )


def _claims(session: "Session", rows_N: Ints, frames_N: Ints) -> tuple[Spans, list[str]]:
    """Every claim, and the names that its codes are numbers of.

    `rows_N`: the row of sources.parquet that the n-th source is.
    """
    claims = session.sql(_CLAIMS).to_arrow_table()
    place = np.zeros(int(rows_N.max(initial=-1)) + 1, np.int64)
    place[rows_N] = np.arange(len(rows_N))
    source_K = place[np.asarray(claims["source"], np.int64)]
    start_K, stop_K = (np.asarray(claims[f"{end}_frame"], np.int64) for end in ("start", "end"))
    names = ["not_yet/not_yet", "not_candidate/under_one_frame"]
    buckets, codes = (_coded(claims[name]) for name in ("bucket", "code"))
    pair_K = buckets.indices.to_numpy().astype(np.int64) * len(codes.dictionary) + codes.indices.to_numpy()
    there = np.flatnonzero(np.bincount(pair_K))
    for bucket, code in zip(*np.divmod(there, max(1, len(codes.dictionary))), strict=True):
        names.append(f"{buckets.dictionary[int(bucket)]}/{codes.dictionary[int(code)]}")
    strength_K, in_row_K = (np.asarray(claims[name], np.int64) for name in ("strength", "place_in_row"))
    rank_K = strength_K * (in_row_K.max(initial=0) + 1) + in_row_K
    code_K = np.searchsorted(there, pair_K) + len((UNCLAIMED, UNDER_ONE_FRAME))
    found = Spans(source_K, start_K, np.minimum(stop_K, frames_N[source_K]), code_K, rank_K)
    return found.take(np.flatnonzero(found.end_K > found.start_K)), names


def _coded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    return coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded


def _painted(claims: Spans, frames_N: Ints) -> Spans:
    """Pieces that do not overlap, each with the code of the strongest claim on it; what nobody claims is in none.

    Few claims overlap: those that do not are pieces as they are.
    """
    base_N = np.concatenate(([0], np.cumsum(frames_N)))
    claims = claims.take(np.argsort(base_N[claims.source_K] + claims.start_K, kind="stable"))
    start_K = base_N[claims.source_K] + claims.start_K
    reach_K = np.maximum.accumulate(base_N[claims.source_K] + claims.end_K)
    meets = start_K[1:] < reach_K[:-1]
    if not meets.any():
        return claims
    tangled_K = np.zeros(len(start_K), np.bool_)
    tangled_K[1:] |= meets
    tangled_K[:-1] |= meets
    free, knot = claims.take(np.flatnonzero(~tangled_K)), claims.take(np.flatnonzero(tangled_K))
    cut = _cut(knot.take(np.argsort(knot.rank_K, kind="stable")), base_N)
    return Spans(*(np.concatenate((getattr(free, f.name), getattr(cut, f.name))) for f in fields(Spans)))


def _cut(claims: Spans, base_N: Ints) -> Spans:
    """Claims, the weakest first, cut at all their ends: each piece is that of the last claim on it."""
    begin_K = base_N[claims.source_K]
    start_K, end_K = begin_K + claims.start_K, begin_K + claims.end_K
    edges = np.unique(np.concatenate((start_K, end_K)))
    first = np.searchsorted(edges, start_K)
    count = np.searchsorted(edges, end_K) - first
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    winner = np.full(len(edges) - 1, -1, np.int64)
    winner[np.repeat(first, count) + within] = np.repeat(np.arange(len(count)), count)  # of equal places the last stays
    covered = np.flatnonzero(winner >= 0)
    pieces = claims.take(winner[covered])
    begin = base_N[pieces.source_K]
    return replace(pieces, start_K=edges[covered] - begin, end_K=edges[covered + 1] - begin)


def _at_end(pieces: Spans, frames_N: Ints) -> Ints:
    """Code of each source's last frame."""
    code_N = np.full(len(frames_N), UNCLAIMED)
    last = pieces.take(np.flatnonzero(pieces.end_K == frames_N[pieces.source_K]))
    code_N[last.source_K] = last.code_K
    return code_N
