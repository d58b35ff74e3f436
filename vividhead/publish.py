"""From the ledger to the dataset: tables of every candidate, shards of the kept clips, the manifest last.

Everything is a pure function of the ledger, pipeline and filters, so publishing again changes nothing, and a run
killed while publishing is mended by the next.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from vividhead import score
from vividhead.chain import Chain
from vividhead.manifest import (
    CLIPS,
    DECISIONS,
    MEASUREMENTS,
    SEGMENTS,
    SOURCES,
    clip_row,
    score_columns,
)
from vividhead.plain import to_plain
from vividhead.records import Clip, Decision, Measurement, Source
from vividhead.segment_state import SegmentState
from vividhead.shard_set import publish_shards
from vividhead.sheets import Sheet
from vividhead.units import Failure


def publish(dataset: Path, chain: Chain, finished: bool, packed_only: bool = False) -> None:
    """Write the tables; when the run is `finished`, the shards and the manifest too.

    `packed_only`: leave kept clips that are not encoded yet to a later run; else there are none.
    """
    kept = _tables(dataset, chain)
    if not finished:
        for _ in kept:
            continue  # the tables are written on the way
    else:
        there = ((s, c) for s, c in kept if not packed_only or chain.is_packed(c.clip_id))
        publish_shards(dataset, chain, there)


def _tables(dataset: Path, chain: Chain) -> Iterator[tuple[SegmentState, Clip]]:
    """Write the tables, a segment at a time; yields what is kept on the way."""
    names = chain.job.pipeline.measure.scores
    with ExitStack() as sheets:
        decisions = dataset / "decisions" / chain.job.policy.digest / "decisions.parquet"
        decided = sheets.enter_context(Sheet(decisions, DECISIONS))  # left, and so written, last
        stale = partial(drop_other_decisions, dataset, chain.job.policy.digest)
        scored = {name: sheets.enter_context(_score_sheet(dataset, name, stale)) for name in reversed(names)}
        clips = sheets.enter_context(Sheet(dataset / "clips.parquet", CLIPS, stale))
        parts = sheets.enter_context(Sheet(dataset / "segments.parquet", SEGMENTS))
        sources = sheets.enter_context(Sheet(dataset / "sources.parquet", SOURCES))
        for source in chain.sources:
            sources.add(_source_row(source))
        for state in chain.states():
            parts.add(_segment_row(state))
            for clip in state.clips:
                clips.add(clip_row(clip))
                for name, row in state.rows[clip.clip_id].items():
                    if name in scored:
                        scored[name].add(_measurement_row(row))
                decision, failure = chain.decision(state, clip.clip_id), state.clip_failures.get(clip.clip_id)
                decided.add(_decision_row(decision, failure))
                if decision.kept and failure is None:
                    yield state, clip


def drop_other_decisions(dataset: Path, digest: str) -> None:
    """Decisions of other filters are of the clips and measurements before: judging anew costs seconds, and a wrong
    decision that stays may keep what is revoked."""
    for path in (dataset / "decisions").glob("*"):
        if path.name != digest:
            shutil.rmtree(path)


def _score_sheet(dataset: Path, name: str, stale: Callable[[], None]) -> Sheet:
    columns = (*MEASUREMENTS, *score_columns(score.score_class(name)))
    return Sheet(dataset / "measurements" / name / "measurements.parquet", columns, stale)


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
    return {
        "clip_id": row.clip_id, "status": row.status, "code": row.code, "detail": row.detail, "version": row.version,
        "fingerprint": row.fingerprint, "unknown": row.unknown, **row.values, **row.texts,
    }  # fmt: skip
