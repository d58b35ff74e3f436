"""Rebuild of a dataset what its ledger allows: tables, manifest and shards anew, without footage.

What is lost for good, the encoded bytes of some clips, is taken out of the manifest and named: `vividhead curate`
encodes just that anew.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vividhead.audit.revoke import finish_begun
from vividhead.audit.verify import verify
from vividhead.chain import Chain
from vividhead.dataset import SCHEMA_VERSION, note_run, read_run
from vividhead.ledger import Ledger, sole_writer
from vividhead.publish import publish
from vividhead.shard_set import packed_keys
from vividhead.shards import index, verified
from vividhead.standing import StandingChain, stored_pipeline, stored_policy
from vividhead.units import pack_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair did."""

    before: int
    """Findings of `vividhead verify` before."""
    after: int
    lost: Sequence[str]
    """Clips whose encoded bytes are gone or damaged."""
    unfinished: int
    """Units that want their footage: run curate again."""
    curate: str
    """The command that finishes."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "findings_before": self.before, "findings_after": self.after, "lost_clips": list(self.lost),
            "unfinished_units": self.unfinished, "finish_with": self.curate if self.lost or self.unfinished else None,
        }  # fmt: skip

    def told(self) -> str:
        """In lines for people."""
        lines = [f"findings before {self.before}, after {self.after}"]
        if self.lost:
            named = " ".join(self.lost[:5])
            lines.append(f"{len(self.lost)} clips have lost their encoded bytes and are out of the manifest: {named}")
        if self.lost or self.unfinished:
            lines.append(f"finish with: {self.curate}")
        return "\n".join(lines)


def repair(dataset: Path) -> Repaired:
    """Publish again from the ledger what can be; damaged members are forgotten first, so that they are made anew.

    Tables of an older schema version are written in this one.
    """
    run = read_run(dataset)
    is_older = run.get("versions", {}).get("schema") != SCHEMA_VERSION
    before = 1 if is_older else verify(dataset).total
    pipeline = stored_pipeline(dataset)
    policy = stored_policy(dataset, pipeline)
    with sole_writer(dataset):
        Ledger(dataset).sweep()
        chain = StandingChain(dataset, pipeline, policy)
        chain.settle_sources(packed_keys(dataset, pipeline))
        lost = forget_damaged(dataset, chain)
        finish_begun(dataset)
        units = chain.settle_sources(packed_keys(dataset, pipeline))
        publish(dataset, chain, finished=True, packed_only=True)
        where = str(run["input"]["where"])
        if is_older:
            note_run(dataset, where, pipeline, policy)
    return Repaired(
        before=before, after=verify(dataset).total, lost=lost, unfinished=len(units),
        curate=f"vividhead curate {shlex.quote(where)} --out {shlex.quote(str(dataset))}",
    )  # fmt: skip


def forget_damaged(dataset: Path, chain: Chain) -> list[str]:
    """Take back the encoding of kept clips whose members are not, byte for byte, at hand; returns their ids."""
    ledger = chain.ledger
    shards = dataset / "shards"
    tapes = [*shards.glob("*.tar"), *(shards / "new").glob("*.tar"), *(ledger.root / "pack").glob("*.tar")]
    found = index(sorted(tapes))
    lost = []
    for clip_id in (c.clip_id for s in chain.segments.values() for c in s.clips if chain.decision(s, c.clip_id).kept):
        key = pack_key(clip_id, chain.job.pipeline)
        members = (ledger.read("pack", key) or {}).get("members", {})
        places = ((found.get(f"{clip_id}.{member}"), about) for member, about in members.items())
        if any(place is None or verified(place, about) is None for place, about in places):
            ledger.forget("pack", key)
            lost.append(clip_id)
    return sorted(lost)
