"""What `tune` found, in lines for people."""

from vividhead.audit.rejudged_text import demand
from vividhead.audit.tune import Point, Tuned

BAR = 30
"""Characters of the longest bar."""


def told(found: Tuned) -> str:
    """The proposal, the curve and the cost in diversity."""
    now, then = found.difference.kept_before, found.difference.kept_after
    lines = [
        f"{found.difference.before.name} keeps {now.seconds / 3600:.4g} h ({now.clips} clips); "
        f"wanted {found.target_hours:g} h",
        f"proposal, strictness {found.strictness:.3f}: {then.seconds / 3600:.4g} h ({then.clips} clips) of what is "
        f"measured whole, {found.expected_hours:.4g} h expected when the rest is",
        "",
        *_rules(found),
        "",
        *_curve(found),
        "",
        "diversity  " + "  ".join(_counts(found)),
    ]
    return "\n".join(lines)


def _rules(found: Tuned) -> list[str]:
    before = {rule.id: rule for rule in found.difference.before.rules}
    rows = [(rule.id, demand(before.get(rule.id)), demand(rule)) for rule in found.proposal.rules]
    rows = [("rule", "now", "proposed"), *(row for row in rows if row[1] != row[2])]
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _curve(found: Tuned) -> list[str]:
    most = max((point.expected_hours for point in found.curve), default=0) or 1.0
    names = list(found.curve[0].diversity.attributes) if found.curve else []
    head = f"{'strictness':>10} {'hours':>10} {'expected':>10} {'clips':>9} {'sources':>8}"
    lines = [head + "".join(f" {name[:12]:>12}" for name in names)]
    return lines + [_point(point, names, most) for point in found.curve]


def _point(point: Point, names: list[str], most: float) -> str:
    cells = f"{point.strictness:>10.3f} {point.hours:>10.4g} {point.expected_hours:>10.4g} {point.clips:>9}"
    cells += f" {point.diversity.sources:>8}"
    cells += "".join(f" {point.diversity.attributes[name]:>12}" for name in names)
    return f"{cells}  {'#' * round(BAR * point.expected_hours / most)}".rstrip()


def _counts(found: Tuned) -> list[str]:
    out = [f"sources {found.before.sources} ▶ {found.after.sources}"]
    names = found.before.attributes
    return out + [f"{name} {names[name]} ▶ {found.after.attributes.get(name, 0)}" for name in names]
