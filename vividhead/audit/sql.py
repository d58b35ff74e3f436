"""A dataset's tables as DuckDB sees them: sums over millions of rows in seconds, in bounded memory, read only.

    with opened(tables, policy) as session:
        session.sql("SELECT count(*) FROM candidates")

Views: sources, segments, clips, manifest, score_<name>; and the table `candidates`, a row for each clip with its
decision. Every name and value from a dataset is quoted or bound; nothing of it is ever read as SQL.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vividhead.audit.tables import Tables
from vividhead.audit.verdicts import KINDS, Verdicts, revoked_rows, verdicts
from vividhead.errors import UsageError
from vividhead.policy import Policy
from vividhead.revoked import CODE as REVOKED

if TYPE_CHECKING:
    import duckdb

    Session: TypeAlias = duckdb.DuckDBPyConnection

MEMORY_MB = 2000
"""DuckDB's own limit; what needs more is spilled to a temporary folder."""

FIRST_BROKEN = "coalesce(list_filter(reasons, lambda r: NOT ends_with(r.code, ':skipped'))[1], reasons[1])"
"""The first rule that a clip broke; those only skipped because of it are passed over, as in the account."""

_JUDGED = f"SELECT clip_id, kept, failure, {FIRST_BROKEN} AS reason FROM decisions"  # noqa: S608
_CANDIDATES = """
    CREATE TABLE candidates AS
    SELECT c.clip_id, c.nth_clip, c.source_id, c.segment_id, c.start_frame, c.end_frame, c.duration_s,
        j.kept AND j.failure IS NULL AND m.clip_id IS NOT NULL AS packed, j.kept, j.failure,
        j.reason.code AS first, j.reason.value AS value, j.reason.limit AS broken_limit
    FROM clips c JOIN judged j USING (clip_id) LEFT JOIN (SELECT clip_id FROM manifest) m USING (clip_id)
"""


@contextlib.contextmanager
def opened(tables: Tables, policy: Policy | None = None) -> "Iterator[Session]":
    """A session over the dataset, its clips as judged by `policy`, or by the dataset's own decisions.

    Raises UsageError without DuckDB, DatasetError where a table is missing or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="vividhead-sql-") as scratch:
        session = connected(scratch)
        try:
            for name in ("sources", "segments"):
                add_view(session, tables, name, name)
            add_view(session, tables, "clips", "clips", nth="nth_clip")
            if tables.has("manifest"):
                add_view(session, tables, "manifest", "manifest")
            else:
                session.execute("CREATE VIEW manifest AS SELECT clip_id FROM clips WHERE false")
            for score in tables.names("measurements"):
                add_view(session, tables, f"score_{score}", f"measurements/{score}")
            if policy is None:
                add_view(session, tables, "decisions", f"decisions/{tables.digest}")
                session.execute(f"CREATE VIEW judged AS {_JUDGED}")
            else:
                session.register("judged", judged_by(tables, policy))
            session.execute(_CANDIDATES)
            yield session
        finally:
            session.close()


def connected(scratch: str, memory_mb: int = MEMORY_MB) -> "Session":
    """An empty session in memory that spills to the folder `scratch`."""
    try:
        import duckdb
    except ImportError as fault:
        raise UsageError("this needs DuckDB: pip install 'vividhead[sql]'") from fault
    settings: dict[str, Any] = {
        "memory_limit": f"{memory_mb}MB", "threads": 2, "temp_directory": scratch, "preserve_insertion_order": False,
        "autoinstall_known_extensions": False, "autoload_known_extensions": False,
    }  # fmt: skip
    session = duckdb.connect(config=settings)
    session.execute("SET enable_progress_bar = false")  # it would draw on the terminal
    return session


def add_view(session: "Session", tables: Tables, name: str, table: str, nth: str = "") -> None:
    """A table of the dataset under a name: read when asked, whole from an object store. `nth` is to number its rows."""
    tables.schema(table)  # says what is wrong with it
    if tables.folder is None:
        rows = tables.read(table)
        session.register(name, rows.append_column(nth, pa.array(np.arange(len(rows)))) if nth else rows)
        return
    path = text(str(tables.folder / tables.place(table)))
    numbers = f"SELECT * EXCLUDE (file_row_number), file_row_number AS {quoted(nth)} " if nth else ""
    options = f"hive_partitioning = false, file_row_number = {'true' if nth else 'false'}"
    session.execute(f"CREATE VIEW {quoted(name)} AS {numbers}FROM read_parquet({path}, {options})")


def judged_by(tables: Tables, policy: Policy) -> pa.Table:
    """What another policy says: kept, and the first rule broken. Its values are not looked up."""
    clip_ids = tables.read("clips", ["clip_id"])["clip_id"]
    (found,) = verdicts(tables, [policy], clip_ids, revoked_rows(tables, clip_ids))
    codes = pa.array([*(f"{rule.id}:{kind}" for rule in policy.rules for kind in KINDS), REVOKED])
    first_N, passed_N = _first_broken(found), found.passed_N
    first_N[list(found.revoked)] = len(codes) - 1
    code = codes.take(pa.array(first_N, mask=passed_N))
    nothing = pa.nulls(len(code), pa.float64())
    reason = pa.StructArray.from_arrays([code, nothing, nothing], ["code", "value", "limit"])
    failure = pa.nulls(len(code), pa.string())
    return pa.table({"clip_id": clip_ids, "kept": passed_N, "failure": failure, "reason": reason})


def _first_broken(found: Verdicts) -> NDArray[np.int64]:
    """For each clip the number of rule and kind of its first broken rule, one known before those only skipped."""
    known_RN = found.known_broken_RN
    rule_N = np.where(known_RN.any(axis=0), known_RN.argmax(axis=0), (found.kinds_RN != 0).argmax(axis=0))
    kind_N = np.take_along_axis(found.kinds_RN, rule_N[None], axis=0)[0]
    return np.asarray(rule_N * len(KINDS) + kind_N, np.int64)


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"
