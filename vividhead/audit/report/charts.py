"""Charts as SVG: the flow of hours, and distributions with their limits. A table with the same numbers stands beside.

Colours are of classes, so that the page's style gives them for light and dark; what is rejected is hatched too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from vividhead.audit.page import duration, number, percent
from vividhead.audit.report.figures import Histogram

FLOW_WIDTH, FLOW_TOP, FLOW_TALL = 1120, 56, 200
COLUMNS_X = (0, 230, 510, 800)
NODE_WIDTH = 12
LABEL_TALL = 40
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 360, 170, 6, 24, 22


@dataclass(frozen=True, slots=True)
class Step:
    """What is left after a step of the flow, and what it took away."""

    name: str
    left_s: float
    lost: Sequence[tuple[str, float]]
    """(what, seconds), the largest first."""


def flow_svg(steps: Sequence[Step]) -> str:
    """Bands as thick as their hours: the first step is all footage, the last what is kept."""
    total = steps[0].left_s or 1.0
    parts: list[str] = []
    deepest: float = FLOW_TOP + FLOW_TALL
    for at, step in enumerate(steps):
        x, tall = COLUMNS_X[at], FLOW_TALL * step.left_s / total
        last = at == len(steps) - 1
        parts.append(_rect(x, FLOW_TOP, max(tall, 1), "kept" if last else "node"))
        parts.append(_label(x, 20, step.name, f"{duration(step.left_s)} · {percent(step.left_s, total)}"))
        if at == 0:
            continue
        from_x, y = COLUMNS_X[at - 1] + NODE_WIDTH, float(FLOW_TOP)
        parts.append(_ribbon(from_x, y, x, FLOW_TOP, tall, "kept"))
        y += tall
        goal = FLOW_TOP + max(tall, LABEL_TALL / 2) + 26
        for what, seconds in step.lost:
            thick = FLOW_TALL * seconds / total
            parts.append(_ribbon(from_x, y, x, goal, thick, "lost"))
            parts.append(_rect(x, goal, max(thick, 1.5), "lost"))
            parts.append(_label(x + NODE_WIDTH + 6, goal + 12, duration(seconds), what))
            y += thick
            goal += max(thick + 10, LABEL_TALL)
        deepest = max(deepest, goal)
    about = "; ".join(f"{step.name} {duration(step.left_s)}" for step in steps)
    return (
        f'<svg viewBox="0 0 {FLOW_WIDTH} {deepest:.0f}" style="min-width:56rem" role="img" '
        f'aria-label="{escape("Flow of hours: " + about)}">{"".join(parts)}</svg>'
    )


def _rect(x: float, y: float, tall: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y:.1f}" width="{NODE_WIDTH}" height="{tall:.2f}"/>'


def _label(x: float, y: float, first: str, second: str) -> str:
    return (
        f'<text x="{x}" y="{y:.1f}" font-weight="600">{escape(first)}</text>'
        f'<text class="quiet" x="{x}" y="{y + 17:.1f}">{escape(second)}</text>'
    )


def _ribbon(x0: float, y0: float, x1: float, y1: float, thick: float, kind: str) -> str:
    middle = (x0 + x1) / 2
    thick = max(thick, 0.75)
    return (
        f'<path class="ribbon {kind}" d="M{x0} {y0:.1f}C{middle} {y0:.1f} {middle} {y1:.1f} {x1} {y1:.1f}'
        f'V{y1 + thick:.1f}C{middle} {y1 + thick:.1f} {middle} {y0 + thick:.1f} {x0} {y0 + thick:.1f}Z"/>'
    )


def histogram_svg(drawn: Histogram) -> str:
    """Kept below, rejected and hatched on top; limits are dashed lines with their values."""
    highest = max((k + r for k, r in zip(drawn.kept, drawn.rejected, strict=True)), default=0) or 1
    plot_w, plot_h = WIDTH - 2 * LEFT, HEIGHT - BOTTOM - TOP
    wide = plot_w / len(drawn.kept)
    base = HEIGHT - BOTTOM
    bars: list[str] = []
    for at, (kept, rejected) in enumerate(zip(drawn.kept, drawn.rejected, strict=True)):
        x, low = LEFT + at * wide, float(base)
        for count, kind in ((kept, "kept"), (rejected, "lost")):
            if count:
                tall = max(plot_h * count / highest, 1.2)
                box = f'x="{x:.2f}" y="{low - tall:.2f}" width="{max(wide - 0.8, 0.8):.2f}" height="{tall:.2f}"'
                bars.append(f'<rect class="{kind}" {box}/>')
                bars.append(f'<rect fill="url(#hatch)" {box}/>' if kind == "lost" else "")
                low -= tall
    lines = "".join(_limit(drawn, limit, plot_w, base) for limit in _limits(drawn))
    unit = "" if drawn.unit in ("", "1") else f" {drawn.unit}"
    ends = (
        f'<text class="quiet" x="{LEFT}" y="{HEIGHT - 7}">{escape(number(drawn.low))}</text>'
        f'<text class="quiet" x="{WIDTH - LEFT}" y="{HEIGHT - 7}" text-anchor="end">'
        f"{escape(number(drawn.high) + unit)}</text>"
    )
    axis = f'<line class="axis" x1="{LEFT}" x2="{WIDTH - LEFT}" y1="{base}" y2="{base}"/>'
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(spoken(drawn))}">'
        f"{''.join(bars)}{axis}{lines}{ends}</svg>"
    )


def _limits(drawn: Histogram) -> list[tuple[str, float]]:
    return [
        (f"{sign} {number(limit)}", limit)
        for rule in drawn.rules
        for sign, limit in (("≥", rule.min), ("≤", rule.max))
        if limit is not None
    ]


def _limit(drawn: Histogram, limit: tuple[str, float], plot_w: float, base: float) -> str:
    words, value = limit
    x = LEFT + (value - drawn.low) / (drawn.high - drawn.low) * plot_w
    anchor = "start" if words.startswith("≥") else "end"
    if x < 60:
        anchor = "start"
    if x > WIDTH - 60:
        anchor = "end"
    return (
        f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{base}"/>'
        f'<text x="{x:.1f}" y="{TOP - 8}" text-anchor="{anchor}">{escape(words)}</text>'
    )


def spoken(drawn: Histogram) -> str:
    """The chart in one sentence."""
    limits = ", ".join(words for words, _ in _limits(drawn))
    return (
        f"Distribution of {drawn.name}: {sum(drawn.kept)} kept and {sum(drawn.rejected)} rejected clips from "
        f"{number(drawn.low)} to {number(drawn.high)} {drawn.unit}; " + (f"rules: {limits}" if limits else "no rule")
    )


HATCH = (
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs><pattern id="hatch" width="5" '
    'height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch" x1="0" x2="0" y1="0" '
    'y2="5"/></pattern></defs></svg>'
)
"""The pattern that marks what is rejected, once in a page."""
