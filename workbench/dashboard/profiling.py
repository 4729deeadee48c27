"""A profiler for notebooks: what happened inside a block, as a table and as a picture.

>>> with wb.profile() as p:
...     session.send("Where did Tom leave the key?")
>>> p            # the table
>>> p.plot()     # stage by stage

Knows traces; never what is being traced.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pandas as pd

from workbench.dashboard.figures.stages import OTHER, stages_figure
from workbench.errors import UsageError
from workbench.telemetry import Trace, frame, subscribe

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MOST_BARS = 40


class Profile:
    """Every trace that ended inside the block of :func:`profile`, in any thread.

    Attributes:
        traces: turns, and requests to local engines and endpoints, in the order in which they ended.
    """

    def __init__(self) -> None:
        self.traces: list[Trace] = []
        self._lock = threading.Lock()

    def add(self, trace: Trace) -> None:
        """One more."""
        with self._lock:
            self.traces.append(trace)

    def of(self, kind: str | None = None) -> list[Trace]:
        """Traces of a kind; ``None``: the turns, or the requests where there was no turn."""
        with self._lock:
            traces = list(self.traces)
        if kind is None:
            kind = "turn" if any(trace.kind == "turn" for trace in traces) else "request"
        return [trace for trace in traces if trace.kind == kind]

    def frame(self) -> pd.DataFrame:
        """One row a trace: :func:`workbench.telemetry.frame`."""
        return frame(self.traces)

    def table(self, kind: str | None = None) -> pd.DataFrame:
        """One row a stage: how often, milliseconds in all, at the median and at most, and the share of the whole.

        Args:
            kind: "turn" or "request"; ``None``: as :meth:`of`.
        """
        traces = self.of(kind)
        took: dict[str, list[float]] = {}
        for trace in traces:
            for stage, elapsed in _complete(trace).items():
                took.setdefault(stage, []).append(elapsed)
        whole = sum(sum(times) for times in took.values())
        rows = [
            {
                "stage": stage,
                "times": len(times),
                "total_ms": sum(times),
                "median_ms": float(pd.Series(times).median()),
                "max_ms": max(times),
                "share": sum(times) / whole if whole else None,
            }
            for stage, times in took.items()
        ]
        columns = ["stage", "times", "total_ms", "median_ms", "max_ms", "share"]
        return pd.DataFrame(rows, columns=columns).set_index("stage")

    def counts(self, kind: str | None = None) -> dict[str, float]:
        """What was counted, added up: tokens, hits, queries."""
        sums: dict[str, float] = {}
        for trace in self.of(kind):
            for name, value in trace.counts.items():
                sums[name] = sums.get(name, 0) + value
        return sums

    def plot(self, kind: str | None = None) -> go.Figure:
        """Stacked bars, one a turn; of more than 40 the slowest.

        Raises:
            UsageError: nothing was traced.
        """
        traces = self.of(kind)
        if not traces:
            raise UsageError("Nothing was traced inside the block. Let a session or an engine answer something in it.")
        rows = {f"{trace.kind} {number + 1}": _complete(trace) for number, trace in enumerate(traces)}
        if len(rows) > _MOST_BARS:
            slowest = sorted(rows, key=lambda name: -sum(rows[name].values()))[:_MOST_BARS]
            rows = {name: row for name, row in rows.items() if name in slowest}
        return stages_figure(rows)

    def __repr__(self) -> str:
        traces = self.of()
        if not traces:
            return "<Profile: nothing was traced>"
        kind = traces[0].kind
        table = self.table().round({"total_ms": 1, "median_ms": 1, "max_ms": 1, "share": 3})
        return f"{len(traces)} {kind}{'s' if len(traces) > 1 else ''}\n{table}"

    def _repr_html_(self) -> str:
        traces = self.of()
        if not traces:
            return "<p>Nothing was traced.</p>"
        style = self.table().style.format(
            {"times": "{:d}", "total_ms": "{:,.1f}", "median_ms": "{:,.1f}", "max_ms": "{:,.1f}", "share": "{:.1%}"}
        )
        # the numbers are formatted above; stages are named by whoever opens a span
        return f"<p>{len(traces)} × {traces[0].kind}</p>{style.format_index(escape='html').to_html()}"


@contextmanager
def profile() -> Iterator[Profile]:
    """Collect the traces of everything that ends inside the block, in any thread of this process."""
    collected = Profile()
    with subscribe(collected.add):
        yield collected


def _complete(trace: Trace) -> dict[str, float]:
    """The stages, and what of the whole no stage accounts for; stages that overlap leave no rest."""
    stages = trace.stages
    rest = trace.total_ms - sum(stages.values())
    return stages | ({OTHER: rest} if rest > 0 else {})
