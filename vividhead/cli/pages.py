"""Verbs that make something to look at out of a dataset: report, inspect, split, card."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.terminal import show

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs


def add_report(verbs: "Verbs") -> None:
    """Add `vividhead report`."""
    verb = verbs.add_parser(
        "report", help="one HTML page: where the hours went, scores and limits, skew, cost, examples",
        description="Write one HTML page about a dataset, made from its tables; it opens offline. "
        "Stills of rejected clips are cut from the footage where it is at hand.",
    )  # fmt: skip
    verb.add_argument("dataset")
    verb.add_argument("--out", help="the file to write (default: DATASET/report.html)")
    verb.add_argument("--filters", help="judge by these filters instead, without changing the dataset")
    verb.add_argument("--hourly-cost", type=float, help="what an hour of the machines costs, for a price per kept hour")
    verb.set_defaults(verb=_report)


def _report(asked: argparse.Namespace) -> int:
    from vividhead.audit.report import report

    out = Path(asked.out) if asked.out else Path(asked.dataset) / "report.html"
    show(str(report(asked.dataset, out, filters=asked.filters, hourly_cost=asked.hourly_cost)))
    return 0
