"""What a child process runs in place of `vividhead.stages:run_unit` when the job itself is measured, not footage.

Every record has the size and shape of a real one and is drawn from the source's name alone, so that two runs agree.
Sources are of ten minutes: one segment, `CLIPS_OF_A_SOURCE` candidates that stand side by side, of which about one in
nine is kept, and a face looked for every 8 frames. Encoded members are a few bytes: a disk's speed is not asked.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vividhead.cascade import in_cost_order
from vividhead.ledger import Ledger
from vividhead.measure import Measured
from vividhead.plain import to_plain
from vividhead.policy import Policy, broken_hard
from vividhead.records import GRID_FPS, Clip, Listed, Measurement, Segment, Source, Stretch
from vividhead.scan import Scan
from vividhead.score import score_class
from vividhead.segment_state import load_segment
from vividhead.shards import tar_bytes
from vividhead.stages import commit_measured
from vividhead.testing.large_dataset import SPREAD
from vividhead.track import Look
from vividhead.units import Job, Unit, pack_key

ENTRY = "vividhead.scale.simulated:run_unit"
SOURCE_S = 600
CLIPS_OF_A_SOURCE = 50
OUT_OF_SYNC = 0.69
"""Share of clips whose sound is another's: with the other rules of `talking-head`, about 11 % are kept."""
LOOK_EVERY_FRAMES = 8
SIDE_PX = 448
MEMBER_BYTES: Mapping[str, int] = {"mp4": 900, "flac": 300, "landmarks.npz": 600}
EMPTY_NPZ = b"PK\x05\x06" + b"\0" * 18


def run_unit(unit: Unit, job: Job, beat: Callable[[], None]) -> None:
    """Commit what the unit's stage might have found."""
    ledger = Ledger(Path(job.dataset))
    if unit.stage == "ingest":
        ledger.commit("ingest", unit.key, {"source": to_plain(_source(unit.listed))}, {})
        return
    assert unit.source is not None and unit.segment is not None
    if unit.stage == "scan":
        ledger.commit("scan", unit.key, {"scan": to_plain(_scan(unit.segment))}, {})
    elif unit.stage == "measure":
        measured = _measured(unit.segment, job.pipeline.measure.scores, job.policy)
        commit_measured(ledger, unit.key, measured, EMPTY_NPZ)
    else:
        _pack(unit, unit.segment, unit.source, job, ledger)


def _source(listed: Listed) -> Source:
    return Source(
        source_id=hashlib.sha256(Path(listed.uri).name.encode()).hexdigest(), listed=listed, outcome="ready",
        bytes=150_000_000, container="mov,mp4,m4a,3gp,3g2,mj2", duration_s=float(SOURCE_S),
        n_frames=SOURCE_S * GRID_FPS, pictures_end_frame=SOURCE_S * GRID_FPS, video_codec="h264", width_px=1280,
        height_px=720, fps=25.0, pixel_format="yuv420p", audio_codec="aac", audio_rate_hz=48_000, audio_channels=2,
    )  # fmt: skip


def _scan(segment: Segment) -> Scan:
    speech_s = tuple((float(s) + 0.032, float(s) + 10.208) for s in range(0, SOURCE_S, 12))
    return Scan(spans=((segment.start_frame, segment.end_frame),), stretches=(), speech_s_in_source=speech_s)


def _drawn(segment: Segment) -> np.random.Generator:
    return np.random.default_rng(int(segment.source_id[:15], 16))


def clips_of(segment: Segment, rng: np.random.Generator) -> list[Clip]:
    """Candidates one after the other, each in its share of the segment."""
    share = SOURCE_S * GRID_FPS // CLIPS_OF_A_SOURCE
    clips = []
    for number, length in enumerate(rng.integers(100, share, CLIPS_OF_A_SOURCE).tolist()):
        start = segment.start_frame + number * share
        clip_id = hashlib.sha256(f"{segment.segment_id}:{number}".encode()).hexdigest()[:20]
        x0 = int(rng.integers(0, 400)) * 2
        clips.append(
            Clip(
                clip_id=clip_id, source_id=segment.source_id, segment_id=segment.segment_id, track=number, shot=number,
                start_frame=start, end_frame=start + length, crop_xyxy_px=(x0, 40, x0 + SIDE_PX, 40 + SIDE_PX),
            )
        )  # fmt: skip
    return clips


def _measured(segment: Segment, scores: tuple[str, ...], policy: Policy) -> Measured:
    rng = _drawn(segment)
    clips = clips_of(segment, rng)
    drawn = {name: _values(name, rng) for name in scores}
    rows = [row for at, clip in enumerate(clips) for row in _rows(clip, at, drawn, policy)]
    share = SOURCE_S * GRID_FPS // CLIPS_OF_A_SOURCE
    left = tuple(
        Stretch(start_frame=c.end_frame, end_frame=segment.start_frame + (n + 1) * share, code="no_face")
        for n, c in enumerate(clips)
    )
    looks = tuple(
        Look(k, [((204.86, 144.67, 416.35, 356.17), 0.872)], [clip.track])
        for clip in clips
        for k in range(clip.start_frame, clip.end_frame, LOOK_EVERY_FRAMES)
    )
    return Measured(
        clips=tuple(clips), measurements=tuple(rows), stretches=left, looks=looks,
        cut_frames=tuple(c.start_frame for c in clips), decode_errors=0,
    )  # fmt: skip


def _values(name: str, rng: np.random.Generator) -> dict[str, list[float]]:
    """Field → a number for each clip, scattered as real ones are."""
    out = {}
    for field, about in score_class(name).fields.items():
        kind, a, b = SPREAD.get(f"{name}.{field}", ("normal", 0.5, 0.2))
        drawn: NDArray[np.float64]
        if kind == "normal":
            drawn = rng.normal(a, b, CLIPS_OF_A_SOURCE)
        else:
            drawn = (
                rng.beta(a, b, CLIPS_OF_A_SOURCE) if kind == "beta" else a * np.exp(rng.normal(0, b, CLIPS_OF_A_SOURCE))
            )
        out[field] = np.round(np.clip(drawn, about.low, about.high), 6).tolist()
    if name == "lip_sync":
        astray = rng.random(CLIPS_OF_A_SOURCE) < OUT_OF_SYNC
        out["confidence"] = [0.01 if off else value for off, value in zip(astray, out["confidence"], strict=True)]
    return out


@cache
def _fingerprint(name: str) -> str:
    return "mediapipe-0.10.21/face_landmark_with_attention" if score_class(name).cost_ms_per_s > 50 else ""


def _rows(clip: Clip, at: int, drawn: Mapping[str, Mapping[str, list[float]]], policy: Policy) -> list[Measurement]:
    """All scores of a clip; what comes after a broken hard rule is skipped, as in a run."""
    rows: dict[str, Measurement] = {}
    over = False
    for name in in_cost_order(tuple(drawn)):
        version = score_class(name).version
        over = over or broken_hard(policy, rows)
        if over:
            rows[name] = Measurement(
                clip_id=clip.clip_id, score=name, version=version, fingerprint="", status="skipped"
            )
            continue
        values = {field: numbers[at] for field, numbers in drawn[name].items()}
        rows[name] = Measurement(
            clip_id=clip.clip_id, score=name, version=version, fingerprint=_fingerprint(name), status="measured",
            values=values,
        )  # fmt: skip
    return [rows[name] for name in drawn]


def _pack(unit: Unit, segment: Segment, source: Source, job: Job, ledger: Ledger) -> None:
    state = load_segment(ledger, segment, source, job.pipeline)  # as the real stage does
    assert state.measured is not None
    for clip_id in unit.clip_ids:
        made = {name: hashlib.shake_128(f"{clip_id}{name}".encode()).digest(n) for name, n in MEMBER_BYTES.items()}
        about = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in made.items()}
        tape = tar_bytes([(f"{clip_id}.{name}", data) for name, data in made.items()])
        ledger.commit("pack", pack_key(clip_id, job.pipeline), {"clip_id": clip_id, "members": about}, {"tar": tape})
