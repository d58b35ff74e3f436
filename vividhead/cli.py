"""The command line: one thin function for each verb, imports inside it, so that `--help` answers at once.

Exit codes: 0 done (footage that failed is in the account), 1 something could not be done, 2 the command line or a
settings file is wrong, 3 the dataset folder is the wrong one or in use, 4 a file cannot be used, 5 the output cannot
be written, 130 interrupted (run the same command again to go on).
"""

import argparse
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vividhead import __version__
from vividhead.errors import StorageError, UsageError, VividHeadError
from vividhead.plain import utf8

Verb = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code; a user's mistake is one or more lines, never a traceback."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if not hasattr(asked, "verb"):
        parser.print_help()
        return 2
    signal.signal(signal.SIGTERM, _interrupted)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names and units that the terminal's encoding lacks
    try:
        code: int = asked.verb(asked)
        sys.stdout.flush()
        return code
    except VividHeadError as fault:
        for line in str(fault).splitlines():
            _say(f"vividhead: {line}")
        return fault.exit_code
    except KeyboardInterrupt:
        _say("vividhead: interrupted; what is done is kept, run the same command again to go on")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as fault:
        _say(f"vividhead: {fault.filename or 'standard output'}: {fault.strerror or fault}")
        return StorageError.exit_code


def _interrupted(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(utf8(text), file=sys.stderr)  # noqa: T201 - the command line is the one place that prints


def _show(text: str) -> None:
    print(utf8(text))  # noqa: T201 - the command line is the one place that prints


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vividhead",
        description="Raw video in, a talking-head training set out that can account for every second.",
        epilog=__doc__.split("\n\n", 1)[1],
    )
    parser.add_argument("--version", action="version", version=f"vividhead {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    _add_curate(verbs)
    _add_demo(verbs)
    _add_status(verbs)
    _add_filters(verbs)
    _add_reproduce(verbs)
    _add_bench(verbs)
    _add_weights(verbs)
    return parser


Verbs = argparse._SubParsersAction  # argparse offers no public name for it


def _run_options(verb: argparse.ArgumentParser) -> None:
    where = "where units run (default: ray, started on this machine)"
    verb.add_argument("--on", choices=("ray", "local"), default="ray", help=where)
    verb.add_argument("--address", help="an existing Ray cluster, e.g. head:6379 or auto")
    verb.add_argument("--workers", type=int, help="units at a time on this machine (default: its cores)")
    verb.add_argument("--quiet", action="store_true", help="no progress on standard error")


def _add_curate(verbs: "Verbs[argparse.ArgumentParser]") -> None:
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
    _run_options(verb)
    verb.set_defaults(verb=_curate)


def _curate(asked: argparse.Namespace) -> int:
    from vividhead.main_job import curate
    from vividhead.progress import Progress

    progress = Progress() if asked.quiet else Progress.shown(sys.stderr)
    if len(asked.footage) > 1:
        raise UsageError(f"one footage argument is taken, not {len(asked.footage)}; quote a pattern: 'footage/*.mp4'")
    curate(
        asked.footage[0], asked.out, pipeline=asked.pipeline, filters=asked.filters, on=asked.on,
        workers=asked.workers, address=asked.address, progress=progress,
        forget_missing=asked.forget_missing, retry_failed=asked.retry_failed,
    )  # fmt: skip
    code = _print_account(asked.out, asked.json)
    if not asked.json:
        _show(f"\n{asked.out}/manifest.parquet has a row for each kept clip, {asked.out}/shards their media")
    return code


def _print_account(dataset: str, as_json: bool) -> int:
    from vividhead.audit.account import account, funnel
    from vividhead.view import open_dataset

    found = account(open_dataset(dataset))
    _show(json.dumps(found.plain(), indent=1) if as_json else funnel(found))
    return 0


def _add_demo(verbs: "Verbs[argparse.ArgumentParser]") -> None:
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
        _show(line)
    return 0


def _add_status(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser(
        "status", help="where every second of a dataset's footage went",
        description="Add up a dataset from its tables: kept, rejected, no candidate, duplicate, failed.",
    )  # fmt: skip
    verb.add_argument("dataset")
    verb.add_argument("--json", action="store_true", help="every source, clip and reason, for scripts")
    verb.set_defaults(verb=lambda asked: _print_account(asked.dataset, asked.json))


def _add_filters(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser(
        "scores", help="every score: its fields, units, meaning and cost",
        description="List what is measured: the fields that a filters file may put limits on.",
    )  # fmt: skip
    verb.set_defaults(verb=_scores)


def _scores(asked: argparse.Namespace) -> int:
    from vividhead.score import score_class, score_names

    for name in score_names():
        cls = score_class(name)
        _show(f"{name}  (version {cls.version}, about {cls.cost_ms_per_s:g} ms a second of clip)")
        for field, about in cls.fields.items():
            _show(f"    {name}.{field}  [{about.unit or 'none'}]  {about.meaning}")
    return 0


def _add_reproduce(verbs: "Verbs[argparse.ArgumentParser]") -> None:
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

    _show(forget(Path(asked.dataset), asked.unit) if asked.forget else reproduce(Path(asked.dataset), asked.unit))
    return 0


def _add_bench(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser(
        "bench", help="what curation costs, in plain decodes of the same footage",
        description="Measure each stage's CPU seconds per second of footage against one plain decode, in one run.",
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


def _bench_curate(asked: argparse.Namespace) -> int:
    from vividhead.bench import bench_curate, table

    _check_minutes(asked.minutes)
    figures = bench_curate(asked.footage, asked.filters, asked.minutes)
    _show(json.dumps(figures, indent=1) if asked.json else table(figures))
    return 0


def _check_minutes(minutes: float | None) -> None:
    if minutes is not None and minutes <= 0:
        raise UsageError(f"--minutes {minutes:g}: more than 0 is needed, or leave it out")


def _bench_runners(asked: argparse.Namespace) -> int:
    from vividhead.bench import bench_runners

    _check_minutes(asked.minutes)
    _show(json.dumps(bench_runners(asked.footage, asked.workers, asked.minutes), indent=1))
    return 0


def _add_weights(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser(
        "weights", help="third-party model files: what there is, fetch, verify",
        description="Model files of others, under their own licences; fetched only by this command, never silently.",
    )  # fmt: skip
    what = verb.add_subparsers(title="commands", metavar="COMMAND", required=True)
    where = "the weights folder or checkpoint (default: VIVIDHEAD_WEIGHTS, or ~/.cache/vividhead/weights)"
    listed = what.add_parser("list", help="every known model: present or not, size, licence, what needs it")
    listed.add_argument("--dir", type=Path, help=where)
    listed.add_argument("--json", action="store_true", help="with every file, address and sha256, for scripts")
    listed.set_defaults(verb=_weights_list)
    fetched = what.add_parser("fetch", help="download models; run again to go on where it was cut")
    fetched.add_argument("name", nargs="+", help="as `vividhead weights list` names them")
    fetched.add_argument("--to", type=Path, metavar="DIR", help=where)
    fetched.add_argument("--from", dest="source", metavar="SOURCE", help="a local folder or address with the files")
    agree = "agree to licences that restrict use or are not stated"
    fetched.add_argument("--accept-licence", action="store_true", help=agree)
    fetched.set_defaults(verb=_weights_fetch)
    verified = what.add_parser("verify", help="hold files against published digests; exit code 1 if any fails")
    verified.add_argument("name", nargs="?", help="one model (default: all that are there)")
    verified.add_argument("--dir", type=Path, help=where)
    verified.set_defaults(verb=_weights_verify)


def _weights_list(asked: argparse.Namespace) -> int:
    from vividhead.weights.report import listing, table

    _show(json.dumps(listing(asked.dir), indent=1) if asked.json else "\n".join(table(asked.dir)))
    return 0


def _weights_fetch(asked: argparse.Namespace) -> int:
    from vividhead.weights.fetch import fetch
    from vividhead.weights.report import Meter

    meter = Meter(sys.stderr)
    for folder in fetch(asked.name, asked.to, asked.source, asked.accept_licence, meter.say, meter):
        _show(str(folder))
    return 0


def _weights_verify(asked: argparse.Namespace) -> int:
    from vividhead.weights.verify import verify

    findings = verify(asked.name, asked.dir)
    for finding in findings:
        _show(str(finding))
    return int(any(finding.state in ("missing", "wrong") for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
