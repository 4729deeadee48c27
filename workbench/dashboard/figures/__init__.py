"""One figure a file; each has ``drawable(analysis, metric)`` and a function of the file's name that draws.

Figures know an :class:`~workbench.sweep.results.Analysis` and nothing of pages or notebooks. Text from outside is
inert in them. plotly is imported with the first figure.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from workbench.errors import UnknownName
from workbench.sweep.results import Analysis

if TYPE_CHECKING:
    import plotly.graph_objects as go

NAMES = ("forest", "pareto", "main_effects", "heatmap", "run_order", "distribution")
"""Figures there are, in the order a report shows them."""


def draw(name: str, analysis: Analysis, metric: str, **options: Any) -> go.Figure:
    """Draw one figure of one metric; ``options`` are those of the figure's own function.

    Raises:
        UnknownName: no such figure, metric or parameter.
        UsageError: the analysis lacks what the figure shows; the message names the remedy.
    """
    if name not in NAMES:
        raise UnknownName("figure", name, NAMES)
    return getattr(_module(name), name)(analysis, metric, **options)


def available(analysis: Analysis, metric: str) -> tuple[str, ...]:
    """Names of the figures that have something to show for a metric."""
    return tuple(name for name in NAMES if _module(name).drawable(analysis, metric))


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")
