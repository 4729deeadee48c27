"""Which single runs stand for many: the one nearest a median, the best, the worst. Draws nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from workbench.dashboard import data
from workbench.dashboard.figures import _lines
from workbench.dashboard.units import metric_name
from workbench.sweep.results import Analysis, Objective

_MOST_OBJECTIVES = 3


@dataclass(frozen=True, slots=True)
class Telling:
    """A run worth looking at.

    Attributes:
        cell: its id.
        why: what it stands for.
    """

    cell: str
    why: str


def with_samples(analysis: Analysis) -> tuple[str, ...]:
    """Finished runs with samples over time, in running order."""
    if analysis.samples is None or analysis.samples.empty:
        return ()
    there = set(analysis.samples["cell"].astype(str).unique())
    return tuple(cell for cell in analysis.frame["cell"].astype(str) if cell in there)


def typical(analysis: Analysis, name: str) -> str | None:
    """The run of a configuration nearest its median on the first objective (or metric); ``None``: none has samples."""
    metrics = data.metrics(analysis)
    runs = _of(analysis, metrics[0]) if metrics else _bare(analysis)
    mine = runs[runs["name"] == name]
    if mine.empty:
        return None
    distance = (mine["value"] - mine["value"].median()).abs()
    return str(mine.loc[distance.idxmin() if distance.notna().any() else mine.index[0], "cell"])


def telling(analysis: Analysis) -> list[Telling]:
    """For the report: the typical run of what is recommended, then the best and the worst run of each objective."""
    middle = default(analysis)
    if middle is None:
        return []
    found = {middle: ["nearest the median of its configuration"]}
    stated = [one for one in analysis.objectives if one.role == "objective" and one.metric in data.metrics(analysis)]
    for objective in stated[:_MOST_OBJECTIVES]:
        for cell, why in _ends(analysis, objective):
            found.setdefault(cell, []).append(why)
    return [Telling(cell, "; ".join(why)) for cell, why in found.items()]


def default(analysis: Analysis) -> str | None:
    """The run nearest the median of the recommended configuration, else of the reference, else of any."""
    wanted = [*reversed(_lines.foremost(analysis)), *data.names(analysis).values()]
    return next((cell for name in dict.fromkeys(wanted) if (cell := typical(analysis, name)) is not None), None)


def _ends(analysis: Analysis, objective: Objective) -> list[tuple[str, str]]:
    runs = _of(analysis, objective.metric).dropna(subset="value")
    if runs.empty:
        return []
    low, high = (str(runs.loc[place, "cell"]) for place in (runs["value"].idxmin(), runs["value"].idxmax()))
    best, worst = (high, low) if objective.direction == "maximize" else (low, high)
    name = metric_name(objective.metric)
    return [(best, f"{name}: best of all runs"), (worst, f"{name}: worst of all runs")]


def _of(analysis: Analysis, metric: str) -> pd.DataFrame:
    """Columns ``name``, ``cell``, ``value`` of runs that have samples."""
    runs = _bare(analysis)
    values = data.runs(analysis, metric).set_index("cell")["value"]
    return runs.assign(value=runs["cell"].map(values))


def _bare(analysis: Analysis) -> pd.DataFrame:
    names = data.names(analysis)
    cells = list(with_samples(analysis))
    return pd.DataFrame({"cell": cells, "name": [names[cell] for cell in cells], "value": float("nan")})
