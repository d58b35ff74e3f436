"""Verbs of auditors and data engineers: verify, repair, explain, rejudge, pack, tune, revoke, diff."""

import argparse
import json
from typing import TYPE_CHECKING

from vividhead.cli.terminal import show

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs

JSON_HELP = "print it as JSON, for scripts"


def add_explain(verbs: "Verbs") -> None:
    """Add `vividhead explain`."""
    verb = verbs.add_parser(
        "explain", help="the whole story of a clip, or of any second of footage",
        description="What saw it, every score with its unit, every rule, and what would have to change. From the "
        "tables alone.",
    )  # fmt: skip
    verb.add_argument("dataset", help="a dataset folder, or its address")
    about = (
        "a clip_id (or its beginning), or a source (uri, its end, or source_id), with @SECONDS or @M:SS for one time"
    )
    verb.add_argument("what", metavar="CLIP|SOURCE[@TIME]", help=about)
    verb.add_argument("--json", action="store_true", help=JSON_HELP)
    verb.set_defaults(verb=_explain)


def _explain(asked: argparse.Namespace) -> int:
    from vividhead.audit.explain import explain
    from vividhead.audit.explained_text import told

    found = explain(asked.dataset, asked.what)
    show(json.dumps(found, indent=1, ensure_ascii=False) if asked.json else told(found))
    return 0


def add_rejudge(verbs: "Verbs") -> None:
    """Add `vividhead rejudge`."""
    verb = verbs.add_parser(
        "rejudge", help="a second set of decisions by other filters, in seconds, and what it changes",
        description="Judge all clips by other filters, write decisions/<digest>/ beside the old ones, and show who "
        "comes, who goes and why. Nothing is measured; shards stay as they are until `vividhead pack`.",
    )  # fmt: skip
    verb.add_argument("dataset", help="a dataset folder; of an address nothing is written")
    verb.add_argument("--filters", required=True, help="a shipped policy or a path")
    verb.add_argument("--show", type=int, default=20, metavar="N", help="name N of the clips that change (default: 20)")
    verb.add_argument("--json", action="store_true", help=JSON_HELP)
    verb.set_defaults(verb=_rejudge)


def _rejudge(asked: argparse.Namespace) -> int:
    from vividhead.audit.rejudge import rejudge
    from vividhead.audit.rejudged_text import told

    found = rejudge(asked.dataset, asked.filters, shown=asked.show)
    show(json.dumps(found.plain(), indent=1, ensure_ascii=False) if asked.json else told(found, asked.dataset))
    return 0


def add_verify(verbs: "Verbs") -> None:
    """Add `vividhead verify`."""
    verb = verbs.add_parser(
        "verify", help="is the dataset what its tables say? Every finding with its path and row",
        description="Check schemas, ids, keys, sums of seconds, stored decisions against measurements, and that the "
        "shards are there; --deep reads every shard: digests, decodability, A/V length. Exit code 0 without findings, "
        "1 with any.",
    )  # fmt: skip
    verb.add_argument("dataset", help="a dataset folder, or its address")
    verb.add_argument("--deep", action="store_true", help="read and decode the shards, too")
    verb.add_argument("--json", action="store_true", help=JSON_HELP)
    verb.set_defaults(verb=_verify)


def _verify(asked: argparse.Namespace) -> int:
    from vividhead.audit.verify import verify

    found = verify(asked.dataset, deep=asked.deep)
    show(json.dumps(found.plain(), indent=1, ensure_ascii=False) if asked.json else found.told())
    return 1 if found.total else 0
