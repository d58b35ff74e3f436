"""The report as one HTML file that opens offline: no script, no request, every chart with its table beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from vividhead.audit.flow import Flow
from vividhead.audit.page import Cell, Head, bar, duration, number, percent, table
from vividhead.audit.report.charts import HATCH, Step, flow_svg, histogram_svg
from vividhead.audit.report.figures import Attribute, Histogram, Model
from vividhead.audit.report.pace import Pace
from vividhead.audit.report.stills import Still
from vividhead.licences import licences_of
from vividhead.policy import Policy

MOST_LOSSES = 5
MOST_SOURCES = 25
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Of the browser: a name in the footage can never become a script or a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All that the page shows."""

    where: str
    run: dict[str, Any]
    policy: Policy
    is_own_policy: bool
    """The dataset's own, not one given for the report."""
    n_clips: int
    n_kept: int
    flow: Flow
    histograms: Sequence[Histogram]
    durations: Histogram
    attributes: Sequence[Attribute]
    pace: Pace
    hourly_cost: float | None
    models: Sequence[Model]
    best: Sequence[Still]
    worst: Sequence[Still]
    rejected: Sequence[Still]
    vividhead: str


def page_of(f: Figures) -> str:
    """The whole page."""
    sections = [
        ("flow", "Where the hours went", _flow(f.flow)),
        ("reasons", "Reasons", _reasons(f.flow)),
        ("scores", "Scores and their limits", _scores(f)),
        ("sources", "Yield of the sources", _sources(f.flow)),
        ("skew", "Yield by attribute, and the skew of the filters", _attributes(f.attributes)),
        ("durations", "Lengths of clips", _charts([f.durations])),
        ("pace", "Pace and cost", _pace(f)),
        ("examples", "Examples", _examples(f)),
        ("made", "Models, versions, licences", _made(f)),
    ]
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title, _ in sections)
    body = "".join(f'<section aria-labelledby="{n}"><h2 id="{n}">{escape(t)}</h2>{b}</section>' for n, t, b in sections)
    style = (files("vividhead.audit") / "report" / "style.css").read_text(encoding="utf-8")
    title = f"Report on {f.where}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{HATCH}"
        f'<a class="skip" href="#flow">Skip to the figures</a><header><h1>{escape(title)}</h1>{_intro(f)}</header>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav><main>{body}</main>'
        f"<footer>Made by <code>vividhead report</code>, VividHead {escape(f.vividhead)}. Seconds are those of the "
        "footage's own clock; a clip's seconds go to the first rule that it broke.</footer></body></html>\n"
    )


def _intro(f: Figures) -> str:
    whose = "its own filters" if f.is_own_policy else "other filters than the dataset was made with"
    footage_s, kept_s = f.flow.footage_s, f.flow.bucket_s("kept")
    tiles = [
        ("Footage", duration(footage_s), f"{len(f.flow.uris):,} sources"),
        ("Kept", duration(kept_s), f"{percent(kept_s, footage_s)} of the footage"),
        ("Candidate clips", f"{f.n_clips:,}", "each measured and judged"),
        ("Kept clips", f"{f.n_kept:,}", f"{percent(f.n_kept, f.n_clips)} of the candidates"),
    ]
    waiting = f.flow.bucket_s("not_yet")
    if waiting:
        tiles.append(("Not yet", duration(waiting), "to be measured or packed"))
    shown = "".join(f"<div><dt>{escape(a)}</dt><dd>{escape(b)}</dd><dd>{escape(c)}</dd></div>" for a, b, c in tiles)
    described = f" — {escape(f.policy.description)}" if f.policy.description else ""
    return (
        f"<p>Judged by <b>{escape(f.policy.name)}</b> ({whose}; digest <code>{f.policy.digest}</code>){described}</p>"
        f'<dl class="tiles">{shown}</dl>'
    )


def steps_of(flow: Flow) -> list[Step]:
    """Footage, what of it is readable and new, what is in candidates, what is kept; and what each step took."""
    flat = [(bucket, code, s) for bucket, codes in flow.seconds.items() for code, s in codes.items() if s > 0]
    at_start = [(c, s) for b, c, s in flat if b == "duplicate" or c.startswith("source.") or _unread(b, c)]
    rest = [(b, c, s) for b, c, s in flat if (c, s) not in at_start]
    no_clip = [(c, s) for b, c, s in rest if b == "not_candidate" or (b == "not_yet" and c == "not_yet")]
    judged = [(c, s) for b, c, s in rest if b != "kept" and (c, s) not in no_clip]
    left = flow.footage_s
    steps = [Step("Footage", left, [])]
    for name, lost in (("Readable, new", at_start), ("In candidate clips", no_clip), ("Kept", judged)):
        left = max(0.0, left - sum(s for _, s in lost))
        steps.append(Step(name, left, _few(lost)))
    return steps


def _unread(bucket: str, code: str) -> bool:
    return bucket == "failed" and code in ("failed.unreadable", "failed.empty", "failed.truncated")


def _few(lost: list[tuple[str, float]]) -> list[tuple[str, float]]:
    ordered = sorted(lost, key=lambda item: -item[1])
    rest = ordered[MOST_LOSSES:]
    return [*ordered[:MOST_LOSSES], *([(f"{len(rest)} other reasons", sum(s for _, s in rest))] if rest else [])]


def _flow(flow: Flow) -> str:
    steps = steps_of(flow)
    rows: list[Sequence[Cell]] = []
    for step in steps:
        share = percent(step.left_s, flow.footage_s)
        took = ", ".join(f"{what} {duration(s)}" for what, s in step.lost) or "–"
        rows.append((step.name, duration(step.left_s), share, took))
    drawn = f'<div class="wide" tabindex="0" role="region" aria-label="Flow of hours">{flow_svg(steps)}</div>'
    heads = (Head("after"), Head("left", "n"), Head("of footage", "n"), Head("taken by this step"))
    return drawn + _folded("The flow as a table", table("What each step leaves", heads, rows))


def _folded(title: str, html: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{html}</details>"


def _reasons(flow: Flow) -> str:
    flat = sorted(((s, b, c) for b, codes in flow.seconds.items() for c, s in codes.items() if s), reverse=True)
    most = flat[0][0] if flat else 1.0
    kinds = {"kept": "kept", "rejected": "hatched"}
    rows = [
        (
            c if c != b else b,
            b.replace("_", " "),
            duration(s),
            percent(s, flow.footage_s),
            bar(s / most, kinds.get(b, "idle")),
        )
        for s, b, c in flat
    ]
    heads = (Head("code"), Head("counts as"), Head("time", "n"), Head("of footage", "n"), Head("", "b"))
    return "<p>Every second of footage is in exactly one row; the rows sum to the footage.</p>" + table(
        "Seconds by reason", heads, rows
    )


def _scores(f: Figures) -> str:
    ruled = [h for h in f.histograms if h.rules]
    others = [h for h in f.histograms if not h.rules]
    legend = '<p><span class="key"></span>kept <span class="key lost" style="margin-left:1em"></span>rejected. Dashed '
    legend += "lines are the limits of the filters. The end bars also hold what lies beyond them.</p>"
    folded = _folded(f"{len(others)} measured fields without a rule", _charts(others)) if others else ""
    return legend + _charts(ruled) + folded


def _charts(drawn: Iterable[Histogram]) -> str:
    return f'<div class="charts">{"".join(map(_figure, drawn))}</div>'


def _figure(h: Histogram) -> str:
    unit = "" if h.unit in ("", "1") else f" [{h.unit}]"
    notes = [f"{code.replace('_', ' ')}: {n:,} clips" for code, n in h.unknown]
    unknown = f"<br>No value – {escape('; '.join(notes))}" if notes else ""
    why = "".join(f"<br>Rule: {escape(rule.why)}" for rule in h.rules)
    edges = h.edges()
    rows = [
        (f"{number(edges[at])} … {number(edges[at + 1])}", f"{kept:,}", f"{rejected:,}")
        for at, (kept, rejected) in enumerate(zip(h.kept, h.rejected, strict=True))
        if kept or rejected
    ]
    heads = (Head(f"from … to{unit}"), Head("kept", "n"), Head("rejected", "n"))
    return (
        f"<figure><figcaption><b>{escape(h.name)}</b>{escape(unit)} – {escape(h.meaning)}</figcaption>"
        f"{histogram_svg(h)}<figcaption>{(why + unknown).removeprefix('<br>')}</figcaption>"
        f"{_folded('Table', table(f'Clips by {h.name}', heads, rows))}</figure>"
    )


def _sources(flow: Flow) -> str:
    pairs = sorted(
        zip(flow.footage_s_N.tolist(), flow.kept_s_N.tolist(), flow.uris, strict=True), key=lambda p: (-p[0], p[2])
    )
    spread = [0] * 11
    for footage_s, kept_s, _ in pairs:
        if footage_s > 0:
            spread[0 if kept_s <= 0 else min(10, 1 + int(kept_s / footage_s * 10))] += 1
    most = max(spread) or 1
    names = ["nothing", *(f"{at * 10} … {at * 10 + 10} %" for at in range(10))]
    rows = [
        (name, f"{n:,}", bar(n / most, "kept" if at else "idle"))
        for at, (name, n) in enumerate(zip(names, spread, strict=True))
    ]
    heads = (Head("of a source is kept"), Head("sources", "n"), Head("", "b"))
    longest = [
        (
            uri,
            duration(footage_s),
            duration(kept_s),
            percent(kept_s, footage_s),
            bar(kept_s / footage_s if footage_s else 0, "kept"),
        )
        for footage_s, kept_s, uri in pairs[:MOST_SOURCES]
    ]
    long_heads = (Head("source"), Head("footage", "n"), Head("kept", "n"), Head("yield", "n"), Head("", "b"))
    return table("How much of a source is kept", heads, rows) + _folded(
        f"The {len(longest)} longest sources", table("Yield of the longest sources", long_heads, longest)
    )


def _attributes(found: Sequence[Attribute]) -> str:
    if not found:
        return "<p>The footage has no attributes to tell apart.</p>"
    intro = (
        "<p>Change is the share of the kept hours divided by the share of the candidates: ×1 is no skew, ×0.5 says "
        "that the filters halve this group's part of the set.</p>"
    )
    return intro + "".join(_attribute(attribute) for attribute in found)


def _attribute(a: Attribute) -> str:
    heads = (
        Head("value"), Head("sources", "n"), Head("footage", "n"), Head("candidates", "n"), Head("kept", "n"),
        Head("of candidates", "n"), Head("", "b"), Head("change", "n"), Head("lost most to"),
    )  # fmt: skip
    rows: list[Sequence[Cell]] = []
    for g in a.groups:
        change = a.change(g)
        rows.append((
            g.value, f"{g.n_sources:,}", duration(g.footage_s), duration(g.candidate_s), duration(g.kept_s),
            percent(g.kept_s, g.candidate_s), bar(g.kept_s / g.candidate_s if g.candidate_s else 0, "kept"),
            "–" if change is None else f"×{change:.2f}", g.first_reason or "–",
        ))  # fmt: skip
    return f"<h3>{escape(a.name.replace('_', ' '))}</h3>" + table(f"Yield by {a.name.replace('_', ' ')}", heads, rows)


def _pace(f: Figures) -> str:
    footage_s, kept_s, work_s = f.flow.footage_s, f.flow.bucket_s("kept"), f.pace.work_s
    units = ", ".join(f"{stage} {count:,}" for stage, count in f.pace.units)
    done = f"<p>Units done: {escape(units)}.</p>" if units else ""
    if work_s is None:
        return f"<p>Unknown: {escape(f.pace.why)}.</p>{done}"
    kept_h = kept_s / 3600
    rows: list[Sequence[Cell]] = [
        ("from the first committed unit to the last, pauses over ten minutes left out", duration(work_s)),
        ("footage per second of it", f"{footage_s / work_s:.1f} s"),
        ("time per kept hour", duration(work_s / kept_h) if kept_h else "nothing is kept"),
    ]
    if f.hourly_cost is not None and kept_h:
        rows.append(
            (f"cost per kept hour, at {f.hourly_cost:g} an hour", f"{work_s / 3600 * f.hourly_cost / kept_h:,.2f}")
        )
    return table("Of the whole run, on all its machines together", (Head("what"), Head("how much", "n")), rows) + (
        '<p class="quiet">Read from the file times of the ledger: a copied dataset has the copy\'s. Time before '
        f"the first unit was done is not in it.</p>{done}"
    )


def _examples(f: Figures) -> str:
    return (
        "<p>Room is the least distance to any limit: 1 is as far from it as the median kept clip, 0 is on it.</p>"
        f"<h3>Kept, with the most room</h3>{_stills(f.best)}"
        + (f"<h3>Kept, with the least room</h3>{_stills(f.worst)}" if f.worst else "")
        + f"<h3>Rejected: least and furthest off, by reason</h3>{_stills(f.rejected)}"
    )


def _stills(stills: Sequence[Still]) -> str:
    if not stills:
        return "<p>There are none.</p>"
    return f'<ul class="stills">{"".join(map(_still, stills))}</ul>'


def _still(s: Still) -> str:
    label = escape(f"clip {s.clip_id} from {s.where}")
    if s.jpeg_base64:
        picture = f'<img alt="{label}" src="data:image/jpeg;base64,{s.jpeg_base64}">'
    else:
        picture = f'<div class="none">{escape(s.missing)}</div>'
    named = f"{escape(s.where)}<br><code>{escape(s.clip_id)}</code>"
    return f'<li>{picture}<p>{escape(s.what)}</p><p class="quiet">{named}</p></li>'


def _made(f: Figures) -> str:
    heads = (Head("score"), Head("version", "n"), Head("clips", "n"), Head("model"), Head("model's licence"))
    rows: list[Sequence[Cell]] = [
        (m.score, str(m.version), f"{m.n_clips:,}", m.fingerprint or "none: computed", licences_of(m.fingerprint))
        for m in f.models
    ]
    versions = [(str(name), str(value)) for name, value in f.run["versions"].items()]
    return (
        table("What measured", heads, rows)
        + table("Versions", (Head("package"), Head("version")), versions)
        + _folded(
            "The pipeline as it was read", f"<pre class=wide tabindex=0>{escape(f.run['pipeline']['text'])}</pre>"
        )
        + _folded("The filters as they were read", f"<pre class=wide tabindex=0>{escape(f.policy.text)}</pre>")
    )
