"""A second set of decisions by other filters, and what it changes: who comes, who goes, and which rule is the reason.

Seconds for millions of clips: nothing is measured. A clip that the old filters refused early lacks the dearer scores;
where nothing known speaks against it under the new ones, it is `undecided` until it is measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from vividhead.audit.clips import FILTERS_FILE, Judged, judged, named_policy, own_policy
from vividhead.audit.decisions import REASONS_READ, DecisionWriter, Failures, decision_rows
from vividhead.audit.tables import Tables
from vividhead.audit.verdicts import (
    KINDS,
    PASSED,
    SKIPPED,
    Kinds,
    Mask,
    Verdicts,
    fields_of,
    revoked_rows,
    score_parts,
    verdicts,
    verdicts_of,
)
from vividhead.ledger import sole_writer, write_atomically
from vividhead.policy import Policy, Rule
from vividhead.revoked import all_revoked

SHOWN = 20
"""Changed clips that are named; the decisions hold them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """What one rule does before and after: clips and hours that break it, by what is known (None: it is no rule)."""

    id: str
    before: Rule | None
    after: Rule | None
    broken_before: "Amount | None"
    broken_after: "Amount | None"
    gained: "Amount"
    """Of the clips newly kept, those that this rule refused before."""
    lost: "Amount"
    """Of the clips no longer kept, those that this rule refuses now."""
    alone: "Amount"
    """What this rule alone costs now: nothing else known refuses these."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Clips and their seconds."""

    clips: int
    seconds: float

    @classmethod
    def of(cls, mask_N: Mask, seconds_N: NDArray[np.float64]) -> "Amount":
        """The clips that `mask_N` marks."""
        return cls(int(np.count_nonzero(mask_N)), float((seconds_N * mask_N).sum()))  # quicker than picking them out

    def plain(self) -> dict[str, float]:
        return {"clips": self.clips, "hours": round(self.seconds / 3600, 6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two sets of decisions of one dataset, compared."""

    before: Policy
    after: Policy
    kept_before: Amount
    kept_after: Amount
    gained: Amount
    lost: Amount
    undecided: Amount
    """Not measured whole under the old filters, and refused by nothing that is known under the new."""
    rules: Sequence[RuleChange]
    changed: Sequence[dict[str, Any]]
    """The first of the clips that change, with where they are from."""
    written: str | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        amounts = ("kept_before", "kept_after", "gained", "lost", "undecided")
        policies = {"before": self.before, "after": self.after}
        return {
            "filters": {when: {"name": p.name, "digest": p.digest} for when, p in policies.items()},
            **{name: getattr(self, name).plain() for name in amounts},
            "rules": [_plain_rule(rule) for rule in self.rules],
            "changed": list(self.changed),
            "decisions": self.written,
        }  # fmt: skip


def rejudge(where: str | Path, filters: str, *, shown: int = SHOWN, write: bool = True) -> Difference:
    """Judge all clips by `filters`, write decisions/<digest>/ beside the old ones, and return what differs.

    In an object store nothing is written. Shards and manifest stay as they are: see `vividhead pack`. Raises
    DatasetError while another process writes the dataset: what it revokes could be kept here.
    """
    tables = Tables(where)
    if write and tables.folder is not None and named_policy(tables, filters).digest != tables.digest:
        with sole_writer(tables.folder):
            all_revoked(tables.folder)
            return _rejudged(Tables(where), filters, shown, write=True)  # read anew: it was open before the lock
    return _rejudged(tables, filters, shown, write=False)


def _rejudged(tables: Tables, filters: str, shown: int, *, write: bool) -> Difference:
    old, new = own_policy(tables), named_policy(tables, filters)
    now = judged(tables)
    out = revoked_rows(tables, now.clip_ids)
    if not write or tables.folder is None or new.digest == tables.digest:
        before, after = verdicts(tables, (old, new), now.clip_ids, out)
        return difference(now, before, after, _kept(now, after), shown)
    with DecisionWriter(tables.folder, new.digest) as file:
        before, after = _written(now, (old, new), out, file)
    write_atomically(file.path.with_name(FILTERS_FILE), new.text.encode())
    return difference(now, before, after, _kept(now, after), shown, str(file.path))


def _written(
    now: Judged, policies: tuple[Policy, Policy], out: Mapping[int, str], file: DecisionWriter
) -> tuple[Verdicts, Verdicts]:
    """Judge by both policies and write the decisions of the second, some clips after the other."""
    kinds: tuple[list[Kinds], list[Kinds]] = ([], [])
    for rows, columns in score_parts(now.tables, fields_of(policies), now.clip_ids, REASONS_READ):
        gone = {row - rows.start: receipt for row, receipt in out.items() if rows.start <= row < rows.stop}
        before, after = (verdicts_of(policy, columns, gone) for policy in policies)
        failures = carried(now.failures.part(rows), after)
        file.write(decision_rows(now.clip_ids[rows], after, columns, failures))
        kinds[0].append(before.kinds_RN)
        kinds[1].append(after.kinds_RN)
    nothing = [np.zeros((len(policy.rules), 0), np.uint8) for policy in policies]
    one, other = (
        Verdicts(policy, np.concatenate([none, *parts], axis=1), out)
        for policy, none, parts in zip(policies, nothing, kinds, strict=True)
    )
    return one, other


def _kept(now: Judged, after: Verdicts) -> Mask:
    """Clips that pass and whose media could be made."""
    failed = carried(now.failures, after).code
    return np.asarray(after.passed_N & failed.is_null().to_numpy(zero_copy_only=False), np.bool_)


def carried(failures: Failures, after: Verdicts) -> Failures:
    """A failure goes on standing where nothing known of the clip refuses it: it is not mended by other filters."""
    if failures.code.null_count == len(failures.code):
        return failures
    stands = pa.array(after.n_broken_N == 0)
    return Failures(*(compute.if_else(stands, texts, None) for texts in (failures.code, failures.detail)))


def difference(
    now: Judged, before: Verdicts, after: Verdicts, kept_after_N: Mask, shown: int, written: str | None = None
) -> Difference:
    """Compare what is kept with what would be."""
    seconds_N = now.seconds_N
    gained_N, lost_N = kept_after_N & ~now.kept_N, now.kept_N & ~kept_after_N
    return Difference(
        before=before.policy, after=after.policy,
        kept_before=Amount.of(now.kept_N, seconds_N), kept_after=Amount.of(kept_after_N, seconds_N),
        gained=Amount.of(gained_N, seconds_N), lost=Amount.of(lost_N, seconds_N),
        undecided=Amount.of(after.undecided_N, seconds_N),
        rules=list(_rules(before, after, gained_N, lost_N, seconds_N)),
        changed=list(_changed(now, before, after, gained_N, lost_N, shown)), written=written,
    )  # fmt: skip


def _rules(
    before: Verdicts, after: Verdicts, gained_N: Mask, lost_N: Mask, seconds_N: NDArray[np.float64]
) -> Iterator[RuleChange]:
    old = {rule.id: row for row, rule in enumerate(before.policy.rules)}
    new = {rule.id: row for row, rule in enumerate(after.policy.rules)}
    nothing = Amount(0, 0.0)
    for id in dict.fromkeys([*old, *new]):
        was_N = before.known_broken_RN[old[id]] if id in old else None
        is_N = after.known_broken_RN[new[id]] if id in new else None
        yield RuleChange(
            id=id,
            before=before.policy.rules[old[id]] if id in old else None,
            after=after.policy.rules[new[id]] if id in new else None,
            broken_before=None if was_N is None else Amount.of(was_N, seconds_N),
            broken_after=None if is_N is None else Amount.of(is_N, seconds_N),
            gained=nothing if was_N is None else Amount.of(was_N & gained_N, seconds_N),
            lost=nothing if is_N is None else Amount.of(is_N & lost_N, seconds_N),
            alone=Amount.of(after.sole_N(new[id]), seconds_N) if id in new else nothing,
        )


def _changed(
    now: Judged, before: Verdicts, after: Verdicts, gained_N: Mask, lost_N: Mask, shown: int
) -> Iterator[dict[str, Any]]:
    """Lost clips first, then gained, each half of what is shown if there are as many."""
    lost, gained = np.flatnonzero(lost_N), np.flatnonzero(gained_N)
    n_lost = min(len(lost), max(shown - len(gained), (shown + 1) // 2))
    picked = np.concatenate([lost[:n_lost], gained[: shown - n_lost]]).tolist()
    if not picked:
        return
    wanted = {row: str(now.clip_ids[row]) for row in picked}
    clips, uris = now.tables.rows("clips", wanted), uris_of(now.tables)
    for row, clip_id in wanted.items():
        clip, refusing = clips[clip_id], after if lost_N[row] else before
        yield {
            "clip_id": clip_id, "became": "lost" if lost_N[row] else "gained",
            "because": codes(refusing.policy, refusing.kinds_RN[:, row]), "uri": uris.get(clip["source_id"]),
            "start_s_in_source": clip["start_s_in_source"], "end_s_in_source": clip["end_s_in_source"],
        }  # fmt: skip


def uris_of(tables: Tables) -> dict[str, str]:
    """source_id → uri of the sources that were curated."""
    sources = tables.read("sources", ["source_id", "uri", "outcome"])
    rows = zip(*(sources[name].to_pylist() for name in ("source_id", "uri", "outcome")), strict=True)
    return {source: uri for source, uri, outcome in rows if outcome == "ready"}


def codes(policy: Policy, kinds_R: Kinds) -> list[str]:
    """Codes of the rules that one clip breaks by what is known of it."""
    broken = [(rule, kind) for rule, kind in zip(policy.rules, kinds_R.tolist(), strict=True) if kind != PASSED]
    known = [f"{rule.id}:{KINDS[kind]}" for rule, kind in broken if kind != SKIPPED]
    return known or [f"{rule.id}:{KINDS[kind]}" for rule, kind in broken]


def _plain_rule(rule: RuleChange) -> dict[str, Any]:
    def amount(value: Amount | None) -> dict[str, float] | None:
        return None if value is None else value.plain()

    return {
        "rule": rule.id, "limits_before": limits(rule.before), "limits_after": limits(rule.after),
        "broken_before": amount(rule.broken_before), "broken_after": amount(rule.broken_after),
        "gained": amount(rule.gained), "lost": amount(rule.lost), "alone": amount(rule.alone),
    }  # fmt: skip


def limits(rule: Rule | None) -> dict[str, Any] | None:
    """What a rule demands; None for no rule."""
    if rule is None:
        return None
    return {"min": rule.min, "max": rule.max, "hard": rule.hard, "unmeasured": rule.unmeasured}
