"""A dataset's tables as DuckDB sees them: sums over millions of rows in seconds, in bounded memory, read only.

    with opened(tables, policy) as session:
        session.sql("SELECT count(*) FROM candidates")

Views: sources (its rows numbered as `source`), segments, clips, manifest, score_<name>; and `candidates`, a row for
each clip with its decision (see the module of that name). Every name and value from a dataset is quoted or bound;
nothing of it is ever read as SQL.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from vividhead.audit.candidates import candidates
from vividhead.audit.tables import Tables
from vividhead.errors import UsageError
from vividhead.policy import Policy

if TYPE_CHECKING:
    import duckdb

    Session: TypeAlias = duckdb.DuckDBPyConnection

MEMORY_MB = 2000
"""DuckDB's own limit; what needs more is spilled to a temporary folder."""

FIRST_BROKEN = "coalesce(list_filter(reasons, lambda r: NOT ends_with(r.code, ':skipped'))[1], reasons[1])"
"""The first rule that a clip broke; those only skipped because of it are passed over, as in the account."""


@contextlib.contextmanager
def opened(tables: Tables, policy: Policy | None = None) -> "Iterator[Session]":
    """A session over the dataset, its clips as judged by `policy`, or by the dataset's own decisions.

    Raises UsageError without DuckDB, DatasetError where a table is missing or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="vividhead-sql-") as scratch:
        session = connected(scratch)
        try:
            add_view(session, tables, "sources", "sources", nth="source")
            add_view(session, tables, "segments", "segments")
            add_view(session, tables, "clips", "clips")
            if tables.has("manifest"):
                add_view(session, tables, "manifest", "manifest")
            else:
                session.execute("CREATE VIEW manifest AS SELECT clip_id FROM clips WHERE false")
            for score in tables.names("measurements"):
                add_view(session, tables, f"score_{score}", f"measurements/{score}")
            session.register("candidates", candidates(tables, policy))
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


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"
