"""The calibration as one HTML page that needs nothing else: limits, curves over the strength of damage, tables."""

from collections.abc import Callable, Sequence
from html import escape

from vividhead.audit.page import Head, table
from vividhead.calibrate.perturbations import FAMILIES
from vividhead.calibrate.records import Calibration, Curve, LipSync, Threshold
from vividhead.calibrate.text import (
    LEVEL_HEADS,
    LIP_SYNC_HEADS,
    THRESHOLD_HEADS,
    level_rows,
    lip_sync_row,
    number,
    percent,
    span,
    threshold_rows,
)

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 200, 56, 12, 12, 34
FAMILY = {family.name: family for family in FAMILIES}

_STYLE = (
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2em auto;"
    "padding:0 1em}"
    "table{border-collapse:collapse;margin:.6em 0}caption{text-align:left;font-weight:600}"
    "td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}.n{text-align:right;"
    "font-variant-numeric:tabular-nums}.wide{overflow-x:auto}svg{max-width:100%;height:auto}"
    ".band{fill:#1b6ca8;opacity:.18}.line{fill:none;stroke:#1b6ca8;stroke-width:2}.dot{fill:#1b6ca8}"
    ".harm{fill:#b3261e}.limit{stroke:#b3261e;stroke-dasharray:5 4}.wanted{stroke:#2e7d32;stroke-dasharray:2 3}"
    ".axis{stroke:currentColor;opacity:.4}text{fill:currentColor;font-size:11px}"
)


def page_of(found: Calibration) -> str:
    """The page."""
    limits = {t.field: t for t in found.thresholds}
    drawn = "".join(_curve(curve, limits.get(curve.field)) for curve in found.curves)
    heads = [Head(h, "" if k in (0, 1, 2, 10) else "n") for k, h in enumerate(THRESHOLD_HEADS)]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Calibration</title><style>{_STYLE}</style>'
        f"<h1>Calibration of scores</h1><p>{len(found.clips)} good clips of "
        f"{len({good.speaker for good in found.clips})} speakers, up to {found.seconds:g} s each, out of "
        f"{escape(', '.join(found.where))}; filters {escape(found.filters)}; seed {found.seed}; VividHead "
        f"{escape(found.vividhead)}; {found.wall_s:.0f} s of work. Untouched, {percent(found.untouched_kept)} of them "
        f"pass the filters. Intervals hold 95 of 100 resamplings of the speakers.</p>"
        f"<p><code>{escape(found.command)}</code></p><h2>Limits for a precision of {found.precision:g}</h2>"
        f"{table('Limits', heads, threshold_rows(found))}{_lip_sync(found)}<h2>Curves</h2><p>Median and the middle "
        "80 % of the clips at each level; red dots are harmful levels, red dashes the shipped limit, green dots the "
        f"limit asked for here. “Parted” clips are cut by the tracker before any score sees them.</p>{drawn}"
        f"<h2>Cost</h2>{_costs(found)}{_bystanders(found)}</html>\n"
    )


def _lip_sync(found: Calibration) -> str:
    if not found.lip_sync:
        return ""
    rows = [lip_sync_row(name, part) for name, part in found.lip_sync.items()]
    tables = "".join(_reliability(name, part) for name, part in found.lip_sync.items())
    return f"<h2>Lip sync</h2>{table('Lip sync', [Head(h) for h in LIP_SYNC_HEADS], rows)}{tables}"


def _reliability(name: str, part: LipSync) -> str:
    heads = [Head("said", "n"), Head("true", "n"), Head("readings", "n")]
    rows = [[number(b.said), number(b.true), str(b.readings)] for b in part.reliability]
    return table(f"Confidence, {name}: what was said and what was true", heads, rows)


def _curve(curve: Curve, limit: Threshold | None) -> str:
    family = FAMILY[curve.family]
    groups = "; ".join(f"{part} {number(v)}" for parts in curve.subgroups.values() for part, v in parts.items())
    told = f"AUC {span(curve.auc)}; monotone {span(curve.monotone)}." + (f" AUC by part: {groups}." if groups else "")
    heads = [Head(LEVEL_HEADS[0]), *(Head(title, "n") for title in LEVEL_HEADS[1:])]
    return (
        f"<h3>{escape(curve.field)} under {escape(curve.family)}</h3><p>{escape(family.meaning)}; levels in "
        f"{escape(family.unit)}. {escape(told)}</p>{svg_of(curve, limit)}"
        f"<details><summary>Figures</summary>{table(curve.family, heads, level_rows(curve))}</details>"
    )


def svg_of(curve: Curve, limit: Threshold | None) -> str:
    """Median and spread over the levels, which stand side by side whatever their distance."""
    signed = curve.levels[1:] and curve.levels[1].level < 0 < curve.levels[-1].level
    levels = sorted(curve.levels, key=lambda level: level.level) if signed else list(curve.levels)
    known = [level for level in levels if level.median is not None]
    if not known:
        return "<p>nothing was measured</p>"
    lines = [] if limit is None else [v for v in (limit.shipped, limit.wanted.value) if v is not None]
    if limit is not None and limit.sense == "size":
        lines += [-v for v in lines]
    reach = [v for level in known for v in (level.p10, level.p90) if v is not None] + lines
    low, high = min(reach), max(reach)
    high = high if high > low else low + 1.0

    def x(k: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (k + 0.5) / len(levels)

    def y(value: float | None) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * ((value or 0.0) - low) / (high - low)

    at = [(x(k), level) for k, level in enumerate(levels) if level.median is not None]
    band = [f"{px:.1f},{y(level.p90):.1f}" for px, level in at] + [f"{px:.1f},{y(lv.p10):.1f}" for px, lv in at[::-1]]
    middle = " ".join(f"{px:.1f},{y(level.median):.1f}" for px, level in at)
    dots = "".join(
        f'<circle class="{"harm" if level.harmful else "dot"}" r="3.5" cx="{px:.1f}" cy="{y(level.median):.1f}"/>'
        for px, level in at
    )
    names = "".join(
        f'<text x="{x(k):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{_level_name(level.level)}</text>'
        for k, level in enumerate(levels)
    )
    ends = "".join(
        f'<text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{escape(number(v))}</text>' for v in (low, high)
    )
    said = f"{curve.field} under {curve.family}: " + ", ".join(
        f"{_level_name(level.level)}: {number(level.median)}" for level in levels
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{escape(said)}">'
        f'<polygon class="band" points="{" ".join(band)}"/><polyline class="line" points="{middle}"/>{dots}'
        f'{_limits(limit, y)}<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" '
        f'y2="{HEIGHT - BOTTOM}"/>{names}{ends}</svg>'
    )


def _level_name(level: float) -> str:
    return f"{level:g}" if level else "as it is"


def _limits(limit: Threshold | None, y: Callable[[float | None], float]) -> str:
    if limit is None:
        return ""
    drawn = ""
    for kind, value in (("limit", limit.shipped), ("wanted", limit.wanted.value)):
        signs: Sequence[int] = (1, -1) if limit.sense == "size" else (1,)
        for sign in signs if value is not None else ():
            at = y(sign * (value or 0.0))
            drawn += f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
    return drawn


def _costs(found: Calibration) -> str:
    rows = [[name, number(ms)] for name, ms in found.cost_ms_per_s.items()]
    return table("Median over untouched clips", [Head("score"), Head("ms per second of clip", "n")], rows)


def _bystanders(found: Calibration) -> str:
    rows = []
    for field, families in found.bystanders.items():
        strongest = sorted(families.items(), key=lambda pair: -pair[1])[:4]
        rows.append([field, ", ".join(f"{family} {number(change, 2)}" for family, change in strongest)])
    if not rows:
        return ""
    caption = "Answers not asked for: median change at the strongest level, in spreads (p90 − p10) of good clips"
    return f"<h2>Bystanders</h2>{table(caption, [Head('field'), Head('most under')], rows)}"
