"""From the ledger to the dataset: tables of every candidate, shards of the kept clips, the manifest last.

Everything is a pure function of the ledger, pipeline and filters, so publishing again changes nothing, and a run
killed while publishing is mended by the next.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vividhead import score
from vividhead.chain import Chain, Failure, SegmentState
from vividhead.ledger import write_atomically
from vividhead.manifest import (
    CLIPS,
    DECISIONS,
    MEASUREMENTS,
    SEGMENTS,
    SOURCES,
    Column,
    clip_row,
    parquet,
    score_columns,
    table,
)
from vividhead.plain import to_plain
from vividhead.records import Decision, Measurement, Source
from vividhead.shard_set import publish_shards


def publish(dataset: Path, chain: Chain, finished: bool, packed_only: bool = False) -> None:
    """Write the tables; when the run is `finished`, the shards and the manifest too.

    `packed_only`: leave kept clips that are not encoded yet to a later run; else there are none.
    """
    states = [chain.segments[key] for key in _segment_order(chain)]
    _write(dataset / "sources.parquet", SOURCES, map(_source_row, chain.sources))
    _write(dataset / "segments.parquet", SEGMENTS, (_segment_row(s) for s in states))
    _write(dataset / "clips.parquet", CLIPS, (clip_row(c) for s in states for c in s.clips))
    for name in chain.job.pipeline.measure.scores:
        columns = (*MEASUREMENTS, *score_columns(score.score_class(name)))
        rows = (_measurement_row(s.rows[c.clip_id][name]) for s in states for c in s.clips if name in s.rows[c.clip_id])
        _write(dataset / "measurements" / name / "measurements.parquet", columns, rows)
    decisions = [(s, c, chain.decision(s, c.clip_id)) for s in states for c in s.clips]
    folder = dataset / "decisions" / chain.job.policy.digest
    _write(
        folder / "decisions.parquet",
        DECISIONS,
        (_decision_row(d, s.clip_failures.get(c.clip_id)) for s, c, d in decisions),
    )
    if finished:
        kept = [(s, c) for s, c, d in decisions if d.kept and c.clip_id not in s.clip_failures]
        if packed_only:
            kept = [(s, c) for s, c in kept if chain.is_packed(c.clip_id)]
        publish_shards(dataset, chain, kept)


def _segment_order(chain: Chain) -> list[str]:
    place = {source.source_id: at for at, source in reversed(list(enumerate(chain.sources)))}
    return sorted(chain.segments, key=lambda k: (place[chain.segments[k].source.source_id], k))


def _write(path: Path, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> None:
    write_atomically(path, parquet(table(columns, rows)))


def _source_row(source: Source) -> dict[str, Any]:
    plain = to_plain(source)
    numerator, denominator = source.zero_s_in_container
    return {**plain, **plain["listed"], "zero_s_in_container": numerator / denominator}


def _segment_row(state: SegmentState) -> dict[str, Any]:
    scan, measured = state.scan, state.measured
    through = scan is not None and (measured is not None or not scan.spans)
    parts = [*(scan.stretches if scan else ()), *(measured.stretches if measured else ())]
    return {
        **to_plain(state.segment),
        "state": "failed" if state.failure is not None else "done" if through else "pending",
        "code": state.failure.code if state.failure else None,
        "detail": state.failure.detail if state.failure else None,
        "stretches": to_plain(sorted(parts, key=lambda s: s.start_frame)),
        "speech_s_in_source": [{"start_s": a, "end_s": b} for a, b in (scan.speech_s_in_source if scan else ())],
        "cut_frames": list(measured.cut_frames) if measured else [],
        "decode_errors": measured.decode_errors if measured else 0,
    }


def _decision_row(decision: Decision, failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return dict(to_plain(decision))
    return {**to_plain(decision), "kept": False, "failure": failure.code, "failure_detail": failure.detail}


def _measurement_row(row: Measurement) -> dict[str, Any]:
    return {**to_plain(row), **row.values, **row.texts}
