"""The verb `bench`: what things cost."""

import argparse
import json
from typing import TYPE_CHECKING

from vividhead.cli.flashhead import chosen_model, model_options
from vividhead.cli.terminal import say, show
from vividhead.errors import UsageError

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs


def add_bench(verbs: "Verbs") -> None:
    """Add `vividhead bench`."""
    verb = verbs.add_parser(
        "bench", help="what curation and generation cost, against the floor of this machine",
        description="Measure on this machine, each figure against a floor that is measured in the same run.",
    )  # fmt: skip
    what = verb.add_subparsers(title="benchmarks", metavar="WHAT", required=True)
    curate = what.add_parser("curate", help="the stages of curation")
    curate.add_argument("footage", help="a folder, file, glob or source list")
    curate.add_argument("--filters", default="talking-head", help="a shipped policy or a path")
    curate.add_argument("--minutes", type=float, help="loop each file to this length first")
    curate.add_argument("--json", action="store_true", help="figures for scripts")
    curate.set_defaults(verb=_bench_curate)
    runners = what.add_parser("runners", help="the whole job on Ray against the local runner")
    runners.add_argument("footage", help="a folder, file, glob or source list; ten minutes of footage or more")
    runners.add_argument("--workers", type=int, default=2, help="units at a time (default: 2)")
    runners.add_argument("--minutes", type=float, help="loop each file to this length first")
    runners.set_defaults(verb=_bench_runners)
    generate = what.add_parser("generate", help="the streaming generator: FPS, latency, phases, streams")
    model_options(generate)
    generate.add_argument("--chunks", type=int, default=20, help="chunks timed in each part (default: 20)")
    generate.add_argument("--json", action="store_true", help="figures for scripts")
    generate.set_defaults(verb=_bench_generate)


def _bench_curate(asked: argparse.Namespace) -> int:
    from vividhead.bench import bench_curate, table

    _check_minutes(asked.minutes)
    figures = bench_curate(asked.footage, asked.filters, asked.minutes)
    show(json.dumps(figures, indent=1) if asked.json else table(figures))
    return 0


def _check_minutes(minutes: float | None) -> None:
    if minutes is not None and minutes <= 0:
        raise UsageError(f"--minutes {minutes:g}: more than 0 is needed, or leave it out")


def _bench_runners(asked: argparse.Namespace) -> int:
    from vividhead.bench import bench_runners

    _check_minutes(asked.minutes)
    show(json.dumps(bench_runners(asked.footage, asked.workers, asked.minutes), indent=1))
    return 0


def _bench_generate(asked: argparse.Namespace) -> int:
    if asked.chunks < 1:
        raise UsageError(f"--chunks {asked.chunks}: 1 or more")
    from vividhead.flashhead.generate.bench import bench_generate, table

    figures = bench_generate(chosen_model(asked), asked.chunks, lambda line: say(f"measuring: {line}"))
    show(json.dumps(figures, indent=1) if asked.json else table(figures))
    return 0
