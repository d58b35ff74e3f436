"""The command line: one thin function for each verb, imports inside it, so that `--help` answers at once.

Exit codes: 0 done (footage that failed is in the account), 1 something could not be done, 2 the command line or a
settings file is wrong, 3 the dataset folder is the wrong one or in use, 4 a file cannot be used, 5 the output cannot
be written, 130 interrupted (run the same command again to go on).
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from vividhead import __version__
from vividhead.cli import audit, bench, calibrate, curation, flashhead, latents, pages, plan, serve, weights
from vividhead.cli.terminal import say
from vividhead.errors import StorageError, VividHeadError

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
            say(f"vividhead: {line}")
        return fault.exit_code
    except KeyboardInterrupt:
        say("vividhead: interrupted; what is done is kept, run the same command again to go on")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as fault:
        say(f"vividhead: {fault.filename or 'standard output'}: {fault.strerror or fault}")
        return StorageError.exit_code


def _interrupted(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vividhead",
        description="Raw video in, a talking-head training set out that can account for every second.",
        epilog=__doc__.split("\n\n", 1)[1],
    )
    parser.add_argument("--version", action="version", version=f"vividhead {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    curation.add_curate(verbs)
    curation.add_demo(verbs)
    plan.add_plan(verbs)
    curation.add_status(verbs)
    curation.add_scores(verbs)
    curation.add_reproduce(verbs)
    bench.add_bench(verbs)
    latents.add_latents(verbs)
    flashhead.add_train(verbs)
    flashhead.add_generate(verbs)
    flashhead.add_evaluate(verbs)
    audit.add_verify(verbs)
    audit.add_explain(verbs)
    audit.add_rejudge(verbs)
    audit.add_pack(verbs)
    audit.add_tune(verbs)
    audit.add_revoke(verbs)
    audit.add_repair(verbs)
    audit.add_diff(verbs)
    calibrate.add_calibrate(verbs)
    pages.add_report(verbs)
    pages.add_split(verbs)
    pages.add_card(verbs)
    pages.add_inspect(verbs)
    serve.add_serve(verbs)
    serve.add_detect(verbs)
    weights.add_weights(verbs)
    return parser
