"""The report as one HTML file that needs nothing else: figures, curves over time, a few pictures."""

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from vividhead.flashhead.evaluate.grade import gaps_of
from vividhead.flashhead.evaluate.records import Curve, Grade, Reading, Report
from vividhead.flashhead.evaluate.watch import Shown

WIDTH, HEIGHT, MARGIN = 640, 90, 4

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:720px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}small{color:#666}svg{background:#f6f6f6;width:100%}"
    "img{width:100%}h2{margin-top:2em}"
)


def page_of(report: Report, sheets: Sequence[Sequence[Shown]]) -> str:
    """The page; `sheets` are a few pictures of each talk."""
    subject = report.subject
    digest = f", checkpoint {subject.checkpoint_sha256[:16]}" if subject.checkpoint_sha256 else ""
    model = f"Model {escape(subject.model)}{digest}. " if subject.model else ""
    talks = "".join(_talk(grade, sheet) for grade, sheet in zip(report.grades, sheets, strict=True))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(subject.path)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(subject.path)}</h1><p>A {escape(subject.kind)}. {model}Held against "
        f"{escape(report.dataset)}; at most {report.minutes:g} min of each talk; seed {report.seed}; "
        f"VividHead {escape(report.vividhead)}.</p>{_table([('FID', [report.fid]), ('FVD', [report.fvd])])}"
        f"{talks}</html>\n"
    )


def _talk(grade: Grade, sheet: Sequence[Shown]) -> str:
    portrait = f", portrait {grade.portrait}" if grade.portrait else ""
    curves = (
        ("mouth opening ÷ eye distance, mean of each second", grade.opening),
        ("loudness, RMS", grade.loudness),
        ("identity: similarity to the first second, 1 − L2", grade.identity.to_first_second),
        ("sharpness: blurs per face", grade.sharpness.blurs_per_face),
    )
    drawn = "".join(f"<h3>{name}</h3>{svg_of(curve)}" for name, curve in curves)
    return (
        f"<h2>{escape(grade.talk)}</h2><p>{grade.duration_s:g} s{escape(portrait)}; a face mesh on "
        f"{grade.mesh_coverage:.0%} of the frames.</p>{_sheet(sheet)}{_figures(grade)}{drawn}"
    )


def _figures(grade: Grade) -> str:
    head = "".join(f"<th>{name}" for name in ("", "own sound", *(f"other {k + 1}" for k in range(len(grade.others)))))
    heard = (grade.own, *grade.others)
    rows: list[tuple[str, Sequence[Reading]]] = [
        ("opening follows loudness, best r", [h.opening.best_r for h in heard]),
        ("… at lag", [h.opening.best_lag_frames for h in heard]),
        ("lip_sync confidence", [h.lip_sync_confidence for h in heard]),
        ("lip_sync offset", [h.lip_sync_offset_ms for h in heard]),
        ("LSE-C", [h.lip_sync_error.lse_c for h in heard]),
        ("LSE-D", [h.lip_sync_error.lse_d for h in heard]),
        ("SyncNet's offset", [h.lip_sync_error.offset_frames for h in heard]),
        ("opening while silent", [grade.silence.silent_opening]),
        ("opening while sounding", [grade.silence.sounding_opening]),
        ("identity, lowest", [grade.identity.lowest]),
        ("identity, end", [grade.identity.end]),
        ("sharpness, change", [grade.sharpness.change]),
        ("PSNR across chunks", [grade.boundaries.across_db]),
        ("… − beside", [grade.boundaries.jump_db]),
    ]
    return _table(rows, f"<tr>{head}")


def _table(rows: Sequence[tuple[str, Sequence[Reading]]], head: str = "") -> str:
    body = "".join(f"<tr><td>{name}{''.join(map(_cell, readings))}" for name, readings in rows)
    return f"<table>{head}{body}</table>"


def summary_of(report: Report) -> str:
    """A few lines for each talk, for a terminal."""
    lines = []
    for grade in report.grades:
        heard = (grade.own, *grade.others)
        lines += [
            f"{grade.talk}: {grade.duration_s:g} s, face mesh {grade.mesh_coverage:.0%}",
            _line("opening follows loudness, r", [h.opening.best_r for h in heard]),
            _line("lip_sync confidence", [h.lip_sync_confidence for h in heard]),
            _line("lip_sync offset", [h.lip_sync_offset_ms for h in heard]),
            _line("LSE-C", [h.lip_sync_error.lse_c for h in heard]),
            _line("LSE-D", [h.lip_sync_error.lse_d for h in heard]),
            _line("opening while silent | sounding", [grade.silence.silent_opening, grade.silence.sounding_opening]),
            _line("identity lowest | end", [grade.identity.lowest, grade.identity.end]),
            _line("sharpness change", [grade.sharpness.change]),
            _line("PSNR across chunks | - beside", [grade.boundaries.across_db, grade.boundaries.jump_db]),
        ]
    lines.append(_line("FID | FVD", [report.fid, report.fvd]))
    return "\n".join([*lines, "columns of the first five: own sound, then other clips' sound"])


def _line(name: str, readings: Sequence[Reading]) -> str:
    return f"  {name:<33}" + "".join(f"{said(reading):>18}" for reading in readings)


def _cell(reading: Reading) -> str:
    return f'<td class="n">{escape(said(reading))}'


def said(reading: Reading) -> str:
    """The number with its unit, or why there is none."""
    if reading.value is None:
        return reading.code if reading.status == "unmeasurable" else f"{reading.status}: {reading.code}"
    unit = "" if reading.unit in ("1", "1 - L2", "L2") else f" {reading.unit}"
    return f"{reading.value:.3g}{unit}"


def svg_of(curve: Curve) -> str:
    """The curve with its range; gaps stay open, and a lone value is a dot."""
    known = [value for value in curve.values if value is not None]
    if not known:
        return "<p><small>nothing was measured</small></p>"
    low, high = min(known), max(known)
    last = max(curve.at_s) or 1.0

    def place(at_s: float, value: float) -> str:
        x = MARGIN + at_s / last * (WIDTH - 2 * MARGIN)
        share = (value - low) / (high - low) if high > low else 0.5
        return f"{x:.1f},{HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN):.1f}"

    lines = "".join(
        f'<polyline points="{" ".join(place(*p) for p in [*run, run[-1]])}" fill="none" stroke="#1b6ca8" '
        f'stroke-width="2" stroke-linecap="round"/>'
        for run in gaps_of(curve)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{lines}</svg>'
        f"<small>{low:.3g} … {high:.3g}, over {last:g} s</small>"
    )


def _sheet(sheet: Sequence[Shown]) -> str:
    if not sheet:
        return ""
    row_HWC = np.concatenate([shown.picture_HWC for shown in sheet], axis=1)
    is_done, png = cv2.imencode(".png", cv2.cvtColor(row_HWC, cv2.COLOR_RGB2BGR))
    assert is_done
    times = ", ".join(f"{shown.at_s:g}" for shown in sheet)
    data = base64.b64encode(png.tobytes()).decode()
    return f'<img alt="the talk" src="data:image/png;base64,{data}"><p><small>at {times} s</small></p>'
