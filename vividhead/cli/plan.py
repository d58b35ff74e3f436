"""The verb `plan`."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.terminal import show
from vividhead.errors import UsageError

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs


def add_plan(verbs: "Verbs") -> None:
    """Add `vividhead plan`."""
    verb = verbs.add_parser(
        "plan", help="what a whole run would cost and yield, from a sample; afterwards, how true that was",
        description="Curate a sample of the footage in a scratch folder, and forecast hours kept, core-hours, disk and "
        "wall time with intervals, and the cheapest order of the scores. With --fact, hold a plan against a run.",
    )  # fmt: skip
    verb.add_argument("footage", help="as for curate; with --fact, a plan's .json")
    verb.add_argument("--sample", default="1%", help="share of the seconds to try (default: 1%%); 5 files at least")
    verb.add_argument("--pipeline", default="talking-head", help="a shipped pipeline or a path (default: talking-head)")
    verb.add_argument("--filters", help="a shipped policy or a path (default: the pipeline's)")
    verb.add_argument("--nodes", type=int, default=1, help="of the cluster that the run would have (default: 1)")
    verb.add_argument("--cores", type=int, help="of each node (default: this machine's)")
    verb.add_argument("--out", type=Path, help="write the plan here as JSON, for --fact")
    verb.add_argument("--fact", type=Path, metavar="DATASET", help="compare the plan with this dataset")
    verb.add_argument("--json", action="store_true", help="print JSON")
    verb.add_argument("--quiet", action="store_true", help="no progress on standard error")
    verb.set_defaults(verb=_plan)


def _plan(asked: argparse.Namespace) -> int:
    from vividhead.plain import to_plain
    from vividhead.plan import plan, read, written
    from vividhead.plan.fact import compared
    from vividhead.plan.forecast import Cluster
    from vividhead.plan.text import beside_fact, shown
    from vividhead.progress import Progress

    if asked.fact is not None:
        lines = compared(read(Path(asked.footage)), asked.fact)
        show(json.dumps(to_plain(lines), indent=1) if asked.json else beside_fact(lines))
        return 0
    cores = asked.cores if asked.cores is not None else os.cpu_count() or 1
    if asked.nodes < 1 or cores < 1:
        raise UsageError(f"--nodes {asked.nodes} --cores {cores}: at least 1 of each")
    progress = Progress() if asked.quiet else Progress.shown(sys.stderr)
    found = plan(
        asked.footage, share=_share(asked.sample), cluster=Cluster(nodes=asked.nodes, cores=cores),
        pipeline=asked.pipeline, filters=asked.filters, progress=progress,
    )  # fmt: skip
    if asked.out is not None:
        written(found, asked.out)
    show(json.dumps(to_plain(found), indent=1) if asked.json else shown(found))
    return 0


def _share(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as fault:
        raise UsageError(f"--sample {text}: a share such as 1% or 0.01") from fault
