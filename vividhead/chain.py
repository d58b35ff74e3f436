"""The chain of stages for one run: what is to be done next, given what the ledger holds. Runs nothing itself.

ingest ─▶ (duplicates) ─▶ per segment: scan ─▶ measure ─▶ more ─▶ pack
                                                 │          └ scores that an earlier policy had skipped
                                                 └ stops at a segment without a span, a clip, a kept clip
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vividhead.cascade import is_known, wants_more
from vividhead.ingest import mark_duplicates, segments
from vividhead.ledger import Ledger
from vividhead.plain import from_plain
from vividhead.policy import judge
from vividhead.records import Clip, Decision, Listed, Reason, Segment, Source
from vividhead.revoked import CODE, SOURCE_CODE, all_revoked
from vividhead.segment_state import Segments, SegmentState, by_segment, load_segment
from vividhead.through import Ended, Through
from vividhead.units import (
    Failure,
    Job,
    Stage,
    Unit,
    ingest_key,
    is_encoded,
    made_by,
    measure_key,
    more_key,
    pack_key,
    scan_key,
)


class Chain:
    """One run's sources and segments, and the next unit of each."""

    def __init__(self, job: Job, ledger: Ledger, listed: Sequence[Listed], through: Through | None = None) -> None:
        """Take what is to be curated; nothing is read yet. `through` spares looking at what is done."""
        self.job = job
        self.ledger = ledger
        self.listed = listed
        self.sources: list[Source] = []
        self.segments = Segments(self._read)
        self.kept_s: dict[str, float] = {}
        """Of each segment that is through, seconds of clips kept."""
        self._transient: dict[tuple[str, str], Failure] = {}
        self._packable: set[str] = set()
        self._stamps: dict[str, str] = {}
        self._through = through
        self._more: dict[str, list[str]] | None = None
        self._packing: dict[str, tuple[Unit, Ended]] = {}
        """Segments that will be through when their unit is done: what then is to be remembered."""
        self.revoked = all_revoked(Path(job.dataset))

    def states(self) -> Iterator[SegmentState]:
        """Every segment, in the sources' order, read one after the other."""
        for source in self.sources:
            for segment in segments(source, self.job.pipeline) if source.outcome == "ready" else ():
                if segment.segment_id in self.segments.placed:
                    yield self.segments[segment.segment_id]

    def ingest_units(self) -> list[Unit]:
        """Files not hashed and probed yet."""
        units = []
        for entry in self.listed:
            key = ingest_key(entry, self.job.pipeline)
            if self.ledger.read("ingest", key) is None:
                units.append(Unit(stage="ingest", key=key, listed=entry))
        return units

    def settle_sources(self, packed: Iterable[str]) -> list[Unit]:
        """After ingest: find duplicates, cut segments, and return the first unit of each unfinished segment.

        `packed` names the pack keys whose bytes are at hand.
        """
        self._packable = set(packed)
        self._more = by_segment(self.ledger.keys("more"))
        there = {stage: self.ledger.names(stage) for stage in ("scan", "measure", "pack")} if self._through else {}
        found = [self._source(entry) for entry in self.listed]
        self.sources = [self._unless_revoked(source) for source in mark_duplicates(found)]
        units: list[Unit] = []
        for source in self.sources:
            if source.outcome == "ready":
                for segment in segments(source, self.job.pipeline):
                    if not self._is_known_through(segment, source, there):
                        units += self.advance(segment, source)
        return units

    def _unless_revoked(self, source: Source) -> Source:
        receipt = self.revoked.sources.get(source.source_id)
        if receipt is None or source.outcome == "failed":
            return source
        return replace(source, outcome="rejected", code=SOURCE_CODE, detail=f"receipt {receipt}", duplicate_of=None)

    def _source(self, listed: Listed) -> Source:
        key = self._stamps[listed.uri] = ingest_key(listed, self.job.pipeline)
        failure = self._transient.get(("ingest", key))
        record = self.ledger.read("ingest", key)
        if record is not None and "failed" not in record:
            return replace(from_plain(Source, record["source"]), listed=listed)
        if record is not None:
            failure = from_plain(Failure, record["failed"])
        if failure is None:
            failure = Failure("failed.changed", "the file changed while it was read; run the same command again")
        unread = "unread-" + hashlib.sha256(listed.uri.encode(errors="surrogateescape")).hexdigest()
        return Source(source_id=unread, listed=listed, outcome="failed", code=failure.code, detail=failure.detail)

    def _is_known_through(self, segment: Segment, source: Source, there: Mapping[str, set[str]]) -> bool:
        """Did an earlier run note the segment's end, and is all that it rests on still there?"""
        base = measure_key(segment, self.job.pipeline)
        ended = self._through.get(self._end_name(base)) if self._through is not None else None
        if ended is None or f"{base}.json" not in there["measure"]:
            return False
        if f"{scan_key(segment, self.job.pipeline)}.json" not in there["scan"]:
            return False
        keys = [pack_key(clip_id, self.job.pipeline) for clip_id in ended.clip_ids]
        if not all(k in self._packable or {f"{k}.json", f"{k}.tar"} <= there["pack"] for k in keys):
            return False
        self.segments.placed[segment.segment_id] = segment, source
        self.kept_s[segment.segment_id] = ended.kept_s
        return True

    def _end_name(self, base: str) -> str:
        """Of the measure unit and of the later ones that add to it."""
        more = self._more.get(base, []) if self._more is not None else []
        return more_key(base, more) if more else base

    def advance(self, segment: Segment, source: Source) -> list[Unit]:
        """Re-read the segment from the ledger; its next unit, or none when it is through."""
        self.segments.placed[segment.segment_id] = segment, source
        state, units, kept = self._seen(segment, source)
        base = measure_key(segment, self.job.pipeline)
        ended = Ended(sum(clip.duration_s for clip in kept), tuple(clip.clip_id for clip in kept))
        if not units:
            self.kept_s[segment.segment_id] = ended.kept_s
            if self._through is not None and state.measured is not None and not state.clip_failures:
                self._through.add(self._end_name(base), ended.kept_s, ended.clip_ids)
        elif units[0].stage == "pack" and not state.clip_failures:
            self._packing[segment.segment_id] = units[0], ended
        return units

    def _read(self, segment: Segment, source: Source) -> SegmentState:
        return self._seen(segment, source)[0]

    def _seen(self, segment: Segment, source: Source) -> tuple[SegmentState, list[Unit], list[Clip]]:
        """What the ledger and this run know of a segment, its next unit, and, where that is none or `pack`, what of it
        is kept."""
        pipeline = self.job.pipeline
        base = measure_key(segment, pipeline)
        more = self._more.get(base, []) if self._more is not None else None
        state = load_segment(self.ledger, segment, source, pipeline, looks=False, more=more)
        unit = partial(
            Unit, listed=source.listed, source=source, segment=segment, stamp=self._stamps.get(source.listed.uri)
        )
        if state.failure is not None:
            return state, [], []
        if state.scan is None:
            return state, self._next(unit(stage="scan", key=scan_key(segment, pipeline)), state), []
        if not state.scan.spans:
            return state, [], []
        if state.measured is None:
            return state, self._next(unit(stage="measure", key=base), state), []
        wanted = self._wanted(state, base)
        if wanted is not None:
            return state, [unit(stage="more", key=wanted[1], clip_ids=(wanted[0],))], []
        kept, unpacked = self._kept(state)
        if not unpacked:
            return state, [], kept
        return state, [unit(stage="pack", key=pack_key(unpacked[0], pipeline), clip_ids=tuple(unpacked))], kept

    def _wanted(self, state: SegmentState, base: str) -> tuple[str, str] | None:
        """The first clip that is not all measured, and the unit's key; the state learns of failures."""
        policy, options = self.job.policy, self.job.pipeline.measure
        for clip in state.clips:
            if not wants_more(options.scores, state.rows.get(clip.clip_id, {}), policy, options.exhaustive):
                continue
            if self.revoked.receipt_of(clip) is not None:
                continue
            key = more_key(base, [policy.digest, *self._missing(state, clip.clip_id)])
            failure = self._failure("more", key) or self._in_vain(key)
            if failure is None:
                return clip.clip_id, key
            state.clip_failures[clip.clip_id] = failure
        return None

    def _missing(self, state: SegmentState, clip_id: str) -> list[str]:
        """The clip's scores that are not known by their present version and model."""
        names = [n for n in self.job.pipeline.measure.scores if not is_known(state.rows[clip_id].get(n))]
        return [f"{clip_id}:{made_by(name)}" for name in names]

    def _in_vain(self, key: str) -> Failure | None:
        """A failure where all that was missing has been measured, and still is not known: it would go on for ever."""
        if self.ledger.read("more", key) is None:
            return None
        return Failure("failed.model", "measured by another model file than this one: give all workers the same", True)

    def _kept(self, state: SegmentState) -> tuple[list[Clip], list[str]]:
        """Kept clips in the segment's order, and those still to be encoded; the state learns which cannot be."""
        kept, unpacked = [], []
        for clip in state.clips:
            clip_id, key = clip.clip_id, pack_key(clip.clip_id, self.job.pipeline)
            if clip_id in state.clip_failures or not self.decision(state, clip_id).kept:
                continue
            failure = self._failure("pack", key)
            if failure is not None:
                state.clip_failures[clip_id] = failure
                continue
            kept.append(clip)
            if key not in self._packable and not is_encoded(self.ledger, key):
                unpacked.append(clip_id)
        return kept, unpacked

    def _failure(self, stage: Stage, key: str) -> Failure | None:
        """Why the unit failed for good, or for this run."""
        record = self.ledger.read(stage, key)
        if record is not None and "failed" in record:
            return from_plain(Failure, record["failed"])
        return self._transient.get((stage, key))

    def _next(self, unit: Unit, state: SegmentState) -> list[Unit]:
        state.failure = self._transient.get((unit.stage, unit.key))
        return [unit] if state.failure is None else []

    def at_fault(self, unit: Unit) -> Unit | None:
        """What to try again, or to blame, when an attempt at `unit` failed; None if all of it is done all the same.

        Of several clips to be packed, that is the first not in the ledger yet, alone: no clip fails for another's.
        """
        if unit.stage != "pack":
            return unit
        for clip_id in unit.clip_ids:
            key = pack_key(clip_id, self.job.pipeline)
            if not is_encoded(self.ledger, key):
                return replace(unit, key=key, clip_ids=(clip_id,))
        return None

    def after(self, unit: Unit, failure: Failure | None) -> list[Unit]:
        """The units that follow one that is done, or that failed for good."""
        if failure is not None and failure.transient:
            self._transient[(unit.stage, unit.key)] = failure
        if unit.segment is None or unit.source is None:
            return []
        base = measure_key(unit.segment, self.job.pipeline)
        if unit.stage == "more" and self._more is not None and unit.key not in self._more.get(base, []):
            self._more[base] = sorted([*self._more.get(base, []), unit.key])
        expected, ended = self._packing.pop(unit.segment.segment_id, (None, None))
        if ended is not None and expected == unit and failure is None and all(map(self.is_packed, unit.clip_ids)):
            self.kept_s[unit.segment.segment_id] = ended.kept_s
            if self._through is not None:
                self._through.add(self._end_name(base), ended.kept_s, ended.clip_ids)
            return []
        return self.advance(unit.segment, unit.source)

    def is_packed(self, clip_id: str) -> bool:
        """Are the clip's encoded bytes at hand?"""
        key = pack_key(clip_id, self.job.pipeline)
        return key in self._packable or is_encoded(self.ledger, key)

    def decision(self, state: SegmentState, clip_id: str) -> Decision:
        """The policy's judgement of one clip, on what is measured; before all rules comes whether it was revoked."""
        judged = judge(self.job.policy, clip_id, state.rows.get(clip_id, {}))
        clip = next(clip for clip in state.clips if clip.clip_id == clip_id) if self.revoked.clips else None
        receipt = self.revoked.receipt_of(clip) if clip is not None else None
        if receipt is None:
            return judged
        out = Reason(code=CODE, field="", value=None, limit=None, detail=f"receipt {receipt}")
        return Decision(clip_id=clip_id, kept=False, reasons=(out, *judged.reasons))
