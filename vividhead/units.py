"""A run's units of work: what each is, why one failed, and the keys under which the ledger holds what they made."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vividhead import score
from vividhead.clips import GEOMETRY_VERSION
from vividhead.ledger import Ledger
from vividhead.pipeline import Needs, Pipeline, Run, digest_of
from vividhead.policy import Policy
from vividhead.records import GRID_FPS, Listed, Segment, Source
from vividhead.revoked import all_revoked

STAGE_VERSION = {"ingest": 1, "scan": 1, "measure": 1, "pack": 1}
"""Raise one when that stage's code may give another result for the same input."""

LOOKS = "looks"
"""The part of a `measure` commit that says where the detector looked; older commits hold it in their record."""

Stage = Literal["ingest", "scan", "measure", "more", "pack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every unit of a run needs to know. Travels to workers as plain values."""

    dataset: str
    pipeline: Pipeline
    policy: Policy
    here: str | None = None
    """The folder that relative uris start from: where the run was begun. None: the process's own."""
    entry: str = "vividhead.stages:run_unit"
    """The function that runs a unit, `module:name`; tests inject faults here."""

    @property
    def limits(self) -> Run:
        """What a unit may take before it is given up."""
        return self.pipeline.run

    @property
    def needs(self) -> dict[str, Needs]:
        """What a unit of each stage reserves on a cluster."""
        needs = self.pipeline.resources
        stages = {"ingest": needs.ingest, "scan": needs.scan, "measure": needs.measure, "pack": needs.pack}
        return {**stages, "more": needs.measure}

    def where_to_lower(self, stage: str) -> str:
        """What a user changes for a stage to reserve less."""
        return f"[resources.{'measure' if stage == 'more' else stage}] of the pipeline file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """The unit of work, retry and commit."""

    stage: Stage
    key: str
    """Its name in the ledger: made of all that its result depends on."""
    listed: Listed
    source: Source | None = None
    segment: Segment | None = None
    stamp: str | None = None
    """`ingest_key` of the file as it was hashed: it must be the same before and after the work. None: not compared."""
    clip_ids: tuple[str, ...] = ()
    """The clips that `more` and `pack` are about."""

    @property
    def seconds(self) -> float:
        """Footage it covers."""
        if self.segment is None:
            return 0.0
        return (self.segment.end_frame - self.segment.start_frame) / GRID_FPS


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a unit has no result. `transient`: tried again by the next run, not written to the ledger."""

    code: str
    detail: str
    transient: bool = False


def ingest_key(listed: Listed, pipeline: Pipeline) -> str:
    """Of the uri, its size, time of change and readability: an unchanged file is not hashed again."""
    try:
        stat = Path(listed.uri).stat()
        seen = f"{stat.st_size}:{stat.st_mtime_ns}:{os.access(listed.uri, os.R_OK)}"
    except OSError as fault:
        seen = type(fault).__name__
    text = f"{listed.uri}|{seen}|{digest_of(pipeline.ingest)}|{STAGE_VERSION['ingest']}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def scan_key(segment: Segment, pipeline: Pipeline) -> str:
    """Of the segment and the options that say where speech and faces are."""
    digest = digest_of(
        pipeline.scan, str(pipeline.clips.min_s), pipeline.track.detector_width_px, STAGE_VERSION["scan"]
    )
    return f"{segment.segment_id}-{segment.end_frame:07d}-{digest}"


def measure_key(segment: Segment, pipeline: Pipeline) -> str:
    """Not of the policy nor of the scores: what they leave out is added by `more`."""
    digest = digest_of(
        scan_key(segment, pipeline), pipeline.track, pipeline.clips, pipeline.pack.side_px,
        GEOMETRY_VERSION, STAGE_VERSION["measure"], *_how_measured(pipeline),
    )  # fmt: skip
    return f"{segment.segment_id}-{digest}"


def _how_measured(pipeline: Pipeline) -> tuple[int, ...]:
    """Options of scores that change their numbers, where such a score is taken and the option is not the usual one."""
    every = pipeline.measure.syncnet_every_frames
    return (every,) if every != 1 and "lip_sync_syncnet" in pipeline.measure.scores else ()


def more_key(base: str, asked: Iterable[str]) -> str:
    """Of the measure unit it adds to and of what is missing there."""
    return f"{base}.{hashlib.sha256('|'.join(sorted(asked)).encode()).hexdigest()[:16]}"


def pack_key(clip_id: str, pipeline: Pipeline) -> str:
    """Of the clip and how it is encoded."""
    p = pipeline.pack
    keeping = [made_by(name) for name in sorted(pipeline.measure.scores) if keeps_arrays(name)]
    digest = digest_of(p.side_px, p.crf, p.preset, p.gop_frames, p.aac_kbps, STAGE_VERSION["pack"], *keeping)
    return f"{clip_id}-{digest}"


def made_by(name: str) -> str:
    """Score, its version, and the fetched model behind it if there is one."""
    parts = (name, str(score.score_class(name).version), score.model_in_use(name))
    return ":".join(part for part in parts if part)


def end_basis(job: Job) -> str:
    """Of all but a segment's own commits that decides whether it is through and what of it is kept."""
    options = job.pipeline.measure
    versions = [made_by(name) for name in sorted(options.scores)]
    orders = all_revoked(Path(job.dataset)).orders
    return digest_of(job.policy.digest, str(options.exhaustive), pack_key("", job.pipeline), *versions, *orders)


def keeps_arrays(name: str) -> bool:
    """Does the score store arrays with the clip, so that they are part of what is packed?"""
    return score.score_class(name).keep is not score.Score.keep


def is_encoded(ledger: Ledger, key: str) -> bool:
    """Are the bytes of the pack unit `key` in the ledger? A part without its record is a killed writer's."""
    record = ledger.read("pack", key)
    return record is not None and "failed" not in record and ledger.part("pack", key, "tar").is_file()
