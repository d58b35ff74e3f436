"""The report's tables in Markdown, for docs/calibration.md, and as lines for a terminal."""

from collections import Counter
from collections.abc import Sequence

from vividhead.calibrate.perturbations import FAMILIES
from vividhead.calibrate.records import Calibration, Curve, LipSync, Span, Threshold

UNIT_OF = {family.name: family.unit for family in FAMILIES}


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}g}"


def percent(value: float | None) -> str:
    """A part in percent, or a dash."""
    return "–" if value is None else f"{100 * value:.0f} %"


def span(found: Span, digits: int = 3) -> str:
    """A figure with its interval."""
    if found.low is None or found.high is None:
        return number(found.value, digits)
    return f"{number(found.value, digits)} [{number(found.low, digits)}, {number(found.high, digits)}]"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def threshold_rows(found: Calibration) -> list[list[str]]:
    """One row a field with a limit."""
    return [
        [
            t.field, {"low": "at least", "high": "at most", "size": "size at most"}[t.sense], ", ".join(t.families),
            span(t.auc), span(t.wanted) + ("" if t.reached else " (best there is)"),
            f"{percent(t.precision)}; {percent(t.held_out_precision)}",
            f"{span(t.kept_good, 2)}; {number(t.held_out_kept_good, 2)}",
            number(t.shipped), percent(t.shipped_precision), percent(t.shipped_kept_good),
            _dropped(t),
        ]
        for t in found.thresholds
    ]  # fmt: skip


THRESHOLD_HEADS = (
    "field", "good is", "harmful by", "AUC", "limit", "its precision; held out", "good kept; held out", "shipped limit",
    "its precision", "good kept", "drops of datasets: limit, shipped",
)  # fmt: skip


def _dropped(threshold: Threshold) -> str:
    parts = [f"{name}: {percent(a)}, {percent(b)}" for name, (a, b) in threshold.dropped_of_datasets.items()]
    return "; ".join(parts) or "–"


LEVEL_HEADS = ("level", "clips", "p10", "median", "p90", "unmeasured", "refused", "parted", "error", "right")


def level_rows(curve: Curve) -> list[list[str]]:
    """One row a level."""
    rows = []
    for k, level in enumerate(curve.levels):
        name = "untouched" if k == 0 else f"{level.level:g}{' (harmful)' if level.harmful else ''}"
        rows.append(
            [
                name, str(level.clips), number(level.p10), number(level.median), number(level.p90),
                str(level.unmeasured), percent(level.refused), percent(level.parted), number(level.error_median),
                percent(level.within),
            ]
        )  # fmt: skip
    return rows


CURVE_HEADS = ("field", "under", "levels", "AUC", "monotone", "median", "refused", "parted", "right")


def curve_row(curve: Curve) -> list[str]:
    """One row a curve; its levels, the untouched clips first, are parted by strokes."""
    first, *rest = curve.levels
    names = ["untouched", *(f"{level.level:g}{'*' if level.harmful else ''}" for level in rest)]
    right = [percent(level.within) for level in rest] if curve.tolerance is not None else []
    return [
        curve.field, f"{curve.family} ({UNIT_OF[curve.family]})", " / ".join(names), span(curve.auc),
        span(curve.monotone), " / ".join(number(level.median) for level in (first, *rest)),
        " / ".join(percent(level.refused) for level in (first, *rest)),
        " / ".join(percent(level.parted) for level in (first, *rest)), " / ".join(right) or "–",
    ]  # fmt: skip


LIP_SYNC_HEADS = (
    "clips", "count", "offset within 1 frame", "… of those read", "peak AUC", "wrong sound accepted", "confident of it",
    "untouched accepted",
)  # fmt: skip


def lip_sync_row(name: str, found: LipSync) -> list[str]:
    """One row a part of the clips."""
    return [
        name, str(found.clips), span(found.within_1_frame), span(found.within_1_frame_of_known), span(found.peak_auc),
        ", ".join(f"{family} {percent(part)}" for family, part in found.false_accepts.items()),
        ", ".join(f"{family} {percent(part)}" for family, part in found.false_confident.items()),
        percent(found.kept_good),
    ]  # fmt: skip


def left_out_of(found: Calibration) -> str:
    """How many clips took no part, by reason."""
    counts = Counter(found.left_out.values())
    return f"left out: {len(found.left_out)} ({', '.join(f'{n} {why}' for why, n in counts.most_common())})"


def summary_of(found: Calibration) -> str:
    """A few lines for a terminal."""
    lines = [
        f"{len(found.clips)} good clips of {len({good.speaker for good in found.clips})} speakers, "
        f"{found.wall_s:.0f} s; the shipped rules keep {percent(found.untouched_kept)} of them untouched",
        "",
        f"{'field':<40}{'AUC':>8}{'limit':>10}{'keeps':>8}{'shipped':>10}{'keeps':>8}{'precision':>11}",
    ]
    for t in found.thresholds:
        lines.append(
            f"{t.field:<40}{number(t.auc.value):>8}{number(t.wanted.value) + ('' if t.reached else '?'):>10}"
            f"{percent(t.kept_good.value):>8}{number(t.shipped):>10}{percent(t.shipped_kept_good):>8}"
            f"{percent(t.shipped_precision):>11}"
        )
    for name, part in found.lip_sync.items():
        lines.append(
            f"lip_sync, {name}: within a frame {percent(part.within_1_frame.value)} "
            f"({percent(part.within_1_frame_of_known.value)} of those read), AUC {number(part.peak_auc.value)}"
        )
    if found.left_out:
        lines.append(left_out_of(found))
    return "\n".join([*lines, "", f"a limit with ? does not reach a precision of {found.precision:g}"])


def markdown_of(found: Calibration) -> str:
    """All tables."""
    parts = [
        f"Made by `{found.command or 'vividhead calibrate'}` (VividHead {found.vividhead}, seed {found.seed}): "
        f"{len(found.clips)} clips of {len({good.speaker for good in found.clips})} speakers, up to "
        f"{found.seconds:g} s each, {found.wall_s:.0f} s of work. Intervals hold 95 of 100 resamplings of speakers.",
        *([left_out_of(found).capitalize() + "."] if found.left_out else []),
        "## Limits",
        f"Wanted precision {found.precision:g}. The shipped rules keep {percent(found.untouched_kept)} of the clips.",
        table(THRESHOLD_HEADS, threshold_rows(found)),
    ]
    if found.lip_sync:
        parts += ["## Lip sync", table(LIP_SYNC_HEADS, [lip_sync_row(n, p) for n, p in found.lip_sync.items()])]
        rows = [[number(b.said), number(b.true), str(b.readings)] for b in found.lip_sync["all"].reliability]
        said = "What `confidence` says, and how much of it is true (at most, under 0.5, where no offset is given):"
        parts += [said, table(("said", "true", "readings"), rows)]
    costs = [[name, number(ms)] for name, ms in found.cost_ms_per_s.items()]
    parts += ["## Perturbations", table(CURVE_HEADS, [curve_row(curve) for curve in found.curves])]
    parts += ["## Cost", table(("score", "ms per second of clip"), costs)]
    return "\n\n".join(parts) + "\n"
