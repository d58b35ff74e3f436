"""`vividhead report`: one HTML page about a dataset, made from its tables."""

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from vividhead.audit.clips import own_policy
from vividhead.audit.flow import flow_of
from vividhead.audit.report.figures import attributes, durations, histograms, kept_of, models
from vividhead.audit.report.pace import pace_of
from vividhead.audit.report.page import Figures, page_of
from vividhead.audit.report.stills import kept_stills, rejected_stills
from vividhead.audit.sql import opened
from vividhead.audit.tables import Tables
from vividhead.ledger import write_atomically
from vividhead.policy import load_policy

__all__ = ["report"]


def report(dataset: str | Path, out: Path, *, filters: str | None = None, hourly_cost: float | None = None) -> Path:
    """Write the page to `out`. `filters` judges anew, without changing the dataset; `hourly_cost` prices the run.

    Raises a VividHeadError that says what is wrong.
    """
    tables = Tables(dataset)
    scores = tables.names("measurements")
    policy = own_policy(tables) if filters is None else load_policy(filters, scores)
    with (
        ThreadPoolExecutor(1) as beside,  # columns are read and counted beside DuckDB's sums
        opened(tables, None if filters is None else policy) as session,
    ):
        stills = beside.submit(kept_stills, tables, policy)
        drawn = beside.submit(histograms, tables, policy, *kept_of(session))
        flow = flow_of(session)
        counts = session.execute("SELECT count(*), count(*) FILTER (kept) FROM candidates").fetchone()
        assert counts is not None
        figures = Figures(
            where=tables.where, run=tables.run, policy=policy, is_own_policy=policy.digest == tables.digest,
            n_clips=counts[0], n_kept=counts[1], flow=flow, histograms=drawn.result(), durations=durations(session),
            attributes=attributes(session), pace=pace_of(tables.folder, flow.footage_s), hourly_cost=hourly_cost,
            models=models(session, scores), rejected=rejected_stills(session, tables, policy),
            best=stills.result()[0], worst=stills.result()[1], vividhead=version("vividhead"),
        )  # fmt: skip
    write_atomically(out, page_of(figures).encode(errors="backslashreplace"))
    return out
