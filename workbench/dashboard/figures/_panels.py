"""Which lines go into which panel of small multiples: medians over a numeric parameter. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.dashboard import data
from workbench.dashboard.figures._front import Value, median_of
from workbench.errors import UnknownName, UsageError
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis

MOST_PANELS, MOST_LINES = 12, 7
"""Lines: as many as there are colours to tell apart."""


@dataclass(frozen=True, slots=True)
class Line:
    """One level of the colouring parameter in one panel.

    Attributes:
        level: plain text; empty without such a parameter.
        colour: its number among the levels.
        values: (level of x, median with its interval), ascending.
        beyond: (level of x, what was said) of configurations that did not fit into memory.
    """

    level: str
    colour: int
    values: Sequence[tuple[float, Value]]
    beyond: Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Panel:
    """The lines of one level of the panels' parameter; ``heading`` is empty where there is none."""

    heading: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which parameter plays which part; levels of ``x`` ascending."""

    x: str
    panel: str | None
    colour: str | None
    levels: Sequence[float]


def numeric(analysis: Analysis) -> list[str]:
    """Varied parameters whose levels are numbers, those with most levels first."""
    names = [name for name, levels in data.varied(analysis).items() if len(levels) > 1 and all(map(_is_number, levels))]
    names = [name for name in names if name in analysis.frame.columns]
    return sorted(names, key=lambda name: -len(analysis.parameters[name]))


def _is_number(level: Any) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool)


def choose(analysis: Analysis, x: str | None, panel: str | None, colour: str | None) -> Choice:
    """Fill in the parameters left open.

    The numeric one with most levels goes across; of the others, the first with few enough levels colours the lines
    and the next has the panels.
    """
    for name in (x, panel, colour):
        if name is not None and name not in analysis.parameters:
            raise UnknownName("parameter", name, analysis.parameters)
    if x is not None and x not in numeric(analysis):
        raise UsageError(f"{x!r} cannot go across: its levels are not all numbers, or it has only one.")
    x = x or next(name for name in numeric(analysis) if name not in (panel, colour))
    free = [
        name
        for name in data.varied(analysis)
        if name not in (x, panel, colour) and len(analysis.parameters[name]) > 1 and name in analysis.frame.columns
    ]
    if colour is None:
        colour = next((name for name in free if len(analysis.parameters[name]) <= MOST_LINES), None)
    panel = panel or next((name for name in free if name != colour), None)
    return Choice(x, panel, colour, sorted(analysis.parameters[x]))


def panels(analysis: Analysis, metric: str, choice: Choice) -> list[Panel]:
    """Every panel that has a line or a boundary, at most :data:`MOST_PANELS`."""
    frame = data.grid(analysis, metric).dropna(subset=["value"])
    levels = analysis.parameters[choice.panel] if choice.panel else [None]
    found = [_panel(analysis, frame, choice, level) for level in levels]
    return [panel for panel in found if panel.lines][:MOST_PANELS]


def _panel(analysis: Analysis, frame: pd.DataFrame, choice: Choice, level: Any) -> Panel:
    fixed = {choice.panel: data.level_key(level)} if choice.panel else {}
    levels = analysis.parameters[choice.colour][:MOST_LINES] if choice.colour else [None]
    lines = [_line(analysis, frame, choice, fixed, one, number) for number, one in enumerate(levels)]
    heading = f"{choice.panel} = {show(level)}" if choice.panel else ""
    return Panel(heading, [line for line in lines if line.values or line.beyond])


def _line(
    analysis: Analysis, frame: pd.DataFrame, choice: Choice, fixed: dict[str, str], level: Any, number: int
) -> Line:
    if choice.colour:
        fixed = {**fixed, choice.colour: data.level_key(level)}
    for name, key in fixed.items():
        frame = frame[frame[name] == key]
    runs = {at: list(frame.loc[frame[choice.x] == data.level_key(at), "value"]) for at in choice.levels}
    refused = {at: data.not_fitting(analysis, {**fixed, choice.x: data.level_key(at)}) for at in choice.levels}
    return Line(
        show(level) if choice.colour else "",
        number,
        [(at, median_of(values)) for at, values in runs.items() if values],
        [(at, refused[at][0].said) for at, values in runs.items() if refused[at] and not values],
    )
