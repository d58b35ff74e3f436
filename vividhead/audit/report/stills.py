"""Examples for the report: kept clips with the most and the least room to a limit, and rejected ones by reason."""

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2

from vividhead.audit.footage import still_from_shard, still_from_source
from vividhead.audit.report.figures import table_rows
from vividhead.audit.sql import quoted
from vividhead.audit.tables import Tables
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


def kept_stills(session: "Session", tables: Tables, policy: Policy) -> tuple[list[Still], list[Still]]:
    """Kept clips with the most and those with the least room, one of each source, none in both.

    Room is the least of a clip's distances to the limits, each in that of the median kept clip. Without rules or
    kept clips there are none.
    """
    rooms = _rooms(session, policy)
    if not rooms:
        return [], []
    session.execute(
        f"""CREATE TEMP TABLE roomy AS
            SELECT clip_id, source_id, room FROM (SELECT *, least({", ".join(rooms)}) AS room FROM manifest)
            WHERE room IS NOT NULL"""  # noqa: S608 - names are quoted, numbers are numbers
    )
    best = _ends(session, "DESC", [])
    worst = _ends(session, "ASC", [row["clip_id"] for row in best])
    return [_kept(tables, row) for row in best], [_kept(tables, row) for row in worst]


def _ends(session: "Session", order: str, but: list[str]) -> list[dict[str, Any]]:
    return table_rows(
        session,
        f"""SELECT m.*, c.room FROM manifest m JOIN (
                FROM roomy WHERE NOT list_contains(?, clip_id)
                QUALIFY row_number() OVER (PARTITION BY source_id ORDER BY room {order}, clip_id) = 1
                ORDER BY room {order}, clip_id LIMIT {MOST}
            ) c USING (clip_id) ORDER BY c.room {order}, clip_id""",  # noqa: S608
        [but],
    )


def _rooms(session: "Session", policy: Policy) -> list[str]:
    """SQL of the room to each limit whose field the manifest has."""
    there = {row[0] for row in session.execute("DESCRIBE manifest").fetchall()}
    limits = [
        (rule.id, limit)
        for rule in policy.rules
        for limit in (rule.min, rule.max)
        if limit is not None and rule.id in there
    ]
    if not limits:
        return []
    asked = ", ".join(f"median(abs({quoted(name)} - {limit!r}))" for name, limit in limits)
    medians = session.execute(f"SELECT {asked} FROM manifest").fetchone()  # noqa: S608 - names are quoted
    assert medians is not None
    return [
        f"abs({quoted(name)} - {limit!r}) / {usual!r}"
        for (name, limit), usual in zip(limits, medians, strict=True)
        if usual
    ]


def _kept(tables: Tables, row: dict[str, Any]) -> Still:
    what = f"room {row['room']:.2f}"
    try:
        return _still(row, what, still_from_shard(tables, row, SIDE_PX))
    except MediaError as fault:
        return _still(row, what, None, fault.detail)


def rejected_stills(session: "Session") -> list[Still]:
    """For each of the most frequent limits: the clip that missed it least, and the one that missed it most.

    What was revoked is shown no more, though its footage may still be at hand.
    """
    rows = table_rows(
        session,
        f"""WITH missed AS (
                SELECT *, abs(value - broken_limit) AS miss FROM candidates
                WHERE NOT kept AND failure IS NULL AND first <> '{CODE}'
            ),
            codes AS (SELECT first, sum(duration_s) AS s FROM missed GROUP BY 1 ORDER BY s DESC, 1 LIMIT {MOST}),
            ends AS (
                FROM missed SEMI JOIN codes USING (first) QUALIFY
                row_number() OVER (PARTITION BY first ORDER BY miss, clip_id) = 1
                OR (miss IS NOT NULL AND row_number() OVER (PARTITION BY first ORDER BY miss DESC, clip_id) = 1)
            )
            SELECT e.first, e.value, e.broken_limit, c.*, s.uri, s.bytes
            FROM ends e JOIN codes USING (first) JOIN clips c USING (clip_id)
            JOIN (FROM sources WHERE outcome = 'ready') s ON s.source_id = c.source_id
            ORDER BY codes.s DESC, e.first, e.miss, c.clip_id""",  # noqa: S608 - a number of ours
    )
    return [_rejected(row) for row in rows]


def _rejected(row: dict[str, Any]) -> Still:
    what = row["first"]
    if row["value"] is not None:
        what += f": {row['value']:.4g}, limit {row['broken_limit']:.4g}"
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
