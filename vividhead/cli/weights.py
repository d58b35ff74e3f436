"""The verb `weights`: third-party model files."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.terminal import show

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs


def add_weights(verbs: "Verbs") -> None:
    """Add `vividhead weights`."""
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

    show(json.dumps(listing(asked.dir), indent=1) if asked.json else "\n".join(table(asked.dir)))
    return 0


def _weights_fetch(asked: argparse.Namespace) -> int:
    from vividhead.weights.fetch import fetch
    from vividhead.weights.report import Meter

    meter = Meter(sys.stderr)
    for folder in fetch(asked.name, asked.to, asked.source, asked.accept_licence, meter.say, meter):
        show(str(folder))
    return 0


def _weights_verify(asked: argparse.Namespace) -> int:
    from vividhead.weights.verify import verify

    findings = verify(asked.name, asked.dir)
    for finding in findings:
        show(str(finding))
    return int(any(finding.state in ("missing", "wrong") for finding in findings))
