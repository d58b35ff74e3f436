"""Verbs that make something to look at out of a dataset: report, inspect, split, card."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.terminal import say, show
from vividhead.errors import UsageError

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

    if asked.out is None and "://" in asked.dataset:
        raise UsageError(f"{asked.dataset} is only read: say with --out where the page is to be written")
    out = Path(asked.out) if asked.out else Path(asked.dataset) / "report.html"
    show(str(report(asked.dataset, out, filters=asked.filters, hourly_cost=asked.hourly_cost)))
    return 0


def add_split(verbs: "Verbs") -> None:
    """Add `vividhead split`."""
    verb = verbs.add_parser(
        "split", help="train, val and test that share no source, near-duplicate, face or voice",
        description="Write DATASET/splits/: kept clips of one source, of near-duplicate picture or sound, or of one "
        "face are never parted. Run again when footage was added: what was assigned stays where it is.",
    )  # fmt: skip
    verb.add_argument("dataset")
    ratios = "shares of train, val, test (default: those of the earlier split, else 0.9,0.05,0.05)"
    verb.add_argument("--ratios", help=ratios)
    verb.add_argument("--seed", type=int, help="draws the parts (default: that of the earlier split, else 0)")
    verb.add_argument("--face-distance", type=float, default=0.5, help="L2 up to which two clips show one person (0.5)")
    same = "an attribute of the source list whose equal values stay together, e.g. speaker; may be repeated"
    verb.add_argument("--same", action="append", default=[], metavar="ATTRIBUTE", help=same)
    verb.add_argument("--anew", action="store_true", help="forget an earlier split")
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(verb=_split)


def _split(asked: argparse.Namespace) -> int:
    from vividhead.audit.splits import SplitOptions, ratios_of, split
    from vividhead.plain import to_plain

    options = SplitOptions(
        ratios=None if asked.ratios is None else ratios_of(asked.ratios), seed=asked.seed,
        face_distance=asked.face_distance, same=tuple(asked.same),
        anew=asked.anew,
    )  # fmt: skip
    found = split(asked.dataset, options)
    if asked.json:
        show(json.dumps(to_plain(found), indent=1))
        return 0
    for name, seconds in found.seconds.items():
        show(f"{name:<8}{seconds:>10.1f} s  {found.clips[name]:>8} clips")
    show(f"\n{found.components} components, the largest with {found.largest_share:.1%} of the seconds")
    show("joined by " + (", ".join(f"{kind} {count}" for kind, count in sorted(found.links.items())) or "nothing"))
    for kind in found.not_measured:
        hint = ": a `voice` column in the source list joins what one person says" if kind == "voice" else ""
        show(f"{kind} was not measured{hint}")
    for source, (before, now) in found.moved.items():
        show(f"moved from {before} to {now}, as it is joined with it now: {source}")
    if found.damaged:
        show(f"{len(found.damaged)} clips could not be read and are told by their source alone: {found.damaged[0]} …")
    empty = [name for name, count in found.clips.items() if not count]
    if empty:
        show(f"{' and '.join(empty)} got no clip: a part is drawn for each whole component")
    return 0


def add_card(verbs: "Verbs") -> None:
    """Add `vividhead card`."""
    verb = verbs.add_parser(
        "card", help="README.md for people and Hugging Face, croissant.json for machines; a clip's lineage",
        description="Write DATASET/README.md (with Hugging Face front matter) and DATASET/croissant.json "
        "(Croissant 1.0).",
    )  # fmt: skip
    verb.add_argument("dataset")
    verb.add_argument("--name", help="the dataset's name (default: the folder's)")
    verb.add_argument("--lineage", metavar="CLIP", help="print this clip's lineage as PROV-JSON instead")
    verb.set_defaults(verb=_card)


def _card(asked: argparse.Namespace) -> int:
    from vividhead.audit.card import lineage, write_card
    from vividhead.audit.tables import Tables

    if asked.lineage is not None:
        show(json.dumps(lineage(Tables(asked.dataset), asked.lineage), indent=1, ensure_ascii=False))
        return 0
    for path in write_card(asked.dataset, asked.name):
        show(str(path))
    return 0


def add_inspect(verbs: "Verbs") -> None:
    """Add `vividhead inspect`."""
    verb = verbs.add_parser(
        "inspect", help="clips, kept and rejected, in a browser: play, compare limits, label",
        description="Serve a page on this machine until interrupted. Everything is read only but labels, which are "
        "added to DATASET/labels/.",
    )  # fmt: skip
    verb.add_argument("dataset")
    verb.add_argument("--host", default="127.0.0.1", help="the address to serve on (default: this machine alone)")
    verb.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: 8765)")
    verb.add_argument("--token", help="ask visitors for this; drawn by chance where other machines can reach the page")
    verb.set_defaults(verb=_inspect)


def _inspect(asked: argparse.Namespace) -> int:
    from vividhead.audit.inspect import serve

    serve(asked.dataset, asked.host, asked.port, asked.token, say)
    return 0
