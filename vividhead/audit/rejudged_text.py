"""What `rejudge` found, in lines for people."""

from vividhead.audit.rejudge import Amount, Difference, RuleChange
from vividhead.policy import Rule
from vividhead.settings import plain


def told(found: Difference, dataset: str) -> str:
    """The difference between two sets of decisions."""
    lines = [
        f"filters {found.before.name} ({found.before.digest}) ▶ {found.after.name} ({found.after.digest})",
        "",
        f"{'kept before':<14}{_amount(found.kept_before)}",
        f"{'kept after':<14}{_amount(found.kept_after)}",
        f"{'gained':<14}{_amount(found.gained)}",
        f"{'lost':<14}{_amount(found.lost)}",
    ]
    if found.undecided.clips:
        lines.append(f"{'undecided':<14}{_amount(found.undecided)}   (some scores were skipped; packing measures them)")
    rows = [_rule(rule) for rule in found.rules if _matters(rule)]
    if rows:
        head = ("rule", "before", "after", "broken before", "broken after", "gained by it", "lost by it", "it alone")
        widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
        lines.append("")
        lines += [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
        ]
        lines.append("clips / hours; `it alone`: refused by nothing else that is known")
    if found.changed:
        lines += ["", f"clips that change ({len(found.changed)} of {found.gained.clips + found.lost.clips}):"]
        for clip in found.changed:
            span = f"{clip['start_s_in_source']:.2f}–{clip['end_s_in_source']:.2f} s"
            lines.append(f"  {clip['became']:<7}{clip['clip_id']}  {clip['uri']} {span}  {' '.join(clip['because'])}")
    lines += ["", _next(found, dataset)]
    return "\n".join(lines)


def _next(found: Difference, dataset: str) -> str:
    if found.written is None:
        return "nothing was written"
    return f"{found.written}\nshards are as before: vividhead pack {dataset} --filters … makes the new ones"


def _amount(value: Amount) -> str:
    return f"{value.clips:>10} clips {value.seconds / 3600:>12.4f} h"


def _matters(rule: RuleChange) -> bool:
    """Did its limits change, or does it change or refuse any clip?"""
    amounts = (rule.broken_before, rule.broken_after, rule.gained, rule.lost, rule.alone)
    return demand(rule.before) != demand(rule.after) or any(a is not None and a.clips for a in amounts)


def _rule(rule: RuleChange) -> tuple[str, ...]:
    amounts = (rule.broken_before, rule.broken_after, rule.gained, rule.lost, rule.alone)
    cells = ("–" if a is None else f"{a.clips} / {a.seconds / 3600:.4f}" if a.clips else "0" for a in amounts)
    return (rule.id, demand(rule.before), demand(rule.after), *cells)


def demand(rule: Rule | None) -> str:
    """What a rule asks for, as in `160 …` or `-100 … 100`."""
    if rule is None:
        return "no rule"
    low, high = ("" if end is None else plain(end) for end in (rule.min, rule.max))
    return f"{low} … {high}".strip() + (" or unknown" if rule.unmeasured == "accept" else "")
