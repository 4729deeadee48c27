"""Which two measures are worth setting against each other: speed, quality, memory, energy. Draws nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from workbench.dashboard import data
from workbench.dashboard.units import unit_of
from workbench.sweep.results import Analysis, Direction, Objective

Kind = Literal["speed", "quality", "memory", "energy"]

MOST = 3
"""Fronts in one report."""

_RATES = ("tokens/s", "requests/s", "1/s")
_KINDS: dict[str, Kind] = {
    **dict.fromkeys((*_RATES, "ms", "s"), "speed"),
    **dict.fromkeys(("MiB", "KiB/token"), "memory"),
    **dict.fromkeys(("J", "J/token", "W"), "energy"),
}
_COMPARED: tuple[tuple[Kind, Kind], ...] = (
    ("speed", "quality"),
    ("memory", "quality"),
    ("memory", "speed"),
    ("energy", "quality"),
    ("energy", "speed"),
    ("memory", "energy"),
)
"""(across, up), the most telling first."""


def kind_of(analysis: Analysis, metric: str) -> Kind | None:
    """What a metric is about; ``None``: nobody said whether more or less of it is good."""
    objective = data.objective_of(analysis, metric)
    if objective is not None and objective.role == "quality":
        return "quality"
    known = _KINDS.get(unit_of(metric).symbol)
    return "quality" if known is None and objective is not None else known


def direction_of(analysis: Analysis, metric: str) -> Direction:
    """Which way is good: as stated, else more of a rate and less of anything else."""
    objective = data.objective_of(analysis, metric)
    if objective is not None:
        return objective.direction
    return "maximize" if unit_of(metric).symbol in _RATES else "minimize"


def partner(analysis: Analysis, metric: str) -> Objective | None:
    """The measure of quality an objective is set against: the first under "quality", else a maximised objective."""
    own = data.objective_of(analysis, metric)
    if own is None or own.role != "objective":
        return None
    recorded = [one for one in analysis.objectives if one.metric != metric and one.metric in data.metrics(analysis)]
    stated = [one for one in recorded if one.role == "quality"]
    if not stated and own.direction == "minimize":
        stated = [one for one in recorded if one.direction == "maximize"]
    return stated[0] if stated else None


def pairs(analysis: Analysis) -> list[tuple[str, str]]:
    """What a report draws, (across, up), at most :data:`MOST`: measures that were recorded and differ."""
    found = [pair for pair in dict.fromkeys(_candidates(analysis)) if all(_differs(analysis, one) for one in pair)]
    return found[:MOST]


def owner(analysis: Analysis, pair: tuple[str, str]) -> str:
    """The metric in whose section a pair is shown: the first of the two that is an objective."""
    stated = [one.metric for one in analysis.objectives if one.role == "objective"]
    return next((metric for metric in pair if metric in stated), (stated or [pair[0]])[0])


def _candidates(analysis: Analysis) -> Iterator[tuple[str, str]]:
    first = _representatives(analysis)
    for across, up in _COMPARED:
        if across in first and up in first:
            yield first[across], first[up]
    for one in analysis.objectives:
        other = partner(analysis, one.metric)
        if other is not None and one.metric in data.metrics(analysis):
            yield one.metric, other.metric


def _representatives(analysis: Analysis) -> dict[Kind, str]:
    """The first metric of each kind that differs between configurations; stated ones come first."""
    found: dict[Kind, str] = {}
    for metric in data.metrics(analysis):
        kind = kind_of(analysis, metric)
        if kind is not None and kind not in found and _differs(analysis, metric):
            found[kind] = metric
    return found


def _differs(analysis: Analysis, metric: str) -> bool:
    frame = analysis.frame[analysis.frame["arm"] != "twin"]
    medians = data.numbers(frame[metric]).groupby(frame["label"]).median().dropna()
    return bool(medians.nunique() > 1)
