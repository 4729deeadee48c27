"""One figure a file; each has ``drawable(analysis, metric)`` and a function of the file's name that draws.

A figure that is not about one metric says ``scope = "sweep"``: then ``drawable``, ``drawings`` and the function itself
take the analysis alone, and a report shows it once, under the heading ``section`` (default: :data:`SECTION`).

Figures know an :class:`~workbench.sweep.results.Analysis` and nothing of pages or notebooks. Text from outside is
inert in them. plotly is imported with the first figure.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis

if TYPE_CHECKING:
    import plotly.graph_objects as go

NAMES = (
    "forest",
    "pareto",
    "main_effects",
    "importance",
    "heatmap",
    "small_multiples",
    "parallel",
    "run_order",
    "distribution",
    "load_curve",
    "ecdf",
    "stages",
    "timeline",
)
"""Figures there are, in the order a report shows them."""

SECTION = "Requests and machine"
"""Where a report shows figures of the sweep as a whole that name no other section."""


def draw(name: str, analysis: Analysis, metric: str | None = None, **options: Any) -> go.Figure:
    """Draw one figure; ``options`` are those of the figure's own function.

    Args:
        name: one of :data:`NAMES`.
        analysis: what a sweep has found.
        metric: what the figure is about; figures of the sweep as a whole need none and pass over it.
        **options: of the figure's own function.

    Raises:
        UnknownName: no such figure, metric or parameter.
        UsageError: the analysis lacks what the figure shows; the message names the remedy.
    """
    if name not in NAMES:
        raise UnknownName("figure", name, NAMES)
    function = getattr(_module(name), name)
    if of_sweep(name):
        return function(analysis, **options)
    if metric is None:
        raise UsageError(f"The figure {name!r} is about one metric: name it.")
    return function(analysis, metric, **options)


def available(analysis: Analysis, metric: str | None = None) -> tuple[str, ...]:
    """Names of the figures that have something to show for a metric; without one, for the sweep as a whole."""
    about = () if metric is None else (metric,)
    names = [name for name in NAMES if of_sweep(name) == (metric is None)]
    return tuple(name for name in names if _module(name).drawable(analysis, *about))


def drawings(analysis: Analysis, metric: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """What a report draws of a metric, or of the sweep as a whole: names and options, in its order.

    A figure's module says with ``drawings(analysis, metric)`` which options it wants, or that it has no place in a
    report (none at all); without that function it is drawn once, as it is.
    """
    about = () if metric is None else (metric,)
    found = []
    for name in available(analysis, metric):
        module = _module(name)
        wanted = module.drawings(analysis, *about) if hasattr(module, "drawings") else [{}]
        found += [(name, options) for options in wanted]
    return found


def of_sweep(name: str) -> bool:
    """Whether a figure is about the sweep as a whole, not about one metric."""
    return getattr(_module(name), "scope", "metric") == "sweep"


def section(name: str) -> str:
    """The heading a figure of the sweep as a whole stands under."""
    return str(getattr(_module(name), "section", SECTION))


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")
