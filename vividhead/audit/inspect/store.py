"""All clips in one wide table that answers in milliseconds: pages, single clips, and what other limits would keep."""

import json
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from vividhead.audit.report.figures import table_rows
from vividhead.audit.sql import FIRST_BROKEN, add_view, connected, quoted, text
from vividhead.audit.tables import Tables
from vividhead.audit.verdicts import STATUSES, revoked_rows, score_columns
from vividhead.errors import ConfigError, UsageError
from vividhead.labels import Label
from vividhead.revoked import CODE as REVOKED
from vividhead.score import Field, score_class

MOST_ROWS = 200
"""Of a page."""
PLAIN_SORTS = ("clip_id", "duration_s", "start_s", "uri", "first")
STATES = ("all", "kept", "rejected")
MEASURED, UNMEASURABLE = STATUSES.index("measured"), STATUSES.index("unmeasurable")
_SPAN = ["clip_id", "source_id", "start_s_in_source", "end_s_in_source", "duration_s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be listed."""

    state: str = "all"
    code: str = ""
    """First rule broken."""
    text: str = ""
    """Part of a file's name, or the start of a clip_id."""
    label: str = ""
    """good, bad, any or none."""
    field: str = ""
    low: float | None = None
    high: float | None = None
    """Limits of `field`."""
    sort: str = "clip_id"
    descending: bool = False
    offset: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Limits:
    """One rule, as the page sends it."""

    id: str
    min: float | None
    max: float | None
    unmeasured: str


class Store:
    """The wide table of one dataset, in memory. Safe for many threads: each request has a cursor of its own."""

    def __init__(self, tables: Tables) -> None:
        """Read the dataset; raises a VividHeadError where that cannot be done."""
        self.tables = tables
        self._scratch = tempfile.TemporaryDirectory(prefix="vividhead-inspect-")
        self._session = connected(self._scratch.name)
        self._writing = threading.Lock()
        self.fields: dict[str, Field] = {}
        """`<score>.<field>` → what it is."""
        self._fill()

    def close(self) -> None:
        """Free the table."""
        self._session.close()
        self._scratch.cleanup()

    def _fill(self) -> None:
        clips = self.tables.read("clips", _SPAN)
        ids = clips["clip_id"]
        wide: dict[str, Any] = {name: clips[name] for name in clips.column_names}
        wide["nth"] = pa.array(np.arange(len(clips)))
        for score in self.tables.names("measurements"):
            names = [f.name for f in self.tables.schema(f"measurements/{score}") if str(f.type) == "double"]
            columns = score_columns(self.tables, score, ids, names)
            wide[f"{score}.status"] = pa.array(columns.status_N)  # compared in every count: a number is quicker
            for name, about in _declared(score, names).items():
                wide[f"{score}.{name}"] = columns.table[name]
                self.fields[f"{score}.{name}"] = about
        self._session.register("wide_arrow", pa.table(wide))
        del wide
        add_view(self._session, self.tables, "all_sources", "sources")
        self._session.execute("CREATE TABLE sources AS FROM all_sources WHERE outcome = 'ready'")
        add_view(self._session, self.tables, "decisions", f"decisions/{self.tables.digest}")
        if self.tables.has("manifest"):
            add_view(self._session, self.tables, "packed", "manifest")
        else:
            self._session.execute("CREATE VIEW packed AS SELECT clip_id FROM decisions WHERE false")
        gone = revoked_rows(self.tables, ids)  # decisions may be those before a revocation that is at work now
        self._session.register("gone", pa.table({"nth": pa.array(list(gone), pa.int64())}))
        self._session.execute(
            f"""CREATE TABLE clips AS
               SELECT w.* RENAME (start_s_in_source AS start_s, end_s_in_source AS end_s),
                   d.kept AND g.nth IS NULL AS kept, p.clip_id IS NOT NULL AS packed, d.failure, s.uri,
                   CASE WHEN g.nth IS NOT NULL THEN {text(REVOKED)}
                        ELSE coalesce(d.failure, ({FIRST_BROKEN}).code) END AS first
               FROM wide_arrow w JOIN decisions d USING (clip_id)
               LEFT JOIN (SELECT clip_id FROM packed) p USING (clip_id)
               JOIN (SELECT source_id, uri FROM sources) s USING (source_id)
               LEFT JOIN gone g ON g.nth = w.nth"""  # noqa: S608 - ours alone
        )
        self._session.unregister("wide_arrow")
        self._session.execute("CREATE TABLE labels (clip_id VARCHAR PRIMARY KEY, label VARCHAR, about VARCHAR)")

    def note(self, labels: Sequence[Label]) -> None:
        """Let these verdicts count, the last of a clip most."""
        with self._writing:
            cursor = self._session.cursor()
            for label in {label.clip_id: label for label in labels}.values():
                about = json.dumps({"reason": label.reason, "by": label.by, "at_utc": label.at_utc})
                cursor.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?)", [label.clip_id, label.label, about])

    def rows(self, sql: str, bound: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Column → value of each row."""
        return table_rows(self._session.cursor(), sql, bound)

    def page(self, asked: Asked) -> dict[str, Any]:
        """`total` rows that fit, and those of the page; raises UsageError for what cannot be asked."""
        where, bound = self._where(asked)
        column = self._sort(asked.sort)
        limit, offset = min(max(asked.limit, 1), MOST_ROWS), max(asked.offset, 0)
        source = f"FROM clips LEFT JOIN labels USING (clip_id) WHERE {where}"
        (counts,) = self.rows(f"SELECT count(*) AS total, coalesce(sum(duration_s), 0) AS seconds {source}", bound)
        order = "DESC" if asked.descending else "ASC"
        shown = f", {quoted(asked.sort)} AS value" if asked.sort in self.fields else ""
        rows = self.rows(
            f"SELECT clip_id, uri, start_s, end_s, duration_s, kept AND packed AS kept, first, label{shown} {source} "
            f"ORDER BY {column} {order} NULLS LAST, nth LIMIT {limit} OFFSET {offset}",
            bound,
        )
        return {**counts, "rows": rows}

    def _where(self, asked: Asked) -> tuple[str, list[Any]]:
        if asked.state not in STATES:
            raise UsageError(f"state {asked.state!r}: there are {', '.join(STATES)}")
        parts, bound = ["true"], list[Any]()
        if asked.state != "all":
            parts.append("(kept AND packed)" if asked.state == "kept" else "NOT (kept AND packed)")
        if asked.code:
            parts.append("first = ?")
            bound.append(asked.code)
        if asked.text:
            parts.append("(contains(lower(uri), lower(?)) OR starts_with(clip_id, ?))")
            bound += [asked.text, asked.text]
        if asked.label:
            kinds = {
                "good": "label = 'good'",
                "bad": "label = 'bad'",
                "any": "label IS NOT NULL",
                "none": "label IS NULL",
            }
            if asked.label not in kinds:
                raise UsageError(f"label {asked.label!r}: there are {', '.join(kinds)}")
            parts.append(kinds[asked.label])
        for limit, sign in ((asked.low, ">="), (asked.high, "<=")):
            if limit is not None and asked.field:
                parts.append(f"{self._field(asked.field)} {sign} ?")
                bound.append(limit)
        return " AND ".join(parts), bound

    def _field(self, name: str) -> str:
        if name not in self.fields:
            raise UsageError(f"no field {name!r}; there are {', '.join(self.fields)}")
        return quoted(name)

    def _sort(self, name: str) -> str:
        return quoted(name) if name in PLAIN_SORTS else self._field(name)

    def clip(self, clip_id: str) -> dict[str, Any] | None:
        """A clip's whole row, its reasons, and its source; None where there is none."""
        found = self.rows("FROM clips LEFT JOIN labels USING (clip_id) WHERE clip_id = ?", [clip_id])
        if not found:
            return None
        (row,) = found
        decision = self.tables.row(f"decisions/{self.tables.digest}", clip_id, row["nth"]) or {}
        (source,) = self.rows("FROM sources WHERE source_id = ?", [row["source_id"]])
        source["attributes"] = dict(source["attributes"] or {})
        for name in [name for name in row if name.endswith(".status")]:
            row[name] = STATUSES[row[name]] if row[name] < len(STATUSES) else None
        return {**row, "reasons": decision.get("reasons", []), "source": source}

    def of_source(self, source_id: str, most: int = 500) -> list[dict[str, Any]]:
        """The source's clips in time, with all their values."""
        return self.rows(f"FROM clips WHERE source_id = ? ORDER BY start_s, nth LIMIT {most}", [source_id])

    def codes(self) -> list[dict[str, Any]]:
        """First reasons with their clips and seconds."""
        return self.rows(
            """SELECT first AS code, count(*) AS clips, sum(duration_s) AS seconds FROM clips
               WHERE NOT (kept AND packed) AND first IS NOT NULL GROUP BY 1 ORDER BY 3 DESC, 1"""
        )

    def compared(self, before: Sequence[Limits], after: Sequence[Limits]) -> dict[str, Any]:
        """What two sets of limits keep, what changes, and what each rule of the second costs alone."""
        passes, bound = {}, {}
        for name, rules in (("a", before), ("b", after)):
            made = [self._passes(rule) for rule in rules]
            passes[name] = [sql for sql, _ in made]
            bound[name] = [value for _, values in made for value in values]
        every_a, every_b = (" AND ".join(passes[name]) or "true" for name in "ab")
        alone = ", ".join(_sums(f"n_broken = 1 AND NOT p{at}") for at in range(len(after)))
        each = "".join(f", {sql} AS p{at}" for at, sql in enumerate(passes["b"]))
        broken = " + ".join(f"(NOT p{at})::INT" for at in range(len(after))) or "0"
        row = (
            self._session.cursor()
            .execute(
                f"""SELECT {_sums("a")}, {_sums("b")}, {_sums("a AND NOT b")}, {_sums("b AND NOT a")}
                {"," if alone else ""} {alone} FROM (
                SELECT *, {broken} AS n_broken FROM (
                    SELECT duration_s, ({every_a}) AS a, ({every_b}) AS b {each} FROM clips
                    WHERE first IS DISTINCT FROM {text(REVOKED)}
                )
            )""",  # noqa: S608 - names are quoted, values are bound
                [*bound["a"], *bound["b"], *bound["b"]],
            )
            .fetchone()
        )
        assert row is not None
        amounts = [{"clips": row[at], "seconds": row[at + 1]} for at in range(0, len(row), 2)]
        marginal = {rule.id: amount for rule, amount in zip(after, amounts[4:], strict=True)}
        return {"a": amounts[0], "b": amounts[1], "lost": amounts[2], "gained": amounts[3], "alone": marginal}

    def _passes(self, rule: Limits) -> tuple[str, list[float]]:
        """SQL that is true where the rule lets a clip pass, never null; as `policy.judge` has it."""
        value = self._field(rule.id)
        status = quoted(f"{rule.id.split('.')[0]}.status")
        limits = [(sign, end) for sign, end in ((">=", rule.min), ("<=", rule.max)) if end is not None]
        held = "".join(f" AND {value} {sign} ?" for sign, _ in limits)
        known = f"({status} = {MEASURED} AND {value} IS NOT NULL AND NOT isnan({value}){held})"
        if rule.unmeasured == "accept":
            known = f"({known} OR {status} = {UNMEASURABLE} OR ({status} = {MEASURED} AND {value} IS NULL))"
        return f"coalesce({known}, false)", [end for _, end in limits]


def _sums(condition: str) -> str:
    return f"count(*) FILTER ({condition}), coalesce(sum(duration_s) FILTER ({condition}), 0)"


def _declared(score: str, names: Sequence[str]) -> Mapping[str, Field]:
    try:
        known = score_class(score).fields
    except ConfigError:
        known = {}
    return {name: known.get(name, Field("", "not known to this version")) for name in names}
