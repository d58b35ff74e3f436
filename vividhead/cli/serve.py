"""The verbs serve and detect."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.flashhead import chosen_model, model_options
from vividhead.cli.terminal import say, show
from vividhead.errors import UsageError

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs
    from vividhead.flashhead.claims import Manifest

TRAINED = ("checkpoint", "flashhead-nano/stage2/checkpoint", "demo-out/flashhead-nano/stage2/checkpoint")
"""Where a trained model is looked for when none is named: where fetching and training put it."""


def add_serve(verbs: "Verbs") -> None:
    """Add `vividhead serve`."""
    verb = verbs.add_parser(
        "serve", help="a talking head in the browser, in real time, many at once",
        description="Serve a page and a WebSocket on this machine until interrupted: a portrait that speaks what it "
        "hears. Without --checkpoint a trained model is looked for in " + ", ".join(TRAINED) + ".",
    )  # fmt: skip
    verb.add_argument("--host", default="127.0.0.1", help="the address to serve on (default: this machine alone)")
    verb.add_argument("--port", type=int, default=8770, help="0 takes a free one (default: 8770)")
    asked_of = (
        "ask visitors for this, or for what VIVIDHEAD_TOKEN holds; drawn by chance where others can reach the page"
    )
    verb.add_argument("--token", default=os.environ.get("VIVIDHEAD_TOKEN") or None, help=asked_of)
    origin = "a page that may connect although it is not ours, as https://example.org; may be repeated"
    verb.add_argument("--origin", action="append", default=[], metavar="URL", help=origin)
    portrait = "a face to choose from; may be repeated; its name is the file's (default: the demo's, if installed)"
    verb.add_argument("--portrait", type=Path, action="append", default=[], metavar="FILE", help=portrait)
    verb.add_argument("--no-uploads", action="store_true", help="take no portraits from visitors")
    consent = "visitors declare the right to use the portrait they send (always where others can reach the page)"
    verb.add_argument("--require-consent", action="store_true", help=consent)
    log = "JSONL of who generated what from which portrait (default off this machine: vividhead-serve.jsonl)"
    verb.add_argument("--audit-log", type=Path, metavar="FILE", help=log)
    verb.add_argument(
        "--label", default="", metavar="TEXT", help="draw this into every picture, such as 'AI generated'"
    )
    verb.add_argument("--streams", type=int, help="at most so many at once (default: as many as were measured to hold)")
    of_one = "at most so many of one network address; raise it behind a proxy that hides its visitors' (default: 8)"
    verb.add_argument("--streams-per-address", type=int, default=8, metavar="N", help=of_one)
    verb.add_argument("--quality", type=int, default=85, help="of JPEG and WebP pictures, 1 … 100 (default: 85)")
    model_options(verb)
    verb.set_defaults(verb=_serve)


def _serve(asked: argparse.Namespace) -> int:
    if asked.checkpoint is None and not asked.random_weights:
        asked.checkpoint = _found()
    try:
        import uvicorn  # noqa: F401 - asked for before a model is read
        import websockets  # noqa: F401

        from vividhead.audit.inspect.guard import is_loopback
        from vividhead.serve.options import Serving
        from vividhead.serve.running import check_audit_log, check_port, demo_portrait, leave_a_core, log_to_stderr, run
    except ImportError as fault:
        raise UsageError(f"this needs {fault.name}: pip install 'vividhead[serve]'") from fault
    portraits = {path.stem: path for path in asked.portrait}
    if len(portraits) < len(asked.portrait):
        raise UsageError("two portraits of one name: names of --portrait files differ in more than their folder")
    if not portraits and (face := demo_portrait()) is not None:
        portraits["demo"] = face
    here = is_loopback(asked.host)
    serving = Serving(
        host=asked.host, port=asked.port, token=asked.token, origins=tuple(asked.origin), streams=asked.streams,
        portraits=portraits, uploads=not asked.no_uploads, require_consent=asked.require_consent or not here,
        audit_log=asked.audit_log or (None if here else Path("vividhead-serve.jsonl")), label=asked.label,
        quality=asked.quality, streams_per_client=asked.streams_per_address,
    )  # fmt: skip
    if serving.audit_log is not None:
        check_audit_log(serving.audit_log)
    check_port(serving.host, serving.port)
    leave_a_core()
    model = chosen_model(asked)
    log_to_stderr()
    run(model, serving, say)
    return 0


def _found() -> Path:
    for place in TRAINED:
        if any(Path(place).glob("Model_*")):
            say(f"vividhead: {place}")
            return Path(place)
    raise UsageError(
        "no trained model: name one with --checkpoint DIR, or make one with `vividhead demo demo-out` and "
        "`vividhead train demo-out/dataset --stage 1`, then 2; --random-weights tries the shapes, and shows noise"
    )


def add_detect(verbs: "Verbs") -> None:
    """Add `vividhead detect`."""
    verb = verbs.add_parser(
        "detect", help="whether a film or picture was generated by this program",
        description="Tell whether a file's pictures carry the watermark that every generated picture has, whether its "
        "signed provenance (C2PA) holds, and what its metadata says. A file without any may still be generated.",
    )  # fmt: skip
    verb.add_argument("file", type=Path)
    trust = "certificates, PEM, of those whom you trust to vouch for signers; this machine's own always is"
    verb.add_argument("--trust", type=Path, metavar="PEM", help=trust)
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(verb=_detect)


def _detect(asked: argparse.Namespace) -> int:
    from vividhead.flashhead.detect import detect
    from vividhead.flashhead.watermark import CERTAIN
    from vividhead.plain import to_plain

    try:
        trust_pem = asked.trust.read_text(encoding="ascii") if asked.trust else ""
    except (OSError, UnicodeDecodeError) as fault:
        raise UsageError(f"--trust {asked.trust} cannot be read as certificates in PEM: {fault}") from fault
    found = detect(asked.file, trust_pem)
    if asked.json:
        show(json.dumps({**to_plain(found), "is_marked": found.is_marked}, indent=1))
        return 0
    says = "says that it is synthetic" if found.provenance else "says nothing"
    carried = "carry the watermark: generated" if found.is_marked else "carry no watermark that can be read"
    show(f"{asked.file}: its pictures {carried} (agreement {found.agreement:.1f}, certain from {CERTAIN:g})")
    show(_told_of(found.manifest))
    show(f"its metadata {says}" + (f": {found.provenance.tags()['comment']}" if found.provenance else ""))
    return 0


def _told_of(manifest: "Manifest") -> str:
    match manifest.state:
        case "none":
            return "it has no signed provenance"
        case "unknown":
            return f"its signed provenance was not read: {manifest.why}"
        case "broken":
            return f"its signed provenance is BROKEN, as the file is not what was signed: {manifest.why}"
    made = "made by a model" if manifest.says_generated else "nothing of a model"
    known = "known" if manifest.trusted else "not known, and could be anyone"
    claims = ", ".join(f"{name} {value}" for name, value in manifest.claims.items() if value not in (None, False))
    return (
        f"its signed provenance holds: {made}, by {manifest.generator or 'a nameless program'}"
        f"{f' ({claims})' if claims else ''}; signed by {manifest.signer}, who is {known}"
    )
