"""Pieces of HTML that the report and the card share: numbers as people read them, and tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Markup:
    """Text that is HTML already."""

    html: str


Cell = str | Markup
"""A table's cell: a text to be escaped, or markup."""


@dataclass(frozen=True, slots=True)
class Head:
    """A column: its title, and how its cells are set: `n` numbers, `b` bars, empty for text."""

    title: str
    kind: str = ""


def table(caption: str, heads: Sequence[Head], rows: Iterable[Sequence[Cell]]) -> str:
    """A table whose first column names the rows."""
    titles = "".join(f'<th scope="col"{_kind(head)}>{escape(head.title)}</th>' for head in heads)
    body = "".join(_row(heads, row) for row in rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(heads: Sequence[Head], row: Sequence[Cell]) -> str:
    cells = [f"<td{_kind(head)}>{_html(cell)}</td>" for head, cell in zip(heads[1:], row[1:], strict=True)]
    return f'<tr><th scope="row">{_html(row[0])}</th>{"".join(cells)}</tr>'


def _kind(head: Head) -> str:
    return f' class="{head.kind}"' if head.kind else ""


def _html(cell: Cell) -> str:
    return cell.html if isinstance(cell, Markup) else escape(cell)


def bar(share: float, kind: str = "") -> Markup:
    """A bar as long as `share` of its cell, 0 … 1; a reader of the screen has the number beside it."""
    width = min(max(share, 0.0), 1.0) * 100
    return Markup(f'<span class="bar {kind}" style="width:{width:.2f}%" aria-hidden="true"></span>')


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, three digits."""
    if abs(seconds) < 600:
        return f"{seconds:.1f} s"
    if abs(seconds) < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:,.1f} h" if seconds < 3_600_000 else f"{seconds / 3600:,.0f} h"


def percent(part: float, whole: float) -> str:
    """A share in words; a dash where there is nothing to take it of."""
    return f"{part / whole:.1%}" if whole else "–"


def number(value: float) -> str:
    """About four digits, without an exponent where it can be helped."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
