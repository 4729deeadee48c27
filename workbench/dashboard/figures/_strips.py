"""What the machine read at each run, as strips below a figure over the running order: a strip a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from workbench.dashboard import data
from workbench.dashboard.text import plain
from workbench.dashboard.theme import BLUE, PALETTE
from workbench.sweep.results import Analysis

_READINGS = {
    "°C": {"cpu_temperature_c": "CPU temperature", "gpu_temperature_c": "GPU temperature"},
    "MHz": {"cpu_mhz": "CPU clock", "gpu_sm_clock_mhz": "GPU SM clock"},
    "W": {"gpu_power_watts": "GPU power"},
    "load": {"load_1min": "load, mean over 1 min"},
}
"""Unit → column of the frame → what it is."""

_STRIP, _GAP = 76, 30


@dataclass(frozen=True, slots=True)
class Strip:
    """Readings that share an axis.

    Attributes:
        unit: its symbol.
        columns: column of the frame → what it is.
    """

    unit: str
    columns: dict[str, str]


def strips(analysis: Analysis) -> list[Strip]:
    """A strip a unit that any run has a reading in; nothing was read, no strip."""
    found = []
    for unit, columns in _READINGS.items():
        there = {column: name for column, name in columns.items() if _read(analysis, column)}
        found += [Strip(unit, there)] if there else []
    return found


def _read(analysis: Analysis, column: str) -> bool:
    return column in analysis.frame.columns and bool(np.isfinite(data.numbers(analysis.frame[column])).any())


def height(rows: Sequence[Strip]) -> int:
    """Pixels of all strips and what is between them."""
    return len(rows) * (_STRIP + _GAP)


def traces(analysis: Analysis, rows: Sequence[Strip]) -> list[go.Scatter]:
    """A line a reading over the running order; a run without it is a gap."""
    return [
        _line(analysis, row, number, column, name)
        for row, strip in enumerate(rows)
        for number, (column, name) in enumerate(strip.columns.items())
    ]


def _line(analysis: Analysis, row: int, number: int, column: str, name: str) -> go.Scatter:
    frame = analysis.frame.sort_values("order", kind="stable")
    values = data.numbers(frame[column]).to_numpy()
    unit = next(unit for unit, columns in _READINGS.items() if column in columns)
    sign = "" if unit == "load" else f"{plain(unit)} "
    colour = PALETTE[1] if column.startswith("gpu") else BLUE
    return go.Scatter(
        x=frame["order"].to_numpy(),
        y=np.where(np.isfinite(values), values, np.nan),
        yaxis=f"y{row + 2}",
        legend=f"legend{row + 2}",
        mode="lines+markers",
        name=plain(name),
        line={"color": colour, "width": 1.5, "dash": ("solid", "dot")[number % 2]},
        marker={"size": 3, "color": colour},
        connectgaps=False,
        hovertemplate=f"{plain(name)}: %{{y:,.4~g}} {sign}at run %{{x}}<extra></extra>",
    )


def layout(rows: Sequence[Strip], main: int) -> dict[str, Any]:
    """Axes of the main panel and of the strips below it, and a legend above each strip.

    Args:
        rows: from top to bottom.
        main: pixels of the main panel.
    """
    total = main + height(rows)
    found: dict[str, Any] = {"yaxis.domain": [1 - main / total, 1], "xaxis.anchor": f"y{len(rows) + 1}"}
    for row, strip in enumerate(rows):
        top = main + row * (_STRIP + _GAP) + _GAP
        domain = [max(0.0, 1 - (top + _STRIP) / total), 1 - top / total]
        axis = {"title": {"text": plain(strip.unit)}, "domain": domain, "anchor": "x", "nticks": 4}
        found[f"yaxis{row + 2}"] = {**axis, "separatethousands": True, "exponentformat": "none"}
        found[f"legend{row + 2}"] = {"x": 0, "y": domain[1], "yanchor": "bottom", "orientation": "h"}
    return found
