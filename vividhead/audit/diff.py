"""Two datasets compared: settings, sources, clips, decisions, measurements, shards. From their tables alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.clips import Judged, judged, own_policy
from vividhead.audit.rejudge import Amount, limits
from vividhead.audit.tables import Tables
from vividhead.manifest import MEASUREMENTS

Plain = dict[str, Any]
SHOWN = 20


@dataclass(frozen=True)
class _Both:
    """Clips that both have: their rows in each."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]


def diff(one: str | Path, other: str | Path) -> Plain:
    """What differs from `one` to `other`, as JSON values; `same` where nothing does."""
    a, b = Tables(one), Tables(other)
    now_a, now_b = judged(a), judged(b)
    both = _shared(now_a.clip_ids, now_b.clip_ids)
    found: Plain = {
        "a": str(one), "b": str(other), "settings": _settings(a, b), "rules": _rules(a, b),
        "sources": _sources(a, b), "clips": _clips(now_a, now_b, both), "decisions": _decisions(now_a, now_b, both),
        "measurements": _measurements(a, b), "shards": _shards(a, b),
    }  # fmt: skip
    found["same"] = not any(_differs(found[name]) for name in _PARTS)
    return found


_PARTS = ("settings", "rules", "sources", "clips", "decisions", "measurements", "shards")


def _differs(part: Any) -> bool:
    """Is there anything but what both have, and zeros?"""
    if isinstance(part, dict):
        return any(_differs(value) for name, value in part.items() if name not in ("both", "hours_a", "hours_b"))
    return bool(part)


def _shared(ids_a: pa.ChunkedArray, ids_b: pa.ChunkedArray) -> _Both:
    if ids_a.equals(ids_b):
        return _Both(*[np.arange(len(ids_a))] * 2)
    rows = compute.fill_null(compute.index_in(ids_a, ids_b.combine_chunks()), -1).to_numpy()
    there = np.flatnonzero(rows >= 0)
    return _Both(there, np.asarray(rows[there], np.int64))


def _settings(a: Tables, b: Tables) -> Plain:
    out = {}
    for section in ("input", "pipeline", "filters", "versions"):
        one, other = a.run.get(section, {}), b.run.get(section, {})
        for name in dict.fromkeys([*one, *other]):
            if name != "text" and one.get(name) != other.get(name):
                out[f"{section}.{name}"] = [one.get(name), other.get(name)]
    return out


def _rules(a: Tables, b: Tables) -> Plain:
    one, other = ({rule.id: limits(rule) for rule in own_policy(tables).rules} for tables in (a, b))
    names = dict.fromkeys([*one, *other])
    return {name: [one.get(name), other.get(name)] for name in names if one.get(name) != other.get(name)}


def _sources(a: Tables, b: Tables) -> Plain:
    def listed(tables: Tables) -> dict[tuple[str, int], Plain]:
        rows = tables.read("sources", ["source_id", "uri", "outcome", "code", "duration_s"]).to_pylist()
        seen: dict[str, int] = {}
        out = {}
        for row in rows:
            seen[row["source_id"]] = seen.get(row["source_id"], 0) + 1
            out[row["source_id"], seen[row["source_id"]]] = row
        return out

    one, other = listed(a), listed(b)
    changed = [
        {"uri": other[key]["uri"], "was": row["outcome"], "is": other[key]["outcome"], "code": other[key]["code"]}
        for key, row in one.items()
        if key in other and row["outcome"] != other[key]["outcome"]
    ]
    gone, new = ([rows[k] for k in rows if k not in than] for rows, than in ((one, other), (other, one)))
    return {
        "both": len(one) - len(gone), "only_a": _named(gone), "only_b": _named(new), "outcome_changed": changed[:SHOWN],
        "only_a_count": len(gone), "only_b_count": len(new), "outcome_changed_count": len(changed),
    }  # fmt: skip


def _named(rows: list[Plain]) -> list[Plain]:
    return [{"uri": row["uri"], "outcome": row["outcome"], "duration_s": row["duration_s"]} for row in rows[:SHOWN]]


def _clips(a: Judged, b: Judged, both: _Both) -> Plain:
    def rest(judged_clips: Judged, rows: NDArray[np.int64]) -> Plain:
        mask_N = np.ones(len(judged_clips.clip_ids), np.bool_)
        mask_N[rows] = False
        return Amount.of(mask_N, judged_clips.seconds_N).plain()

    return {"both": len(both.one), "only_a": rest(a, both.one), "only_b": rest(b, both.other)}


def _decisions(a: Judged, b: Judged, both: _Both) -> Plain:
    """Kept in each, and of the clips that both have, those kept in one alone."""
    kept_a, kept_b, seconds = a.kept_N[both.one], b.kept_N[both.other], b.seconds_N[both.other]
    changed = np.flatnonzero(kept_a != kept_b)[:SHOWN].tolist()
    return {
        "hours_a": Amount.of(a.kept_N, a.seconds_N).plain(), "hours_b": Amount.of(b.kept_N, b.seconds_N).plain(),
        "lost": Amount.of(kept_a & ~kept_b, seconds).plain(), "gained": Amount.of(kept_b & ~kept_a, seconds).plain(),
        "changed": [
            {"clip_id": b.clip_ids[int(both.other[row])].as_py(), "became": "gained" if kept_b[row] else "lost"}
            for row in changed
        ],
    }  # fmt: skip


def _measurements(a: Tables, b: Tables) -> Plain:
    """Scores that only one has, and of the clips that both have, how many say something else, field by field."""
    names_a, names_b = a.names("measurements"), b.names("measurements")
    out: Plain = {
        "only_a": [n for n in names_a if n not in names_b], "only_b": [n for n in names_b if n not in names_a]
    }  # fmt: skip
    for score in sorted(set(names_a) & set(names_b)):
        told = _score_differences(a, b, f"measurements/{score}")
        if told:
            out[score] = told
    return out


def _score_differences(a: Tables, b: Tables, name: str) -> Plain:
    there = b.schema(name).names
    fields = [n for n in a.schema(name).names if n in there and n not in ("clip_id", "unknown", "detail")]
    if a.stored(name, "clip_id") == b.stored(name, "clip_id"):
        fields = [field for field in fields if a.stored(name, field) != b.stored(name, field)]
        pairs = ((field, *(tables.read(name, [field])[field] for tables in (a, b))) for field in fields)
    else:
        one, other = (tables.read(name, ["clip_id", *fields]) for tables in (a, b))
        both = _shared(one["clip_id"], other["clip_id"])
        pairs = (
            (field, one[field].take(pa.array(both.one)), other[field].take(pa.array(both.other))) for field in fields
        )
    told = ((field, _difference(left, right, field)) for field, left, right in pairs)
    return {field: difference for field, difference in told if difference}


def _difference(left: pa.ChunkedArray, right: pa.ChunkedArray, field: str) -> Plain:
    """How many rows say something else, and by how much at most."""
    same = compute.fill_null(compute.equal(left, right), False).to_numpy()
    same = same | (left.is_null().to_numpy() & right.is_null().to_numpy())
    if same.all():
        return {}
    out: Plain = {"clips": int((~same).sum())}
    if field not in {column.name for column in MEASUREMENTS}:
        out["largest_difference"] = compute.max(compute.abs(compute.subtract(left, right))).as_py()
    return out


def _shards(a: Tables, b: Tables) -> Plain:
    def digests(tables: Tables) -> dict[str, str]:
        if not tables.has("manifest"):
            return {}
        table = tables.read("manifest", ["shard", "shard_sha256"]).to_pylist()
        return {row["shard"]: row["shard_sha256"] for row in table}

    one, other = digests(a), digests(b)
    return {
        "both": sum(one[name] == other.get(name) for name in one),
        "changed": [name for name in one if name in other and one[name] != other[name]],
        "only_a": sorted(set(one) - set(other)), "only_b": sorted(set(other) - set(one)),
    }  # fmt: skip


def told(found: Plain) -> str:
    """The differences in lines for people."""
    if found["same"]:
        return f"{found['a']} and {found['b']} say the same"
    lines = [f"a {found['a']}", f"b {found['b']}", ""]
    lines += [f"{name}: {one} ▶ {other}" for name, (one, other) in found["settings"].items()]
    lines += [f"rule {name}: {_limit(one)} ▶ {_limit(other)}" for name, (one, other) in found["rules"].items()]
    sources, clips, kept = found["sources"], found["clips"], found["decisions"]
    lines.append(
        f"sources: {sources['both']} in both, {sources['only_a_count']} only in a, "
        f"{sources['only_b_count']} only in b, {sources['outcome_changed_count']} with another outcome"
    )
    lines += [f"  - {row['uri']}  {row['outcome']}" for row in sources["only_a"]]
    lines += [f"  + {row['uri']}  {row['outcome']}" for row in sources["only_b"]]
    lines += [f"  ~ {row['uri']}  {row['was']} ▶ {row['is']} {row['code'] or ''}" for row in sources["outcome_changed"]]
    lines.append(
        f"clips: {clips['both']} in both, {clips['only_a']['clips']} only in a, {clips['only_b']['clips']} only in b"
    )
    lines.append(
        f"kept: {kept['hours_a']['clips']} clips, {kept['hours_a']['hours']:.4f} h ▶ {kept['hours_b']['clips']} clips, "
        f"{kept['hours_b']['hours']:.4f} h; of those in both {kept['lost']['clips']} lost, "
        f"{kept['gained']['clips']} gained"
    )
    lines += [f"  {row['became']:<7}{row['clip_id']}" for row in kept["changed"]]
    scores = found["measurements"]
    for name in ("only_a", "only_b"):
        lines += [f"score {score} is {name.replace('_', ' in ')}" for score in scores[name]]
    for score, fields in scores.items():
        if score not in ("only_a", "only_b"):
            parts = (f"{f} {told['clips']} clips{_gap(told)}" for f, told in fields.items())
            lines.append(f"score {score}: other values of {', '.join(parts)}")
    shards = found["shards"]
    lines.append(
        f"shards: {shards['both']} the same, {len(shards['changed'])} changed, {len(shards['only_a'])} only in a, "
        f"{len(shards['only_b'])} only in b"
    )
    return "\n".join(lines)


def _gap(told: Plain) -> str:
    return f" (by {told['largest_difference']:.6g} at most)" if told.get("largest_difference") is not None else ""


def _limit(rule: Plain | None) -> str:
    if rule is None:
        return "no rule"
    return ", ".join(f"{name} {value}" for name, value in rule.items() if value not in (None, False, "reject")) or "–"
