"""The account's sums for datasets of any size: hours by bucket and code, and by source, in seconds.

`account` paints every frame and lists every clip; here the same claims are intervals on one long line, cut at all
their ends, and each piece goes to its strongest claim:

    source 0                          source 1
    |--- no_face ---|                 |------------- failed --------|
            |====== clip: kept ======|
    |   0   |   1   |       2        |            3                 |   pieces
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vividhead.audit.account import BUCKETS
from vividhead.records import GRID_FPS

if TYPE_CHECKING:
    from vividhead.audit.sql import Session

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_CLAIMS = """
    WITH place AS (SELECT source_id, row_number() OVER (ORDER BY uri) - 1 AS nth FROM sources WHERE outcome = 'ready'),
    parts AS (
        SELECT source_id, start_frame, end_frame, 0 AS strength, 0 AS place_in_row, 'failed' AS bucket, code
        FROM segments WHERE state = 'failed'
        UNION ALL
        SELECT source_id, s.start_frame, s.end_frame, 0, at_stretch,
            CASE WHEN starts_with(s.code, 'failed.') THEN 'failed' ELSE 'not_candidate' END, s.code
        FROM (
            SELECT source_id, unnest(stretches) AS s, generate_subscripts(stretches, 1) AS at_stretch
            FROM segments WHERE state = 'done'
        )
    ),
    done AS (
        SELECT * FROM candidates SEMI JOIN (SELECT segment_id FROM segments WHERE state = 'done') USING (segment_id)
    ),
    claims AS (
        SELECT * FROM parts UNION ALL
        SELECT source_id, start_frame, end_frame,
            CASE WHEN failure IS NOT NULL THEN 3 WHEN packed THEN 4
                 WHEN kept OR ends_with(first, ':skipped') THEN 2 ELSE 1 END, nth_clip,
            CASE WHEN failure IS NOT NULL THEN 'failed' WHEN packed THEN 'kept'
                 WHEN kept OR ends_with(first, ':skipped') THEN 'not_yet' ELSE 'rejected' END,
            CASE WHEN failure IS NOT NULL THEN failure WHEN packed THEN 'kept' WHEN kept THEN 'not_packed'
                 WHEN ends_with(first, ':skipped') THEN 'not_measured' ELSE first END
        FROM done
    )
    SELECT nth, start_frame, end_frame, strength, place_in_row, bucket || '/' || code AS name
    FROM claims JOIN place USING (source_id)
"""


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
        "SELECT uri, n_frames, duration_s FROM sources WHERE outcome = 'ready' ORDER BY uri"
    ).fetchnumpy()
    others = session.execute(
        "SELECT uri, outcome, code, duration_s FROM sources WHERE outcome <> 'ready' ORDER BY uri"
    ).fetchall()
    frames_N = np.asarray(ready["n_frames"], np.int64)
    duration_s_N = np.asarray(ready["duration_s"], np.float64)
    claims = session.sql(_CLAIMS).to_arrow_table().combine_chunks()
    names = ["not_yet/not_yet", "not_candidate/under_one_frame"]
    coded = claims["name"].combine_chunks().dictionary_encode()
    code_K = np.asarray(coded.indices, np.int64) + len(names)
    names += coded.dictionary.to_pylist()
    base_N = np.concatenate(([0], np.cumsum(frames_N)))
    at_K = np.asarray(claims["nth"], np.int64)
    begin_K = base_N[at_K]
    start_K, stop_K = (np.add(begin_K, np.asarray(claims[f"{end}_frame"], np.int64)) for end in ("start", "end"))
    order_K = np.lexsort((claims["place_in_row"], claims["strength"]))
    end_K = np.minimum(stop_K, base_N[at_K + 1])
    edges, winner = _painted(base_N, start_K[order_K], end_K[order_K], code_K[order_K])
    source = np.searchsorted(base_N, edges[:-1], side="right") - 1
    seconds = np.diff(edges) / GRID_FPS
    last = np.searchsorted(edges, base_N[1:], side="left") - 1
    rest_s_N = duration_s_N - frames_N / GRID_FPS
    rest_code_N = np.where((rest_s_N < 0) & (frames_N > 0), winner[np.maximum(last, 0)] if len(winner) else 1, 1)
    all_codes = np.concatenate((winner, rest_code_N))
    all_seconds = np.concatenate((seconds, rest_s_N))
    by_code = np.bincount(all_codes, all_seconds, len(names))
    is_kept = np.array([name.startswith("kept/") for name in names])[all_codes]
    where = np.concatenate((source, np.arange(len(frames_N))))
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


def _painted(base_N: Ints, start_K: Ints, end_K: Ints, code_K: Ints) -> tuple[Ints, Ints]:
    """Edges of the pieces of [0, base_N[-1]), and each piece's code: that of the last claim on it, 0 without one."""
    edges = np.unique(np.concatenate((base_N, start_K, end_K)))
    first = np.searchsorted(edges, start_K)
    count = np.maximum(0, np.searchsorted(edges, end_K) - first)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    winner = np.zeros(max(0, len(edges) - 1), np.int64)
    winner[np.repeat(first, count) + within] = np.repeat(code_K, count)  # of equal places the last one stays
    return edges, winner
