"""How a value shows itself at the end of a cell: as plain text everywhere, and as HTML where a page can take it.

Text that came from outside (names of models, answers, messages of servers) is inert in both: HTML is escaped, control
characters, and so a terminal's escape sequences, become visible signs, and MathJax is told to look away. There are no
scripts, no colours and nothing to fetch: the table takes on the notebook's theme. Knows no notebook library.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LONGEST = 400
"""Characters of one fact; what is longer is a text of its own, not a cell of a table."""

_ABSENT = "—"
_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_SIGNS = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"}
_SIGNS |= {0x7F: "\u2421", **dict.fromkeys(range(0x80, 0xA0), "\ufffd")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text.

    Attributes:
        columns: headings; none: a list of facts, the first cell of a row names the second.
        rows: each as long as ``columns``.
    """

    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is to be seen of a value, from top to bottom.

    Attributes:
        heading: one line.
        text: shown as it is, line by line.
        tables: one below the other; empty ones are left out.
        notes: a sentence or two each.
    """

    heading: str
    text: str = ""
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()


class Shown:
    """Shows itself by :meth:`_view`; of a dataclass that is, unless it says otherwise, its fields."""

    __slots__ = ()

    def _view(self) -> View:
        return View(heading=type(self).__name__, tables=[facts(self)])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002
        view = self._view()
        return {"text/plain": as_text(view), "text/html": as_html(view)}


def facts(value: Any, *names: str) -> Table:
    """Attributes as a list of facts; no names: the fields of a dataclass that its repr shows."""
    chosen = names or tuple(field.name for field in dataclasses.fields(value) if field.repr)
    return Table(rows=[(name, fact(getattr(value, name), name)) for name in chosen])


def fact(value: object, name: str = "") -> str:
    """A value for people; the unit at the end of ``name`` (``_bytes``, ``_ms``) says how a number is written."""
    if value is None or value == () or value == {}:
        return _ABSENT
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _short(_listed(value))
    if name.endswith("_bytes"):
        return size(value)
    if isinstance(value, float):
        return f"{value:,.1f}" if name.endswith("_ms") else f"{value:,.4g}"
    return f"{value:,}"


def size(n_bytes: float) -> str:
    """Bytes for people: "1.5 GiB"."""
    for unit, name in _UNITS:
        if n_bytes >= unit:
            return f"{n_bytes / unit:,.1f} {name}"
    return f"{n_bytes:,.0f} B"


def harmless(text: str) -> str:
    """``text`` with signs in place of control characters; line breaks and tabs stay."""
    return text.replace("\r\n", "\n").translate(_SIGNS)


def as_text(view: View) -> str:
    """For a terminal."""
    tables = ["\n".join(_lines(table)) for table in view.tables if table.rows]
    parts = [view.heading, view.text, *tables, "\n".join(view.notes)]
    return harmless("\n\n".join(part for part in parts if part))


def as_html(view: View) -> str:
    """For a notebook."""
    # each of the two class names keeps another generation of MathJax away
    return (
        f'<div class="tex2jax_ignore mathjax_ignore"><p><b>{_escaped(view.heading)}</b></p>'
        + (f'<pre style="white-space: pre-wrap">{_escaped(view.text)}</pre>' if view.text else "")
        + "".join(_table(table) for table in view.tables if table.rows)
        + "".join(f"<p>{_escaped(note)}</p>" for note in view.notes)
        + "</div>"
    )


def _listed(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_listed(one)}" for name, one in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(_listed(one) for one in value)
    return str(value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _escaped(text: str) -> str:
    return html.escape(harmless(text))


def _table(table: Table) -> str:
    head = "".join(_cell("th", name) for name in table.columns)
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    body = "".join(f"<tr>{_row(row, named=not table.columns)}</tr>" for row in table.rows)
    return f"<table>{head}<tbody>{body}</tbody></table>"


def _row(row: Sequence[str], *, named: bool) -> str:
    return "".join(_cell("th" if named and not place else "td", text) for place, text in enumerate(row))


def _cell(tag: str, text: str) -> str:
    return f'<{tag} style="text-align: left">{_escaped(text)}</{tag}>'


def _lines(table: Table) -> Iterable[str]:
    """The rows with their columns one below the other; a line break would tear a row apart."""
    given = [*([table.columns] if table.columns else []), *table.rows]
    rows = [[" ".join(harmless(cell).split()) for cell in row] for row in given]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
