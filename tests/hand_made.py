"""Records and policies written by hand, for tests of what is judged, planned, stored and added up without media."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from vividhead.chain import Chain
from vividhead.ledger import Ledger
from vividhead.measure import Measured
from vividhead.pipeline import Measure, Pipeline
from vividhead.plain import to_plain
from vividhead.policy import Policy, Rule
from vividhead.records import Clip, Listed, Measurement, Segment, Source, Stretch
from vividhead.scan import Scan
from vividhead.score import score_class
from vividhead.units import Job, measure_key, scan_key

SCORES = ("framing", "sharpness", "identity")
"""A cheap score, a dearer one and the dearest."""
PIPELINE = Pipeline(measure=Measure(scores=SCORES))

FACE_AT_LEAST = Rule(score="framing", field="face_height_px_in_source", min=160, hard=True, why="a test")
SHARP = Rule(score="sharpness", field="blurs_per_face_p10", min=40, hard=True, why="a test")
ONE_PERSON = Rule(score="identity", field="worst_similarity_to_medoid", min=0.4, why="a test")


def policy(*rules: Rule) -> Policy:
    """A policy of these rules; without any, of one on each of `SCORES`."""
    return Policy(name="by-hand", rules=rules or (FACE_AT_LEAST, SHARP, ONE_PERSON))


def face_at_least(px: float) -> Policy:
    """The usual three rules, the first with another limit."""
    return policy(replace(FACE_AT_LEAST, min=px), SHARP, ONE_PERSON)


def make_source(name: str = "film", seconds: float = 20.0, **change: Any) -> Source:
    """A source that is ready, of whole frames."""
    about: dict[str, Any] = {
        "source_id": hashlib.sha256(name.encode()).hexdigest(), "listed": Listed(uri=f"{name}.mp4"),
        "outcome": "ready", "bytes": 1000, "duration_s": seconds, "n_frames": int(seconds * 25),
        "width_px": 1280, "height_px": 720, "fps": 25.0, "audio_rate_hz": 48_000,
    }  # fmt: skip
    return Source(**{**about, **change})


def make_segment(source: Source, start: int = 0, end: int | None = None) -> Segment:
    """A segment of a source, the whole of it unless said otherwise."""
    name = f"{source.source_id[:16]}-{start:07d}"
    last = source.n_frames if end is None else end
    return Segment(segment_id=name, source_id=source.source_id, start_frame=start, end_frame=last)


def make_clip(segment: Segment, start: int, end: int, track: int = 0) -> Clip:
    """A clip with an id made of its span and track."""
    name = hashlib.sha256(f"{segment.segment_id}/{start}:{end}/{track}".encode()).hexdigest()[:20]
    return Clip(
        clip_id=name, source_id=segment.source_id, segment_id=segment.segment_id, track=track, shot=0,
        start_frame=start, end_frame=end, crop_xyxy_px=(100, 0, 612, 512),
    )  # fmt: skip


def make_row(clip: Clip | str, score: str, status: Any = "measured", code: str = "", **values: float) -> Measurement:
    """A score's row by its present version; fields not given are unknown."""
    clip_id = clip if isinstance(clip, str) else clip.clip_id
    cls = score_class(score)
    measured = status == "measured"
    return Measurement(
        clip_id=clip_id, score=score, version=cls.version, fingerprint="", status=status, code=code,
        values={f: values.get(f) for f in cls.fields} if measured else {},
        unknown={f: "not_given" for f in cls.fields if f not in values} if measured else {},
    )  # fmt: skip


def rows_of(
    clip: Clip, face_px: float = 300, blurs: float | None = 100, similarity: float | None = 0.9
) -> list[Measurement]:
    """The rows of `SCORES`; None stands for a score that was skipped."""
    sharp = {"blurs_per_face_p10": blurs} if blurs is not None else {}
    same = {"worst_similarity_to_medoid": similarity} if similarity is not None else {}
    return [
        make_row(clip, "framing", face_height_px_in_source=face_px),
        make_row(clip, "sharpness", "measured" if sharp else "skipped", **sharp),
        make_row(clip, "identity", "measured" if same else "skipped", **same),
    ]


class Written:
    """A dataset whose ledger is written by hand: one source, its segments, and clips with their measurements."""

    def __init__(self, dataset: Path, source: Source | None = None, pipeline: Pipeline = PIPELINE) -> None:
        self.dataset, self.pipeline = dataset, pipeline
        self.ledger = Ledger(dataset)
        self.source = source or make_source()
        self.segment = make_segment(self.source)

    def scan(self, *spans: tuple[int, int], stretches: tuple[Stretch, ...] = ()) -> None:
        """Commit what the scan found."""
        found = Scan(spans=spans, stretches=stretches, speech_s_in_source=((0.0, 5.0),))
        self.ledger.commit("scan", scan_key(self.segment, self.pipeline), {"scan": to_plain(found)}, {})

    def measure(self, clips: list[Clip], rows: list[Measurement], stretches: tuple[Stretch, ...] = ()) -> None:
        """Commit the clips found and what is known of them."""
        found = Measured(
            clips=tuple(clips), measurements=tuple(rows), stretches=stretches, looks=(), cut_frames=(), decode_errors=0
        )
        key = measure_key(self.segment, self.pipeline)
        self.ledger.commit("measure", key, {"measured": to_plain(found)}, {"npz": b""})

    def chain(self, judged_by: Policy | None = None) -> Chain:
        """A run over the source; `chain.advance(segment, source)` gives its next units."""
        job = Job(dataset=str(self.dataset), pipeline=self.pipeline, policy=judged_by or policy())
        return Chain(job, self.ledger, [self.source.listed])

    def units(self, judged_by: Policy | None = None) -> list[Any]:
        """What a run with this policy would do next to the segment."""
        return self.chain(judged_by).advance(self.segment, self.source)
