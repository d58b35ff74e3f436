"""The whole story of a clip, or of any second of footage, from the tables: what saw it, what was said of it, and why.

`explain` returns JSON values; `explained_text.told` puts them in words.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from vividhead.audit.clips import own_pipeline, own_policy
from vividhead.audit.tables import Tables
from vividhead.errors import UsageError
from vividhead.policy import Policy, Rule, judge
from vividhead.records import GRID_FPS, Measurement
from vividhead.score import score_class, score_names

SHORTEST_PREFIX = 6
"""Digits by which a clip or source may be named."""

STRETCHES = {
    "no_speech": ("scan", "no speech was heard here, nor near enough to it"),
    "no_face": ("scan or measure", "no face was found here"),
    "too_short": ("measure", "what face and speech there are last too short for a clip"),
    "no_picture": ("measure", "the file has no picture here"),
}
"""Code of a stretch → the stage that saw it, and what it says."""

Story = dict[str, Any]


def explain(where: str | Path, what: str) -> Story:
    """The story of `what`: a clip, a source, or a time in a source, written source@seconds or source@m:ss.

    Raises UsageError where nothing, or more than one thing, is called so.
    """
    tables = Tables(where)
    name, time_s = _time_of(what)
    clip = None if time_s is not None else named_clip(tables, what)
    if clip is not None:
        return {"kind": "clip", **clip_story(tables, *clip)}
    source = named_source(tables, what if time_s is None else name, what)
    if time_s is None:
        return {"kind": "source", **source_story(tables, source)}
    return {"kind": "time", **time_story(tables, source, time_s)}


def _time_of(what: str) -> tuple[str, float | None]:
    """A name and the time after its last @; no time where none is written so."""
    name, at, text = what.rpartition("@")
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)\s*s?", text)
    if not at or match is None:
        return what, None
    hours, minutes, seconds = match.groups()
    return name, int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def named_clip(tables: Tables, text: str) -> tuple[str, int] | None:
    """clip_id and row of the clip called so."""
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},20}}", text):
        return None
    ids = tables.read("clips", ["clip_id"])["clip_id"]
    rows = np.flatnonzero(compute.starts_with(ids, text).to_numpy()).tolist()
    if len(rows) > 1:
        raise UsageError(f"{text} begins {len(rows)} clip ids, as {ids[rows[0]]} and {ids[rows[1]]}: give more digits")
    return (str(ids[rows[0]]), rows[0]) if rows else None


def named_source(tables: Tables, text: str, whole: str) -> dict[str, Any]:
    """The row of the source called so: its uri or the end of it, its id or the beginning of that."""
    names = tables.read("sources", ["uri", "given_id", "source_id"])
    uris, ids = names["uri"], names["source_id"]
    whole_uri = compute.or_(compute.equal(uris, text), compute.equal(uris, whole))
    given = compute.fill_null(compute.equal(names["given_id"], text), False)
    ways = [
        compute.or_(compute.or_(whole_uri, given), compute.equal(ids, text)),
        compute.ends_with(uris, f"/{text}"),
        *([compute.starts_with(ids, text)] if len(text) >= SHORTEST_PREFIX else []),
    ]
    for way in ways:
        rows = np.flatnonzero(way.to_numpy())
        found = {(ids[int(row)].as_py(), uris[int(row)].as_py()) for row in rows}
        if len(found) > 1:
            shown = ", ".join(sorted(uri for _, uri in found)[:3])
            raise UsageError(f"{text!r} names {len(found)} sources, as {shown}; give the whole uri")
        if found:
            return dict(tables.read("sources").slice(int(rows[0]), 1).to_pylist(maps_as_pydicts="strict")[0])
    raise UsageError(
        f"{text!r} is no clip and no source of {tables.where}; `vividhead status {tables.where} --json` lists them"
    )


def clip_story(tables: Tables, clip_id: str, row: int) -> Story:
    """Where a clip is from, what every score and rule says, what became of it, and what would have to change."""
    clip = tables.row("clips", clip_id, row) or {}
    policy = own_policy(tables)
    taken = _measurements(tables, clip_id, row)
    decision = tables.row(f"decisions/{tables.digest}", clip_id, row)
    kept = tables.has("manifest") and (tables.row("manifest", clip_id, 0))
    (source,) = tables.where_is("sources", "source_id", clip["source_id"])[:1] or [{}]
    pipeline = own_pipeline(tables)
    return {
        "clip_id": clip_id,
        "source": {n: source.get(n) for n in ("uri", "source_id", "licence", "consent", "language", "attributes")},
        "start_s_in_source": clip["start_s_in_source"], "end_s_in_source": clip["end_s_in_source"],
        "duration_s": clip["duration_s"], "segment_id": clip["segment_id"], "track": clip["track"],
        "shot": clip["shot"], "crop_xyxy_px": [clip[f"crop_{end}_px"] for end in ("x0", "y0", "x1", "y1")],
        "filters": {"name": policy.name, "digest": policy.digest},
        "kept": decision["kept"] if decision else None, "revoked": tables.revoked().by_clip.get(clip_id),
        "failure": _failure_story(decision),
        "shard": {n: kept[n] for n in ("shard", "mp4_offset", "mp4_bytes", "mp4_sha256")} if kept else None,
        "scores": [_score_story(name, taken.get(name), policy) for name in pipeline.measure.scores],
        "would_have_to_change": changes(policy, clip_id, taken),
        "other_filters": _other_decisions(tables, clip_id, row),
    }  # fmt: skip


def _failure_story(decision: Mapping[str, Any] | None) -> Story | None:
    if decision is None or decision["failure"] is None:
        return None
    return {"code": decision["failure"], "detail": decision["failure_detail"]}


def _measurements(tables: Tables, clip_id: str, row: int) -> dict[str, Measurement]:
    out = {}
    for score in tables.names("measurements"):
        cells = tables.row(f"measurements/{score}", clip_id, row)
        if cells is not None:
            about = {
                n: cells.pop(n) for n in ("clip_id", "status", "code", "detail", "version", "fingerprint", "unknown")
            }
            texts = {n: about[n] or "" for n in ("code", "detail")}
            said = {n: cells.pop(n) for n, cell in list(cells.items()) if isinstance(cell, str)}
            out[score] = Measurement(score=score, values=cells, texts=said, **{**about, **texts})
    return out


def _score_story(name: str, row: Measurement | None, policy: Policy) -> Story:
    fields = score_class(name).fields if name in score_names() else {}
    rules = {rule.field: rule for rule in policy.rules if rule.score == name}
    broken = {} if row is None else {r.field: r for r in judge(policy, row.clip_id, {name: row}).reasons}
    told = []
    for field, about in fields.items():
        rule, id = rules.get(field), f"{name}.{field}"
        reason = broken.get(id) if rule is not None else None
        verdict = None if rule is None else "passes" if reason is None and row is not None else (
            reason.code.split(":")[1] if reason is not None else "skipped"
        )  # fmt: skip
        told.append({
            "field": id, "value": row.values.get(field) if row is not None and row.status == "measured" else None,
            "unit": about.unit, "meaning": about.meaning, "unknown_because": row.unknown.get(field) if row else None,
            "rule": _rule_story(rule), "verdict": verdict,
        })  # fmt: skip
    return {
        "score": name, "status": row.status if row else None, "code": row.code if row else "",
        "detail": row.detail if row else "", "version": row.version if row else None,
        "model": row.fingerprint if row else "", "fields": told,
    }  # fmt: skip


def _rule_story(rule: Rule | None) -> Story | None:
    if rule is None:
        return None
    return {"min": rule.min, "max": rule.max, "hard": rule.hard, "unmeasured": rule.unmeasured, "why": rule.why}


def changes(policy: Policy, clip_id: str, taken: Mapping[str, Measurement]) -> list[Story]:
    """For each broken rule, what in the filters, or in the clip, would let it pass. Empty for a clip that passes."""
    rules = {rule.id: rule for rule in policy.rules}
    out: list[Story] = []
    skipped: dict[str, None] = {}
    for reason in judge(policy, clip_id, taken).reasons:
        rule, kind = rules[reason.field], reason.code.rsplit(":", 1)[1]
        if kind == "skipped":
            skipped[rule.score] = None
        elif kind in ("low", "high") and reason.value is not None and reason.limit is not None:
            end = "min" if kind == "low" else "max"
            out.append({"rule": rule.id, "code": reason.code, "change": f"{end}_to", "from": reason.limit,
                        "to": reason.value, "by": abs(reason.value - reason.limit)})  # fmt: skip
        elif kind == "unmeasurable":
            about = {"rule": rule.id, "code": reason.code, "because": reason.detail}
            out.append({**about, "change": "unmeasured_to", "from": "reject", "to": "accept"})
        else:
            out.append({"rule": rule.id, "code": reason.code, "change": "measure_again", "because": reason.detail})
    if skipped:
        out.append({"change": "measure", "scores": list(skipped)})
    return out


def _other_decisions(tables: Tables, clip_id: str, row: int) -> list[Story]:
    """What other filters that were tried say of the clip."""
    out = []
    for digest in tables.names("decisions"):
        if digest == tables.digest or not tables.has(f"decisions/{digest}"):
            continue
        found = tables.row(f"decisions/{digest}", clip_id, row)
        if found is not None:
            out.append({"digest": digest, "kept": found["kept"], "reasons": _codes(found["reasons"])})
    return out


def _codes(reasons: Sequence[Mapping[str, Any]]) -> list[str]:
    codes = [str(reason["code"]) for reason in reasons]
    return [c for c in codes if not c.endswith(":skipped")] or codes


SOURCE_FACTS = (
    "uri", "source_id", "given_id", "licence", "consent", "language", "attributes", "outcome", "code", "detail",
    "duplicate_of", "duration_s", "container", "video_codec", "width_px", "height_px", "fps", "audio_codec",
    "audio_rate_hz", "torn",
)  # fmt: skip


def _clips_of(tables: Tables, source: Mapping[str, Any], frame: int | None = None) -> list[tuple[int, Story]]:
    """The source's candidate clips, those at `frame` if given, with their rows and what became of them."""
    ids = tables.read("clips", ["source_id"])["source_id"]
    rows = np.flatnonzero(compute.equal(ids, source["source_id"]).to_numpy()).tolist()
    clips = tables.read("clips").take(pa.array(rows, pa.int64())).to_pylist()
    if frame is not None:
        pairs = [(r, c) for r, c in zip(rows, clips, strict=True) if c["start_frame"] <= frame < c["end_frame"]]
        rows, clips = [row for row, _ in pairs], [clip for _, clip in pairs]
    decisions = tables.rows(f"decisions/{tables.digest}", dict(zip(rows, (c["clip_id"] for c in clips), strict=True)))
    out = []
    for row, clip in zip(rows, clips, strict=True):
        decision = decisions.get(clip["clip_id"])
        story = {
            **{n: clip[n] for n in _CLIP_FACTS},
            "kept": decision["kept"] if decision else None,
            "reasons": _codes(decision["reasons"]) if decision else [],
            "failure": decision["failure"] if decision else None,
        }  # fmt: skip
        out.append((row, story))
    return sorted(out, key=lambda pair: (pair[1]["start_frame"], pair[1]["track"]))


_CLIP_FACTS = ("clip_id", "start_s_in_source", "end_s_in_source", "start_frame", "end_frame", "track", "segment_id")


def source_story(tables: Tables, source: Mapping[str, Any]) -> Story:
    """What a file is, and what became of all of its time."""
    facts = {name: source.get(name) for name in SOURCE_FACTS}
    if source["outcome"] != "ready":
        return {"source": facts, "timeline": [], "clips": []}
    clips = [story for _, story in _clips_of(tables, source)]
    timeline = [part for segment in _segments(tables, source) for part in _parts(segment)]
    timeline += [
        {"start_s": c["start_s_in_source"], "end_s": c["end_s_in_source"], "clip_id": c["clip_id"]} for c in clips
    ]
    return {"source": facts, "timeline": sorted(timeline, key=lambda p: (p["start_s"], p["end_s"])), "clips": clips}


def _segments(tables: Tables, source: Mapping[str, Any]) -> list[dict[str, Any]]:
    return sorted(tables.where_is("segments", "source_id", source["source_id"]), key=lambda s: int(s["start_frame"]))


def _parts(segment: Mapping[str, Any]) -> list[Story]:
    """What of a segment is in no clip."""
    if segment["state"] != "done":
        start, end = segment["start_frame"], segment["end_frame"]
        code = segment["code"] if segment["state"] == "failed" else "not_yet"
        return [{"start_s": start / GRID_FPS, "end_s": end / GRID_FPS, "code": code, "detail": segment["detail"]}]
    return [
        {"start_s": s["start_frame"] / GRID_FPS, "end_s": s["end_frame"] / GRID_FPS, "code": s["code"]}
        for s in segment["stretches"]
    ]


def time_story(tables: Tables, source: Mapping[str, Any], time_s: float) -> Story:
    """What saw one moment of a source: ingest, scan, tracking, clips over it and what became of each."""
    facts = {name: source.get(name) for name in SOURCE_FACTS}
    out: Story = {
        "source": facts,
        "time_s": time_s,
        "seen": [{"stage": "ingest", "says": _ingest_says(source)}],
        "clips": [],
    }
    if time_s >= source["duration_s"]:
        raise UsageError(f"{source['uri']} is {source['duration_s']:.3f} s long; there is no {time_s:g} s in it")
    if source["outcome"] != "ready":
        return out
    frame = math.floor(time_s * GRID_FPS + 1e-9)
    if frame >= source["n_frames"]:
        out["seen"].append({"stage": "ingest", "says": "less than a whole frame at the end of the file"})
        return out
    segment = next(s for s in _segments(tables, source) if s["start_frame"] <= frame < s["end_frame"])
    out["segment"] = {n: segment[n] for n in ("segment_id", "state", "code", "detail", "decode_errors")}
    out["seen"] += _scan_says(segment, frame)
    policy = own_policy(tables)
    for row, clip in _clips_of(tables, source, frame):
        taken = _measurements(tables, clip["clip_id"], row)
        out["clips"].append({**clip, "would_have_to_change": changes(policy, clip["clip_id"], taken)})
    return out


def _ingest_says(source: Mapping[str, Any]) -> str:
    if source["outcome"] == "ready":
        return (
            f"readable: {source['width_px']}×{source['height_px']} px, {source['fps'] or 0:g} pictures a second, "
            f"{source['duration_s']:.2f} s"
        )
    return f"{source['outcome']} as a whole: {source['code']} ({source['detail']})"


def _scan_says(segment: Mapping[str, Any], frame: int) -> list[Story]:
    """Speech, shots and stretches at a frame of the segment."""
    if segment["state"] != "done":
        what = f"failed: {segment['code']} ({segment['detail']})" if segment["state"] == "failed" else "not done yet"
        return [{"stage": "segment", "says": what}]
    at_s = frame / GRID_FPS
    heard = next((s for s in segment["speech_s_in_source"] if s["start_s"] <= at_s < s["end_s"]), None)
    says = f"speech from {heard['start_s']:.2f} to {heard['end_s']:.2f} s" if heard else "no speech at this moment"
    out = [{"stage": "scan", "says": says}]
    cuts = [cut for cut in segment["cut_frames"] if cut <= frame]
    if cuts:
        out.append({"stage": "measure", "says": f"in the shot that begins at {max(cuts) / GRID_FPS:.2f} s"})
    for stretch in segment["stretches"]:
        if stretch["start_frame"] <= frame < stretch["end_frame"]:
            stage, meaning = STRETCHES.get(stretch["code"], ("measure", "this could not be read or decoded"))
            span = f"{stretch['start_frame'] / GRID_FPS:.2f} to {stretch['end_frame'] / GRID_FPS:.2f} s"
            out.append({"stage": stage, "code": stretch["code"], "says": f"{stretch['code']} from {span}: {meaning}"})
    return out
