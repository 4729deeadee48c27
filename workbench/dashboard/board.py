"""What a notebook shows of a sweep: the report inline, and its figures by name. Draws nothing itself."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from workbench.dashboard import data, figures, report
from workbench.dashboard.theme import Mode, recoloured
from workbench.errors import UsageError
from workbench.sweep.results import Analysis

if TYPE_CHECKING:
    import plotly.graph_objects as go

_INLINE_HEIGHT = 900


@runtime_checkable
class Analysed(Protocol):
    """Something that can say what it has found, like :class:`workbench.sweep.Sweep`."""

    def analyse(self) -> Analysis:
        """What has been found so far."""
        ...


class Dashboard:
    """The findings of a sweep, to look at.

    In a notebook it shows itself: the whole report in a frame of its own, cut off from the notebook's page. A saved
    notebook then holds the report, plotly.js included (5 MB); :meth:`save` and :meth:`figure` are the lighter ways.

    Args:
        source: an analysis, or a sweep, which is then analysed now.
        path: also write the report there.

    Attributes:
        analysis: the findings.

    Raises:
        UsageError: ``source`` is neither.
    """

    def __init__(self, source: Analysis | Analysed, path: Path | str | None = None) -> None:
        self.analysis = _analysis(source)
        if path is not None:
            self.save(path)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that were recorded: objectives first."""
        return data.metrics(self.analysis)

    def names(self, metric: str | None = None) -> tuple[str, ...]:
        """Names of the figures a metric has, the first metric by default, and of those of the sweep as a whole."""
        return figures.available(self.analysis, self._metric(metric)) + figures.available(self.analysis)

    def figure(self, name: str, metric: str | None = None, *, theme: Mode = "light", **options: Any) -> go.Figure:
        """One figure.

        Args:
            name: one of :meth:`names`.
            metric: the first objective by default; figures of the sweep as a whole ("ecdf", "timeline") need none.
            theme: "light" or "dark".
            **options: of the figure itself, e.g. ``x``, ``y`` and ``facet`` of "heatmap".

        Raises:
            UnknownName: no such figure, metric, theme or parameter.
            UsageError: the findings lack what the figure shows; the message names the remedy.
        """
        about = metric if name in figures.available(self.analysis) else self._metric(metric)
        return recoloured(figures.draw(name, self.analysis, about, **options), theme)

    def save(self, path: Path | str) -> Path:
        """Write the report as one self-contained HTML file, atomically; returns its absolute path.

        Raises:
            StorageFull: no room; an older report is left as it was.
        """
        return report.write_report(self.analysis, path)

    def _metric(self, metric: str | None) -> str:
        if metric is not None:
            return metric
        if not self.metrics:
            raise UsageError(f"No run of {self.analysis.name!r} has recorded a metric yet. Run the sweep first.")
        return self.metrics[0]

    def __repr__(self) -> str:
        audit = self.analysis.audit
        return (
            f"Dashboard({self.analysis.name!r}: {audit.done} of {audit.planned} runs done, {audit.failed} failed; "
            f"metrics: {', '.join(self.metrics) or 'none'})"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # sandboxed without "allow-same-origin": nothing in the frame can reach the notebook or its server
        frame = (
            f'<iframe title="{html.escape(self.analysis.title or self.analysis.name)}" '
            'sandbox="allow-scripts allow-downloads allow-modals" '
            f'style="width: 100%; height: {_INLINE_HEIGHT}px; border: 0" '
            f'srcdoc="{html.escape(report.render(self.analysis))}"></iframe>'
        )
        return {"text/plain": "\n".join([repr(self), *self._answers()]), "text/html": frame}

    def _answers(self) -> list[str]:
        return [f"{item.metric}: {item.headline}" for item in self.analysis.recommendations]


def _analysis(source: object) -> Analysis:
    if isinstance(source, Analysis):
        return source
    if isinstance(source, Analysed):
        return source.analyse()
    raise UsageError(
        f"A dashboard shows a Sweep or the Analysis it returns, not {type(source).__name__}. "
        "Try Dashboard(Sweep.from_file(path))."
    )
