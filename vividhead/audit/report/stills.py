"""Examples for the report: kept clips with the most and the least room to a limit, and rejected ones by reason."""

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vividhead.audit.footage import still_from_shard, still_from_source
from vividhead.audit.report.figures import table_rows
from vividhead.audit.tables import Tables
from vividhead.audit.verdicts import score_columns
from vividhead.errors import MediaError
from vividhead.policy import Policy
from vividhead.revoked import CODE

if TYPE_CHECKING:
    from vividhead.audit.sql import Session

SIDE_PX = 192
MOST = 6
"""Examples of a kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """One example."""

    clip_id: str
    what: str
    """Why it is shown."""
    where: str
    jpeg_base64: str
    """Empty where there is no picture; `missing` says why."""
    missing: str = ""


def kept_stills(tables: Tables, policy: Policy) -> tuple[list[Still], list[Still]]:
    """Kept clips with the most and those with the least room, one of each source, none in both.

    Room is the least of a clip's distances to the limits, each in that of the median kept clip. Without rules or
    kept clips there are none.
    """
    room_N = _rooms(tables, policy) if tables.has("manifest") else None
    if room_N is None:
        return [], []
    sources = tables.read("manifest", ["source_id"])["source_id"].combine_chunks().dictionary_encode()
    source_N = sources.indices.to_numpy()
    order = np.argsort(room_N, kind="stable")
    order = order[np.isfinite(room_N[order])]
    best = _ends(order[::-1], source_N, set())
    worst = _ends(order, source_N, set(best))
    rows = tables.take("manifest", _SHOWN, [*best, *worst])
    stills = [_kept(tables, {**row, "room": room_N[at]}) for at, row in zip((*best, *worst), rows, strict=True)]
    return stills[: len(best)], stills[len(best) :]


_SHOWN = (
    "clip_id", "uri", "start_frame", "end_frame", "n_frames", "shard", "mp4_offset", "mp4_bytes", "mp4_sha256",
)  # fmt: skip
"""Columns of the manifest that a still is made by."""


def _ends(order: NDArray[np.int64], source_N: NDArray[np.int32], but: set[int]) -> list[int]:
    """The first rows in this order, one of each source."""
    seen: set[int] = set()
    found: list[int] = []
    for row in map(int, order):
        if source_N[row] not in seen and row not in but:
            seen.add(source_N[row])
            found.append(row)
        if len(found) == MOST:
            break
    return found


def _rooms(tables: Tables, policy: Policy) -> NDArray[np.float64] | None:
    """Each kept clip's room; NaN where no limit's field is known, None where no limit's field is in the manifest."""
    there = set(tables.schema("manifest").names)
    room_N = None
    for rule in policy.rules:
        if rule.id not in there or (rule.min is None and rule.max is None):
            continue
        values_N = tables.read("manifest", [rule.id])[rule.id].to_numpy()
        for limit in (rule.min, rule.max):
            far_N = None if limit is None else np.abs(values_N - limit)
            usual = 0.0 if far_N is None else _median(far_N)
            if far_N is not None and usual > 0:
                room_N = far_N / usual if room_N is None else np.fmin(room_N, far_N / usual)
    return room_N


def _median(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


def _kept(tables: Tables, row: dict[str, Any]) -> Still:
    what = f"room {row['room']:.2f}"
    try:
        return _still(row, what, still_from_shard(tables, row, SIDE_PX))
    except MediaError as fault:
        return _still(row, what, None, fault.detail)


def rejected_stills(session: "Session", tables: Tables, policy: Policy) -> list[Still]:
    """For each of the most frequent limits: the clip that missed it least, and the one that missed it most.

    What was revoked is shown no more, though its footage may still be at hand.
    """
    found = session.sql(
        f"""WITH missed AS (
                SELECT nth_clip, first, duration_s FROM candidates
                WHERE NOT kept AND failure IS NULL AND first <> '{CODE}'
            ),
            codes AS (SELECT first, sum(duration_s) AS s FROM missed GROUP BY 1 ORDER BY s DESC, 1 LIMIT {MOST})
            SELECT first, list(nth_clip) AS rows FROM missed JOIN codes USING (first) GROUP BY first, s
            ORDER BY s DESC, 1"""  # noqa: S608 - a number of ours
    ).to_arrow_table()
    clip_ids = tables.read("clips", ["clip_id"])["clip_id"]
    shown: list[tuple[int, str]] = []
    for code, listed in zip(found["first"].to_pylist(), found["rows"], strict=True):
        rows, told = np.sort(listed.values.to_numpy()), _missed(tables, policy, code, clip_ids)
        if told is None:
            shown.append((int(rows[0]), code))
            continue
        values_N, limit = told
        far = np.abs(values_N[rows] - limit)
        for row in dict.fromkeys((int(rows[far.argmin()]), int(rows[far.argmax()]))):
            shown.append((row, f"{code}: {values_N[row]:.4g}, limit {limit:.4g}"))
    clips = tables.take("clips", _CLIP, [row for row, _ in shown])
    return [_rejected(session, clip, what) for clip, (_, what) in zip(clips, shown, strict=True)]


_CLIP = (
    "clip_id", "source_id", "start_frame", "end_frame", "crop_x0_px", "crop_y0_px", "crop_x1_px", "crop_y1_px",
)  # fmt: skip


def _missed(
    tables: Tables, policy: Policy, code: str, clip_ids: pa.ChunkedArray
) -> tuple[NDArray[np.float64], float] | None:
    """All clips' values of the field whose limit was missed, and the limit; None for what is no limit."""
    named, _, kind = code.rpartition(":")
    rule = next((rule for rule in policy.rules if rule.id == named), None)
    limit = {"low": rule.min, "high": rule.max}.get(kind) if rule is not None else None
    if rule is None or limit is None:
        return None
    return score_columns(tables, rule.score, clip_ids, [rule.field]).values_N(rule.field)[0], limit


def _rejected(session: "Session", clip: dict[str, Any], what: str) -> Still:
    (source,) = table_rows(
        session, "SELECT uri, bytes, source_id FROM sources WHERE outcome = 'ready' AND source_id = ?",
        [clip["source_id"]],
    )  # fmt: skip
    row = {**clip, **source}
    try:
        return _still(row, what, still_from_source(row, row, SIDE_PX))
    except MediaError as fault:
        return _still(row, what, None, fault.detail)


def _still(row: dict[str, Any], what: str, picture_HWC: Any, missing: str = "") -> Still:
    data = ""
    if picture_HWC is not None:
        done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
        assert done
        data = base64.b64encode(jpeg.tobytes()).decode()
    start_s, end_s = row["start_frame"] / 25, row["end_frame"] / 25
    where = f"{row['uri'].rsplit('/', 1)[-1]}, {start_s:.1f}–{end_s:.1f} s"
    return Still(clip_id=row["clip_id"], what=what, where=where, jpeg_base64=data, missing=missing)
