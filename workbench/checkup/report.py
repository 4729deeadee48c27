"""The outcome of an examination, for a terminal, a notebook and an exit status."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass
from typing import Literal

from workbench import __version__

Status = Literal["ok", "warning", "problem"]
_WIDTH = 110
_COLOURS = {"ok": "#1a7f37", "warning": "#9a6700", "problem": "#cf222e"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        status: "ok", "warning" (works, but not as well as it could) or "problem" (something will fail).
        detail: what was found.
        remedy: what to do; a command where there is one.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """All checks, in order.

    Attributes:
        checks: one for each thing that was looked at.
    """

    checks: tuple[Check, ...]

    @property
    def problems(self) -> tuple[Check, ...]:
        """The checks that found something that will fail."""
        return tuple(check for check in self.checks if check.status == "problem")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that found something that could be better."""
        return tuple(check for check in self.checks if check.status == "warning")

    @property
    def exit_code(self) -> int:
        """1 if there is a problem, else 0."""
        return 1 if self.problems else 0

    @property
    def headline(self) -> str:
        """The report in one line."""
        counts = [_count(len(self.problems), "problem"), _count(len(self.warnings), "warning")]
        return f"workbench {__version__}: {' and '.join(counts)}"

    def __getitem__(self, name: str) -> Check:
        """The check of that name.

        Raises:
            KeyError: nothing of that name was looked at.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def __str__(self) -> str:
        column = max((len(check.name) for check in self.checks), default=0)
        return "\n".join([self.headline, "", *(_lines(check, column) for check in self.checks)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(_row(check) for check in self.checks)
        return f"<p><b>{html.escape(self.headline)}</b></p><table>{rows}</table>"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _lines(check: Check, column: int) -> str:
    """Status, name and detail on one line where they fit, the remedy below."""
    start = f"  {check.status:<8} {check.name:<{column}}  "
    indent = " " * len(start)
    width = max(_WIDTH, len(start) + 40)
    lines = textwrap.wrap(start + " ".join(check.detail.split()), width, subsequent_indent=indent)
    if check.remedy:
        # a command is one line, however long, so that it can be copied
        lines.append(f"{indent}→ {check.remedy}")
    return "\n".join(lines)


def _row(check: Check) -> str:
    remedy = f"<br><b>→ {html.escape(check.remedy)}</b>" if check.remedy else ""
    return (
        f'<tr><td style="color:{_COLOURS[check.status]}">{check.status}</td>'
        f'<th style="text-align:left">{html.escape(check.name)}</th>'
        f'<td style="text-align:left">{html.escape(check.detail)}{remedy}</td></tr>'
    )
