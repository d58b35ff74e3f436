"""Verbs of auditors and data engineers: verify, repair, explain, rejudge, pack, tune, revoke, diff."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.terminal import show
from vividhead.errors import UsageError

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


def add_revoke(verbs: "Verbs") -> None:
    """Add `vividhead revoke`."""
    verb = verbs.add_parser(
        "revoke", help="take clips, sources or a person out for good, with a signed receipt",
        description="Lay tombstones: what is revoked leaves the shards, the manifest, the ledger and cached latents, "
        "and never returns, whatever footage is added or filters are tried. Only shards that held it are rewritten.",
    )  # fmt: skip
    verb.add_argument("dataset", help="a local dataset folder")
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--source", metavar="NAME", help="a source (uri, its end, or source_id) and all its clips")
    what.add_argument("--clip", metavar="ID", help="one clip, by the beginning of its id")
    what.add_argument("--identity", metavar="FACE.png", help="all clips of the person in a picture")
    what.add_argument("--where", metavar="SQL", help="""all clips for which it holds, as "licence = 'CC-BY-4.0'" """)
    verb.add_argument("--reason", required=True, metavar="TEXT", help="why; it stands in the receipt")
    verb.add_argument("--by", metavar="NAME", help="who signs it off (default: the user)")
    verb.add_argument("--l2", type=float, help="--identity: largest embedding distance of one person (default: 0.6)")
    verb.add_argument("--dry-run", action="store_true", help="only say which clips it would be")
    verb.add_argument("--json", action="store_true", help=JSON_HELP)
    verb.set_defaults(verb=_revoke)


def _revoke(asked: argparse.Namespace) -> int:
    from vividhead.audit import chosen as ways
    from vividhead.audit.revoke import Order, revoke, signer, told
    from vividhead.audit.tables import Tables

    tables = Tables(asked.dataset)
    if tables.folder is None:
        raise UsageError(f"{asked.dataset}: only a local dataset folder can be changed")
    if asked.l2 is not None and asked.identity is None:
        raise UsageError("--l2 is for --identity; leave it out")
    if asked.source is not None:
        what, chosen = f"--source {asked.source}", ways.by_source(tables, asked.source)
    elif asked.clip is not None:
        what, chosen = f"--clip {asked.clip}", ways.by_clip(tables, asked.clip)
    elif asked.where is not None:
        what, chosen = f"--where {asked.where}", ways.by_condition(tables, asked.where)
    else:
        limit = ways.SAME_PERSON_L2 if asked.l2 is None else asked.l2
        what, chosen = f"--identity {Path(asked.identity).name}", ways.by_face(tables, Path(asked.identity), limit)
    if asked.dry_run:
        show(json.dumps(chosen.plain(), indent=1) if asked.json else chosen.told())
        return 0
    receipt = revoke(tables.folder, chosen, Order(what, asked.reason, asked.by or signer()))
    show(json.dumps(receipt, indent=1, ensure_ascii=False) if asked.json else told(receipt))
    return 0


def add_repair(verbs: "Verbs") -> None:
    """Add `vividhead repair`."""
    verb = verbs.add_parser(
        "repair", help="rebuild tables, manifest and shards from the ledger, without footage",
        description="Publish again what the ledger allows. Clips whose encoded bytes are lost leave the manifest and "
        "are named; running curate again encodes just those. Exit code 0 when nothing is left to do, else 1.",
    )  # fmt: skip
    verb.add_argument("dataset", help="a local dataset folder")
    verb.add_argument("--json", action="store_true", help=JSON_HELP)
    verb.set_defaults(verb=_repair)


def _repair(asked: argparse.Namespace) -> int:
    from vividhead.audit.repair import repair

    found = repair(Path(asked.dataset))
    show(json.dumps(found.plain(), indent=1, ensure_ascii=False) if asked.json else found.told())
    return 1 if found.after else 0


def add_pack(verbs: "Verbs") -> None:
    """Add `vividhead pack`."""
    verb = verbs.add_parser(
        "pack", help="make the shards of other filters, re-using all that is measured and encoded",
        description="Make other filters the dataset's own: measure what they ask for and the old ones had skipped, "
        "encode the clips they gain, rewrite the shards that change. Footage is read only if there is such work.",
    )  # fmt: skip
    verb.add_argument("dataset", help="a local dataset folder")
    verb.add_argument("--filters", required=True, help="a shipped policy or a path")
    verb.add_argument("--on", choices=("ray", "local"), default="ray", help="where units run, if there are any")
    verb.add_argument("--workers", type=int, help="units at a time on this machine (default: its cores)")
    verb.add_argument("--json", action="store_true", help=JSON_HELP)
    verb.set_defaults(verb=_pack)


def _pack(asked: argparse.Namespace) -> int:
    from vividhead.audit.repack import repack

    found = repack(Path(asked.dataset), asked.filters, on=asked.on, workers=asked.workers)
    show(json.dumps(found.plain(), indent=1, ensure_ascii=False) if asked.json else found.told())
    return 0


def add_tune(verbs: "Verbs") -> None:
    """Add `vividhead tune`."""
    verb = verbs.add_parser(
        "tune", help="thresholds that keep a wanted number of hours, and what they cost",
        description="Move all limits together, each through an even share of the footage, until the wanted hours are "
        "kept; show the curve of hours over strictness, and the sources and attributes that go with it.",
    )  # fmt: skip
    verb.add_argument("dataset", help="a dataset folder, or its address")
    verb.add_argument("--target-hours", type=float, required=True, metavar="H")
    verb.add_argument("--filters", help="begin from these instead of the dataset's own")
    verb.add_argument(
        "--fix", action="append", default=[], metavar="RULE", help="this rule stays as it is (repeatable)"
    )
    verb.add_argument("--write", type=Path, metavar="FILE.toml", help="write the proposal as a filters file")
    verb.add_argument("--json", action="store_true", help=JSON_HELP)
    verb.set_defaults(verb=_tune)


def _tune(asked: argparse.Namespace) -> int:
    from vividhead.audit.tune import policy_toml, tune
    from vividhead.audit.tuned_text import told
    from vividhead.ledger import write_atomically

    if asked.write is not None and asked.write.suffix != ".toml":
        raise UsageError(f"--write {asked.write}: a filters file ends in .toml")
    found = tune(asked.dataset, asked.target_hours, filters=asked.filters, fixed=asked.fix)
    if asked.write is not None:
        write_atomically(asked.write, policy_toml(found.proposal).encode())
    show(json.dumps(found.plain(), indent=1, ensure_ascii=False) if asked.json else told(found))
    return 0


def add_diff(verbs: "Verbs") -> None:
    """Add `vividhead diff`."""
    verb = verbs.add_parser(
        "diff", help="two datasets compared: settings, sources, clips, decisions, scores, shards",
        description="Compare two datasets by their tables. Exit code 0 whatever is found.",
    )  # fmt: skip
    verb.add_argument("a", help="a dataset folder, or its address")
    verb.add_argument("b", help="another")
    verb.add_argument("--json", action="store_true", help=JSON_HELP)
    verb.set_defaults(verb=_diff)


def _diff(asked: argparse.Namespace) -> int:
    from vividhead.audit.diff import diff, told

    found = diff(asked.a, asked.b)
    show(json.dumps(found, indent=1, ensure_ascii=False) if asked.json else told(found))
    return 0
