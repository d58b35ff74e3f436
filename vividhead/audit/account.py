"""The account: every second of footage in exactly one bucket, and the buckets sum to the footage.

    kept          in a clip that no rule rejects and that lies in a shard
    rejected      in a clip (or a whole source) that some rule or input limit rejects
    not_candidate in no clip: no speech, no face, too short, no picture
    duplicate     in a source that is there twice
    failed        could not be read, decoded or packed
    not_yet       still to be done (an interrupted run)

Where clips of two faces overlap in time, a second of both is kept if either is, else failed if either is.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vividhead.errors import DatasetError
from vividhead.records import BUCKETS as BUCKETS
from vividhead.records import GRID_FPS
from vividhead.view import Dataset

TOLERANCE_S = 1e-6


@dataclass(slots=True)
class SourceAccount:
    """One source's seconds. `reasons` holds every code with its seconds; they overlap where rules do."""

    uri: str
    sha256: str | None
    duration_s: float
    outcome: str
    """kept (some of it), rejected, duplicate, failed or not_yet."""
    detail: str = ""
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(BUCKETS, 0.0))
    reasons: dict[str, float] = field(default_factory=dict)
    first_reasons: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """bucket/code → seconds without overlap: a clip's seconds go to the first rule it broke."""
    clips: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What failed, in words, with the commands that reproduce it."""


@dataclass(slots=True)
class Account:
    """All sources' seconds, and the sums."""

    sources: list[SourceAccount]
    n_segments: int

    @property
    def footage_s(self) -> float:
        return math.fsum(s.duration_s for s in self.sources)

    def seconds(self) -> dict[str, float]:
        """Bucket → seconds, over all sources."""
        return {b: math.fsum(s.seconds[b] for s in self.sources) for b in BUCKETS}

    def why(self) -> dict[str, dict[str, float]]:
        """Bucket → code → seconds; within a bucket they sum to its seconds."""
        out: dict[str, dict[str, float]] = {b: defaultdict(float) for b in BUCKETS}
        for source in self.sources:
            for name, seconds in source.first_reasons.items():
                bucket, code = name.split("/", 1)
                out[bucket][code] += seconds
        return {b: dict(sorted(codes.items(), key=lambda c: -c[1])) for b, codes in out.items() if codes}

    def check(self) -> None:
        """Raise DatasetError unless each source's buckets sum to its duration."""
        for source in self.sources:
            total = math.fsum(source.seconds.values())
            if abs(total - source.duration_s) > TOLERANCE_S:
                raise DatasetError(
                    f"the account of {source.uri} does not add up: {total:.6f} s in buckets, {source.duration_s:.6f} s "
                    "of footage; the tables are not of one run: run the same command again"
                )

    def plain(self) -> dict[str, Any]:
        """The account as JSON values; `seconds` sums to `footage_s`."""
        return {
            "footage_s": round(self.footage_s, 6),
            "seconds": {b: round(v, 6) for b, v in self.seconds().items()},
            "why": {b: {c: round(v, 6) for c, v in codes.items()} for b, codes in self.why().items()},
            "counts": {
                "sources": len(self.sources),
                "segments": self.n_segments,
                "clips": sum(len(s.clips) for s in self.sources),
                "kept_clips": sum(c["kept"] for s in self.sources for c in s.clips),
            },
            "sources": [_plain_source(s) for s in self.sources],
        }


def _plain_source(s: SourceAccount) -> dict[str, Any]:
    return {
        "uri": s.uri,
        "sha256": s.sha256,
        "duration_s": s.duration_s,
        "outcome": s.outcome,
        "detail": s.detail,
        "kept_s": round(s.seconds["kept"], 6),
        "clips": s.clips,
        "reasons": {code: round(v, 6) for code, v in s.reasons.items()},
        "failures": s.failures,
    }


def account(dataset: Dataset) -> Account:
    """Add up a dataset from its tables, and check that it adds up.

    Raises DatasetError when it does not: then its tables are of different runs.
    """
    manifest = dataset.path / "manifest.parquet"
    packed = set(dataset.table("manifest")["clip_id"].to_pylist()) if manifest.is_file() else set()
    segments: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in dataset.table("segments").to_pylist():
        segments[row["source_id"]].append(row)
    decisions = {row["clip_id"]: row for row in dataset.table("decisions").to_pylist()}
    clips: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in dataset.table("clips").to_pylist():
        clip_id = row["clip_id"]
        if clip_id not in decisions:
            raise DatasetError(
                f"clip {clip_id} of {dataset.path} has no decision; run the same command again to finish"
            )
        clips[row["source_id"]].append({**row, **decisions[clip_id], "packed": clip_id in packed})
    sources = [
        _source(row, segments[row["source_id"]], clips[row["source_id"]])
        for row in dataset.table("sources").to_pylist()
    ]
    out = Account(sources, sum(map(len, segments.values())))
    out.check()
    return out


def _source(
    row: Mapping[str, Any], segments: Sequence[Mapping[str, Any]], clips: Sequence[Mapping[str, Any]]
) -> SourceAccount:
    sha256 = None if row["source_id"].startswith("unread-") else row["source_id"]
    out = SourceAccount(row["uri"], sha256, row["duration_s"], row["outcome"], row["detail"] or "")
    if row["outcome"] != "ready":
        _add(out, row["outcome"], row["code"], row["duration_s"])
        out.reasons[row["code"]] = row["duration_s"]
        return out
    frames = _paint(row["n_frames"], segments, clips, out)
    runs = Counter(frames)
    for (bucket, code), count in runs.items():
        _add(out, bucket, code, count / GRID_FPS)
    rest_s = row["duration_s"] - row["n_frames"] / GRID_FPS
    if abs(rest_s) > 0:
        last = frames[-1] if frames and rest_s < 0 else ("not_candidate", "under_one_frame")
        _add(out, *last, rest_s)
    out.clips = [_clip(c) for c in clips]
    out.failures += [c["failure_detail"] for c in clips if c["failure"] is not None]
    out.outcome = _outcome(out.seconds)
    return out


def _outcome(seconds: Mapping[str, float]) -> str:
    if seconds["not_yet"] > 0:
        return "not_yet"
    if seconds["kept"] > 0:
        return "kept"
    candidates = seconds["rejected"] + seconds["not_candidate"]
    return "failed" if seconds["failed"] > candidates else "rejected"


def _add(out: SourceAccount, bucket: str, code: str, seconds: float) -> None:
    out.seconds[bucket] += seconds
    out.first_reasons[f"{bucket}/{code}"] += seconds


def _paint(
    n_frames: int,
    segments: Iterable[Mapping[str, Any]],
    clips: Iterable[Mapping[str, Any]],
    out: SourceAccount,
) -> list[tuple[str, str]]:
    """Bucket and code of every grid frame, the strongest claim last; `out.reasons` learns all codes."""
    frames = [("not_yet", "not_yet")] * n_frames
    claimed: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for segment in segments:
        if segment["state"] == "failed":
            _fill(frames, segment, "failed", segment["code"])
            claimed[segment["code"]].append((segment["start_frame"], segment["end_frame"]))
            out.failures.append(segment["detail"])
        for stretch in segment["stretches"] if segment["state"] == "done" else ():
            bucket = "failed" if stretch["code"].startswith("failed.") else "not_candidate"
            _fill(frames, stretch, bucket, stretch["code"])
            claimed[stretch["code"]].append((stretch["start_frame"], stretch["end_frame"]))
    done = {s["segment_id"] for s in segments if s["state"] == "done"}
    claims = [(*_claim(clip), clip) for clip in clips if clip["segment_id"] in done]
    for bucket, codes, clip in sorted(claims, key=lambda c: _STRENGTH.index(c[0])):
        _fill(frames, clip, bucket, codes[0])
        for code in codes if bucket in ("rejected", "failed") else ():
            claimed[code].append((clip["start_frame"], clip["end_frame"]))
    for code, spans in claimed.items():
        out.reasons[code] = _union_frames(spans) / GRID_FPS
    return frames


def _union_frames(spans: Iterable[tuple[int, int]]) -> int:
    """Frames in any of the spans: two faces rejected at the same time do not take the time twice."""
    total, reach = 0, 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reach))
        reach = max(reach, end)
    return total


_STRENGTH = ("rejected", "not_yet", "failed", "kept")
"""Buckets of clips that overlap, the strongest last."""


def _claim(clip: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Bucket and codes of one clip."""
    if clip["failure"] is not None:
        return "failed", [clip["failure"]]
    if clip["kept"]:
        return ("kept", ["kept"]) if clip["packed"] else ("not_yet", ["not_packed"])
    codes = broken(clip["reasons"])
    return ("not_yet", ["not_measured"]) if all(c.endswith(":skipped") for c in codes) else ("rejected", codes)


def _fill(frames: list[tuple[str, str]], span: Mapping[str, Any], bucket: str, code: str) -> None:
    start, end = span["start_frame"], span["end_frame"]
    frames[start:end] = [(bucket, code)] * (end - start)


def broken(reasons: Sequence[Mapping[str, Any]]) -> list[str]:
    """Codes of the rules a clip broke; those only `skipped` because of them are left out."""
    codes: list[str] = [r["code"] for r in reasons]
    return [c for c in codes if not c.endswith(":skipped")] or codes


def _clip(clip: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "clip_id": clip["clip_id"],
        "start_s_in_source": clip["start_s_in_source"],
        "end_s_in_source": clip["end_s_in_source"],
        "kept": clip["kept"] and clip["packed"],
        "reasons": [clip["failure"]] if clip["failure"] is not None else broken(clip["reasons"]),
    }


def funnel(found: Account) -> str:
    """The account in lines for people."""
    plain = found.plain()
    counts = plain["counts"]
    lines = [
        f"footage {_duration(found.footage_s)}   sources {counts['sources']}   segments {counts['segments']}   "
        f"clips {counts['clips']}   kept clips {counts['kept_clips']}",
        "",
    ]
    for bucket, seconds in found.seconds().items():
        if seconds == 0 and bucket in ("not_yet", "failed", "duplicate"):
            continue
        share = seconds / found.footage_s if found.footage_s else 0.0
        lines.append(f"{bucket.replace('_', ' '):<14}{_duration(seconds):>10}  {share:>6.1%}")
        for code, part in plain["why"].get(bucket, {}).items():
            if bucket != "kept" and part >= 0.05:
                lines.append(f"    {_duration(part):>20}  {code}")
    failed = [s for s in found.sources if s.outcome == "failed" and s.duration_s == 0]
    if failed:
        lines += ["", "without readable time:"]
        lines += [f"    {next(iter(s.reasons), '')}  {s.uri}  {s.detail}" for s in failed]
    partly = [s for s in found.sources if s.failures]
    if partly:
        lines += ["", "failed in part:"]
        lines += [f"    {s.uri}  {text}" for s in partly for text in dict.fromkeys(s.failures)]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
