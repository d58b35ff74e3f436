"""Verbs of curation: curate, demo, status, scores, reproduce."""

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.terminal import say, show
from vividhead.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs


def _run_options(verb: argparse.ArgumentParser) -> None:
    where = "where units run (default: ray, started on this machine)"
    verb.add_argument("--on", choices=("ray", "local"), default="ray", help=where)
    verb.add_argument("--address", help="an existing Ray cluster, e.g. head:6379 or auto")
    verb.add_argument("--workers", type=int, help="units at a time on this machine (default: its cores)")
    verb.add_argument("--quiet", action="store_true", help="no progress on standard error")


def add_curate(verbs: "Verbs") -> None:
    """Add `vividhead curate`."""
    verb = verbs.add_parser(
        "curate", help="footage in, dataset out; run again to resume or extend",
        description="Measure footage, judge it by a filters file, and write shards and manifests of what is kept.",
    )  # fmt: skip
    footage = "a folder, a file, a quoted glob, or a source list (.csv .jsonl .parquet with `uri`)"
    verb.add_argument("footage", nargs="+", help=footage)
    verb.add_argument("--out", required=True, help="the dataset folder")
    verb.add_argument("--pipeline", default="talking-head", help="a shipped pipeline or a path (default: talking-head)")
    verb.add_argument("--filters", help="a shipped policy or a path (default: the pipeline's)")
    verb.add_argument("--json", action="store_true", help="print the account as JSON")
    gone = "drop the clips of footage that is not there any more (else that is refused)"
    verb.add_argument("--forget-missing", action="store_true", help=gone)
    verb.add_argument("--retry-failed", action="store_true", help="try quarantined units anew")
    verb.add_argument("--log", type=Path, metavar="FILE", help="append a line of JSON for each attempt at a unit")
    port = "answer Prometheus at http://127.0.0.1:PORT/metrics while at work (with Ray, its own exporter has them too)"
    verb.add_argument("--metrics-port", type=int, metavar="PORT", help=port)
    _run_options(verb)
    verb.set_defaults(verb=_curate)


def _curate(asked: argparse.Namespace) -> int:
    from vividhead.main_job import curate
    from vividhead.metrics import Meter, served
    from vividhead.progress import Progress

    progress = Progress() if asked.quiet else Progress.shown(sys.stderr)
    if len(asked.footage) > 1:
        raise UsageError(f"one footage argument is taken, not {len(asked.footage)}; quote a pattern: 'footage/*.mp4'")
    judged_before = _decisions(Path(asked.out))
    with ExitStack() as closing:
        meter = Meter(progress, Path(asked.out), closing.enter_context(asked.log.open("a")) if asked.log else None)
        if asked.metrics_port is not None:
            closing.enter_context(served(meter, asked.metrics_port))
        curate(
            asked.footage[0], asked.out, pipeline=asked.pipeline, filters=asked.filters, on=asked.on,
            workers=asked.workers, address=asked.address, progress=meter,
            forget_missing=asked.forget_missing, retry_failed=asked.retry_failed,
        )  # fmt: skip
    if gone := judged_before - _decisions(Path(asked.out)):
        names = ", ".join(sorted(gone))
        say(f"decisions/{names} were of older measurements and are gone; `vividhead rejudge` makes new ones")
    code = _print_account(asked.out, asked.json)
    if not asked.json:
        show(f"\n{asked.out}/manifest.parquet has a row for each kept clip, {asked.out}/shards their media")
    return code


def _decisions(dataset: Path) -> set[str]:
    """Digests of the filters that clips of the dataset were judged by."""
    return {path.name for path in (dataset / "decisions").glob("*")}


def _print_account(dataset: str, as_json: bool) -> int:
    from vividhead.audit.account import account, funnel
    from vividhead.view import open_dataset

    found = account(open_dataset(dataset))
    show(json.dumps(found.plain(), indent=1) if as_json else funnel(found))
    return 0


def add_demo(verbs: "Verbs") -> None:
    """Add `vividhead demo`."""
    verb = verbs.add_parser(
        "demo", help="make footage with known truth and curate it",
        description="Make about two minutes of synthetic talking heads, good and spoilt, and run the main job on them.",
    )  # fmt: skip
    verb.add_argument("out", help="a new folder; footage/ and dataset/ are made in it")
    _run_options(verb)
    verb.set_defaults(verb=_demo)


def _demo(asked: argparse.Namespace) -> int:
    from vividhead.demo import demo
    from vividhead.progress import Progress

    progress = Progress() if asked.quiet else Progress.shown(sys.stderr)
    for line in demo(Path(asked.out), on=asked.on, workers=asked.workers, address=asked.address, progress=progress):
        show(line)
    return 0


def add_status(verbs: "Verbs") -> None:
    """Add `vividhead status`."""
    verb = verbs.add_parser(
        "status", help="where every second of a dataset's footage went",
        description="Add up a dataset from its tables: kept, rejected, no candidate, duplicate, failed.",
    )  # fmt: skip
    verb.add_argument("dataset")
    verb.add_argument("--json", action="store_true", help="every source, clip and reason, for scripts")
    again = "while a run is at work: what it has committed, every so many seconds (default: 5); then the account"
    verb.add_argument("--watch", type=float, nargs="?", const=5.0, metavar="SECONDS", help=again)
    verb.set_defaults(verb=_status)


def _status(asked: argparse.Namespace) -> int:
    from vividhead.at_work import at_work, shown

    dataset = Path(asked.dataset)
    if asked.watch is not None:
        _watch(dataset, asked.watch)
    found = at_work(dataset)
    if found.has_begun and not (dataset / "manifest.parquet").is_file():
        raise DatasetError(
            f"{dataset} has no tables yet: {shown(found)}. "
            + ("Wait for it, with --watch" if found.holder else "Run the same `vividhead curate` again to go on")
        )
    code = _print_account(asked.dataset, asked.json)
    if not asked.json:
        _print_cost(dataset)
    return code


def _print_cost(dataset: Path) -> None:
    """Core-hours so far, and for each hour kept, where runs have noted them."""
    from vividhead.audit.account import account
    from vividhead.metrics import core_hours
    from vividhead.view import open_dataset

    spent_h = core_hours(dataset)
    if spent_h is not None:
        kept_h = account(open_dataset(dataset)).seconds()["kept"] / 3600
        show(f"spent {spent_h:.3g} core-hours" + (f", {spent_h / kept_h:.3g} for each hour kept" if kept_h else ""))


def _watch(dataset: Path, every_s: float) -> None:
    """A line every so often until nobody is at work."""
    import time

    from vividhead.at_work import at_work, shown

    if every_s <= 0:
        raise UsageError(f"--watch {every_s:g}: seconds, more than 0")
    found, seen_s = at_work(dataset), time.monotonic()
    say(shown(found))
    while found.holder is not None:
        time.sleep(every_s)
        before, found, before_s, seen_s = found, at_work(dataset), seen_s, time.monotonic()
        say(shown(found, before, seen_s - before_s))


def add_scores(verbs: "Verbs") -> None:
    """Add `vividhead scores`."""
    verb = verbs.add_parser(
        "scores", help="every score: its fields, units, meaning and cost",
        description="List what is measured: the fields that a filters file may put limits on.",
    )  # fmt: skip
    verb.set_defaults(verb=_scores)


def _scores(asked: argparse.Namespace) -> int:
    from vividhead.score import score_class, score_names

    for name in score_names():
        cls = score_class(name)
        needed = f", needs weights {cls.needs[0]}" if cls.needs else ""
        show(f"{name}  (version {cls.version}, about {cls.cost_ms_per_s:g} ms a second of clip{needed})")
        for field, about in cls.fields.items():
            show(f"    {name}.{field}  [{about.unit or 'none'}]  {about.meaning}")
    return 0


def add_reproduce(verbs: "Verbs") -> None:
    """Add `vividhead reproduce`."""
    verb = verbs.add_parser(
        "reproduce", help="run one quarantined unit again, in the foreground",
        description="Run a unit that failed in this very process, so that its error can be seen; nothing is committed.",
    )  # fmt: skip
    verb.add_argument("dataset")
    verb.add_argument("unit", help="<stage>/<key>, as the failure's detail names it")
    verb.add_argument("--forget", action="store_true", help="take the failure back instead: the next run tries it anew")
    verb.set_defaults(verb=_reproduce)


def _reproduce(asked: argparse.Namespace) -> int:
    from vividhead.reproduce import forget, reproduce

    show(forget(Path(asked.dataset), asked.unit) if asked.forget else reproduce(Path(asked.dataset), asked.unit))
    return 0
