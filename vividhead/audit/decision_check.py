"""Are the stored decisions those that the stored filters make of the stored measurements?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.clips import own_policy, stored_policies
from vividhead.audit.decisions import REASONS_READ, Failures, decision_rows
from vividhead.audit.findings import Findings
from vividhead.audit.tables import Tables
from vividhead.audit.verdicts import ROWS_AT_ONCE, fields_of, revoked_rows, score_parts, verdicts_of
from vividhead.errors import ConfigError, DatasetError
from vividhead.policy import Policy


def check_decisions(tables: Tables, found: Findings, readable: set[str]) -> None:
    """Judge anew by the filters in run.toml, and by those that a rejudging left beside its decisions, and compare."""
    try:
        policies = [own_policy(tables), *stored_policies(tables)]
    except ConfigError as fault:
        found.add("decision", "run.toml", None, f"its filters cannot be read any more: {fault}")
        return
    if policies[0].digest != tables.digest:
        found.add(
            "decision", "run.toml", None, f"the digest of its filters is {policies[0].digest}, not {tables.digest}"
        )
    for policy in {policy.digest: policy for policy in policies}.values():
        if f"decisions/{policy.digest}" in readable:
            _compare(tables, found, policy)


def _compare(tables: Tables, found: Findings, policy: Policy) -> None:
    name = f"decisions/{policy.digest}"
    stored = tables.read(name, ["clip_id", "kept", "failure", "failure_detail"])
    clip_ids = tables.read("clips", ["clip_id"])["clip_id"]
    if not stored["clip_id"].equals(clip_ids):
        return  # the keys' check has named the rows
    failures = Failures(stored["failure"].combine_chunks(), stored["failure_detail"].combine_chunks())
    out = revoked_rows(tables, clip_ids)
    reasons = tables.parts(name, ["reasons"], ROWS_AT_ONCE)
    found.looked("decisions", len(clip_ids))
    try:
        for rows, columns in score_parts(tables, fields_of([policy]), clip_ids, REASONS_READ):
            ours = next(reasons)["reasons"]
            gone = {row - rows.start: receipt for row, receipt in out.items() if rows.start <= row < rows.stop}
            anew = decision_rows(clip_ids[rows], verdicts_of(policy, columns, gone), columns, failures.part(rows))
            kept = stored["kept"][rows]
            wrong = compute.not_equal(anew["kept"], kept).to_numpy() | differing(ours, anew["reasons"])
            if wrong.any():
                _name(found, tables.place(name), wrong, rows.start, (kept, ours), anew)
    except DatasetError as fault:
        found.add("decision", tables.place(name), None, f"cannot be judged anew: {fault}")


def differing(stored: pa.ChunkedArray, anew: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Clips whose lists of reasons are not the same."""
    one, other = (column.combine_chunks() for column in (stored, anew))
    lengths = [compute.fill_null(compute.list_value_length(column), 0).to_numpy() for column in (one, other)]
    wrong = np.asarray(lengths[0] != lengths[1])
    alike = ~wrong
    parts = [_flat(column, alike) for column in (one, other)]
    owner = np.repeat(np.flatnonzero(alike), lengths[0][alike])
    for name in ("code", "field", "value", "limit", "detail"):
        left, right = (_plain(compute.struct_field(part, name)) for part in parts)
        same = compute.fill_null(compute.equal(left, right), False).to_numpy(zero_copy_only=False)
        both_null = left.is_null().to_numpy(zero_copy_only=False) & right.is_null().to_numpy(zero_copy_only=False)
        wrong[owner[~(same | both_null)]] = True
    return wrong


def _flat(lists: pa.ListArray, wanted: NDArray[np.bool_]) -> pa.StructArray:
    return (lists if wanted.all() else lists.filter(pa.array(wanted))).flatten()


def _plain(texts: pa.Array) -> pa.Array:
    return texts.dictionary_decode() if pa.types.is_dictionary(texts.type) else texts


def _name(
    found: Findings, path: str, wrong: Any, begin: int, stored: tuple[pa.ChunkedArray, pa.ChunkedArray], anew: pa.Table
) -> None:
    mask = np.zeros(begin + len(wrong), np.bool_)
    mask[begin:] = wrong

    def told(row: int) -> str:
        kept, reasons = (column[row - begin].as_py() for column in stored)
        should = anew["kept"][row - begin].as_py(), anew["reasons"][row - begin].as_py()
        return f"stored {_said(kept, reasons)}; the measurements give {_said(*should)}"

    found.rows("decision", path, mask, told)


def _said(kept: bool, reasons: list[Mapping[str, Any]] | None) -> str:
    named = [
        f"{r['code']} {r['value']} {r['limit']}" if r["value"] is not None else str(r["code"]) for r in reasons or ()
    ]
    known = [text for text in named if not text.endswith(":skipped")]
    return ("kept" if kept else "rejected") + (f" ({', '.join(known or named)})" if named else "")
