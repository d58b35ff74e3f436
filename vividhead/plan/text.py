"""A plan for people."""

from collections.abc import Sequence

from vividhead.plan import Plan
from vividhead.plan.fact import Line
from vividhead.plan.forecast import Range


def shown(plan: Plan) -> str:
    """What there is, what it would cost and yield, and the order of the scores."""
    there, told = plan.footage, plan.forecast
    guessed = f", {there.guessed_s / 3600:,.2f} h of it guessed from bytes" if there.guessed_s else ""
    unreadable = f", {there.unreadable} of them unreadable" if there.unreadable else ""
    cluster = told.cluster
    rows = [
        ("kept", told.kept_h, "h"), ("CPU", told.core_h, "core-h"),
        *((f"  {stage}", cost, "core-h") for stage, cost in told.core_h_by_stage.items()),
        ("GPU", told.gpu_h, "GPU-h"),
        ("shards", told.packed_gb, "GB"), (f"{cluster.nodes} × {cluster.cores} cores", told.wall_h, "h"),
    ]  # fmt: skip
    lines = [
        f"{plan.where}: {there.files} files{unreadable}, {there.duration_s / 3600:,.2f} h{guessed}",
        f"tried: {told.files_tried} files, {told.tried_s / 3600:,.2f} h ({told.tried_s / there.duration_s:.1%}), "
        f"{plan.pipeline}, filters {plan.filters}",
        "",
        f"{'':16}{'forecast':>12}{'':10}90 % of such samples",
        *(_row(name, found, unit) for name, found, unit in rows),
    ]
    return "\n".join([*lines, "", *_order(plan)])


def _digits(value: float) -> str:
    """Three digits that count, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _row(name: str, found: Range, unit: str) -> str:
    return f"{name:16}{_digits(found.estimate):>12} {unit:8} {_digits(found.low)} … {_digits(found.high)}"


def _order(plan: Plan) -> list[str]:
    order = plan.order
    if not order.clips:
        return ["no candidate clip was found in the sample: nothing is known of the scores"]
    costs = [f"  {c.score:20}{c.cpu_ms_per_s:>10.1f} ms/s{c.refuses:>9.1%} refused" for c in order.costs]
    saved = 1 - order.cpu_ms_per_s_cheapest / order.cpu_ms_per_s_now if order.cpu_ms_per_s_now else 0.0
    return [
        f"scores in the order of a run, over {order.clips} candidate clips "
        f"({order.cpu_ms_per_s_now:.0f} ms for a second of clip):",
        *costs,
        f"cheapest order: {', '.join(order.cheapest)} ({order.cpu_ms_per_s_cheapest:.0f} ms, {saved:.0%} less)",
    ]


def beside_fact(lines: Sequence[Line]) -> str:
    """Forecast and fact, line by line."""
    out = [f"{'':16}{'forecast':>12}{'fact':>12}"]
    for line in lines:
        if line.fact is None:
            out.append(f"{line.what:16}{_digits(line.forecast.estimate):>12}{'unknown':>12} {line.unit:4} {line.why}")
            continue
        verdict = "within" if line.is_within else "outside"
        between = f"{verdict} {_digits(line.forecast.low)} … {_digits(line.forecast.high)}"
        out.append(
            f"{line.what:16}{_digits(line.forecast.estimate):>12}{_digits(line.fact):>12} {line.unit:4} {between}"
        )
    return "\n".join(out)
