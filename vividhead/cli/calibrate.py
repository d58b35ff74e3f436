"""The verb `calibrate`: what scores are worth, by clips spoilt on purpose."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.terminal import show

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs


def add_calibrate(verbs: "Verbs") -> None:
    """Add `vividhead calibrate`."""
    verb = verbs.add_parser(
        "calibrate", help="what scores and limits are worth, by good clips spoilt by known amounts",
        description="Spoil good clips by known amounts, measure them on curation's own path, and report for each score "
        "its error, AUC, and the limit for a wanted precision. Writes calibration.json, .html and .md into DIR; "
        "interrupted, the same command goes on.",
    )  # fmt: skip
    verb.add_argument("where", nargs="+", metavar="DATASET|FOLDER", help="datasets with kept clips, or good footage")
    verb.add_argument("--out", type=Path, default=Path("calibration"), metavar="DIR", help="default: calibration/")
    verb.add_argument("--scores", default="", help="names of scores, by commas (default: the pipeline's)")
    verb.add_argument("--perturbations", default="", help="names of perturbations, by commas (default: all)")
    verb.add_argument("--clips", type=int, default=24, help="at most so many clips of each place (default: 24)")
    few = "at most so many in all have their pictures spoilt, too (default: 8)"
    verb.add_argument("--picture-clips", type=int, default=8, help=few)
    verb.add_argument("--seconds", type=float, default=5.0, help="longest window of a clip (default: 5)")
    verb.add_argument("--precision", type=float, default=0.98, help="part of kept clips that must be good (0.98)")
    verb.add_argument("--filters", default="talking-head", help="the shipped limits to compare with, or a path")
    verb.add_argument("--pipeline", default="talking-head", help="the options of curation, shipped or a path")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--workers", type=int, help="clips at a time (default: one for each core)")
    verb.add_argument("--json", action="store_true", help="print the report as JSON")
    verb.set_defaults(verb=_calibrate)


def _calibrate(asked: argparse.Namespace) -> int:
    from vividhead.calibrate import PAGE, Options, calibrate
    from vividhead.calibrate.text import summary_of
    from vividhead.live_line import LiveLine
    from vividhead.plain import to_plain

    options = Options(
        scores=_names(asked.scores), families=_names(asked.perturbations), clips=asked.clips,
        picture_clips=asked.picture_clips, seconds=asked.seconds,
        precision=asked.precision, filters=asked.filters, pipeline=asked.pipeline, seed=asked.seed,
        workers=asked.workers, command=shlex.join(["vividhead", *sys.argv[1:]]),
    )  # fmt: skip
    with LiveLine(sys.stderr) as line:
        found = calibrate(
            asked.where, asked.out, options, lambda what, done, total: line(f"{what}: {done} of {total}", done == total)
        )
    show(json.dumps(to_plain(found), indent=1, ensure_ascii=False) if asked.json else summary_of(found))
    if not asked.json:
        show(f"{asked.out / PAGE} has the curves")
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
