"""Which kept clips to read: a condition and a policy, applied to the rows of manifest.parquet when training starts."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import UsageError
from vividhead.policy import judge, load_policy
from vividhead.records import Measurement
from vividhead.score import score_class, score_names

if TYPE_CHECKING:
    import pandas
    import pyarrow

    Where = str | Callable[[pandas.DataFrame], pandas.Series[bool]]


def chosen_rows(table: "pyarrow.Table", where: "Where | None", filters: str | None) -> "pyarrow.Table":
    """The rows of the manifest that both conditions hold for, in its order. Raises UsageError where there are none.

    `where` is a condition in DuckDB's SQL, or a function that takes the manifest as a pandas frame and returns one
    true or false for each row. `filters` is a shipped policy or the path of one; what a row does not know is
    unmeasured to it.
    """
    for what, condition, applied in (("where", where, _where), ("filters", filters, _filters)):
        if condition is None:
            continue
        before = len(table)
        table = table.filter(applied(table, condition))
        if before and not len(table):
            raise UsageError(f"{what}={_named(condition)} keeps none of {before} clips; loosen it")
    if not len(table):
        raise UsageError("the dataset holds no kept clip; `vividhead status DATASET` says why each was rejected")
    return table


def _named(condition: object) -> str:
    return repr(condition) if isinstance(condition, str) else str(getattr(condition, "__name__", condition))


def _where(table: "pyarrow.Table", condition: Any) -> NDArray[np.bool_]:
    if isinstance(condition, str):
        return _sql(table, condition)
    rows = table.to_pandas(maps_as_pydicts="strict")
    mask = np.asarray(condition(rows))
    if mask.dtype != np.bool_ or mask.shape != (len(rows),):
        raise UsageError(
            f"where={_named(condition)} must return true or false for each of {len(rows)} rows, not {mask.dtype} of "
            f"shape {mask.shape}"
        )
    return mask


def _sql(table: "pyarrow.Table", condition: str) -> NDArray[np.bool_]:
    try:
        import duckdb
    except ImportError as fault:
        raise UsageError(
            "where= as SQL needs DuckDB: pip install 'vividhead[sql]', or give a function of the pandas frame"
        ) from fault
    numbered = table.append_column("_row", [np.arange(len(table))])
    with duckdb.connect(config={"enable_external_access": False}) as session:
        session.execute("SET enable_progress_bar = false")  # it would draw on the terminal
        session.register("manifest", numbered)
        try:
            found = session.sql(f"SELECT _row FROM manifest WHERE ({condition}\n)").fetchnumpy()["_row"]  # noqa: S608
        except duckdb.Error as fault:
            said = str(fault).splitlines()[0]
            hint = 'names with a dot go in double quotes, as in "lip_sync.confidence" > 0.7'
            raise UsageError(f"where={condition!r} is no condition on the manifest: {said}; {hint}") from fault
    mask = np.zeros(len(table), np.bool_)
    mask[np.asarray(found, np.int64)] = True
    return mask


def _filters(table: "pyarrow.Table", name_or_path: Any) -> NDArray[np.bool_]:
    """Rows that the policy keeps. A clip in the manifest was measured whole; a null in it is a field not known."""
    held = set(table.column_names)
    fields = {name: [f for f in score_class(name).fields if f"{name}.{f}" in held] for name in score_names()}
    policy = load_policy(name_or_path, [name for name, there in fields.items() if there])
    used = sorted({rule.score for rule in policy.rules})
    columns = {f"{name}.{f}": table[f"{name}.{f}"].to_pylist() for name in used for f in fields[name]}

    def rows(at: int) -> dict[str, Measurement]:
        return {name: _row(name, {f: columns[f"{name}.{f}"][at] for f in fields[name]}) for name in used}

    return np.array([judge(policy, "", rows(at)).kept for at in range(len(table))], np.bool_)


def _row(score: str, values: dict[str, float | None]) -> Measurement:
    version = score_class(score).version
    return Measurement(clip_id="", score=score, version=version, fingerprint="", status="measured", values=values)


def check_columns(table: "pyarrow.Table", columns: Sequence[str]) -> None:
    """Raise UsageError for a column that the manifest does not have."""
    from vividhead.settings import instead

    for name in columns:
        if name not in table.column_names:
            raise UsageError(f"columns: the manifest has no {name!r}" + instead(name, table.column_names, "there are"))
