"""Every run in the order it was made, relative to its configuration's median: drift and outliers show here.

Below, on the same axis, what the machine read at each run: where a drift comes from.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures import _parts, _strips
from workbench.dashboard.text import plain, shortened, wrapped
from workbench.dashboard.theme import NEUTRAL, PALETTE
from workbench.dashboard.units import format_ratio, format_value, metric_name
from workbench.errors import UsageError
from workbench.sweep.findings.statistics import MAD_LIMIT
from workbench.sweep.results import Analysis

ARMS = {
    "grid": (PALETTE[0], "circle"),
    "baseline": (PALETTE[4], "square"),
    "twin": (PALETTE[3], "diamond"),
}
"""arm -> (colour, marker symbol), in every figure that shows single runs."""

_HEIGHT, _AXIS, _TOP = 320, 54, 36
_MOST_BLOCK_NAMES = 12


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether a configuration ran twice and has a positive median to relate its runs to."""
    return metric in data.metrics(analysis) and not _related(analysis, metric).empty


def drawings(analysis: Analysis, metric: str) -> list[dict[str, Any]]:
    """With the machine's readings under the first measure asked for; under every other they would only repeat."""
    first = next((one.metric for one in analysis.objectives if drawable(analysis, one.metric)), None)
    return [{"machine": metric == first}]


def run_order(analysis: Analysis, metric: str, *, machine: bool = True) -> go.Figure:
    """Runs in order, with block boundaries, block medians and outliers.

    Args:
        analysis: what a sweep has found.
        metric: the metric.
        machine: also show temperatures, clocks, power and load at each run, where they were read.

    Raises:
        UnknownName: no such metric.
        UsageError: no configuration has a positive median.
    """
    runs = _related(analysis, metric)
    if runs.empty:
        raise UsageError(
            f"No configuration ran twice with a positive median of {metric!r}: drift cannot be seen. Run more blocks."
        )
    blocks, strips = _blocks(runs), _strips.strips(analysis) if machine else []
    figure = go.Figure([*_points(runs, metric), *_outliers(runs), _drift(blocks), *_strips.traces(analysis, strips)])
    figure.update_layout(
        xaxis={
            "title": {"text": "Run (in order of execution)"},
            "range": _range(runs["order"]),
            "showgrid": False,
        },
        yaxis=_parts.ratio_axis(runs["relative"], f"{metric_name(metric)} ÷ own median (log)"),
        shapes=[*_boundaries(blocks), {**_parts.unity("y"), "xref": "paper", "x0": 0, "x1": 1}],
        annotations=_block_names(blocks),
        margin={"t": _TOP, "b": _AXIS, "l": 10, "r": 14},
    )
    if strips:
        figure.update_layout({**_strips.layout(strips, _HEIGHT)})
    below = " Below, what the machine read at each run; a gap is a reading it could not give." if strips else ""
    return theme.finish(
        figure,
        title=_title(metric, runs, blocks),
        description=(
            "Each point is one run divided by the median of its configuration; dotted lines separate blocks "
            "(numbered at the top), the solid line follows their medians. Ringed: more than "
            f"{MAD_LIMIT:g} scaled median absolute deviations from its configuration's median; flagged, never dropped."
            + below
        ),
        height=_HEIGHT + _strips.height(strips) + _AXIS + _TOP,
    )


def _range(order: pd.Series) -> list[float]:
    """From the first run to the last, with room for the rings around them."""
    low, high = float(order.min()), float(order.max())
    margin = max(1.0, 0.02 * (high - low))
    return [low - margin, high + margin]


def _related(analysis: Analysis, metric: str) -> pd.DataFrame:
    """Runs that can be related to their configuration's median; none if every configuration ran only once."""
    runs = data.runs(analysis, metric)
    return runs[runs["relative"] > 0] if runs["name"].duplicated().any() else runs.iloc[:0]


def by_arm(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Runs arm by arm, in the order of :data:`ARMS`; arms nobody knows last."""
    arms = list(dict.fromkeys([*ARMS, *runs["arm"].astype(str)]))
    parts = [(arm, runs[runs["arm"] == arm]) for arm in arms]
    return [(arm, part) for arm, part in parts if len(part)]


def _points(runs: pd.DataFrame, metric: str) -> list[go.Scatter]:
    traces = []
    for arm, chosen in by_arm(runs):
        colour, symbol = ARMS.get(arm, (NEUTRAL, "cross"))
        traces.append(
            go.Scatter(
                x=chosen["order"].to_numpy(),
                y=chosen["relative"].to_numpy(),
                mode="markers",
                name=plain(arm),
                marker={"color": colour, "symbol": symbol, "size": 8, "opacity": 0.85},
                text=hover_texts(chosen, metric),
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return traces


def hover_texts(runs: pd.DataFrame, metric: str) -> list[str]:
    """What each point says of its run, for plotly."""
    return [
        f"{wrapped(run.name_, 50)}<br>"
        f"{plain(format_value(metric, run.value))}, {format_ratio(run.relative)} of its median"
        f"<br>block {plain(data.block_name(run.block))}, run {plain(run.order)}, {plain(run.host)}"
        for run in runs.rename(columns={"name": "name_"}).itertuples()
    ]


def _outliers(runs: pd.DataFrame) -> list[go.Scatter]:
    flagged = runs[runs["outlier"]]
    if flagged.empty:
        return []
    ring = {"color": PALETTE[1], "symbol": "circle-open", "size": 16, "line": {"width": 2, "color": PALETTE[1]}}
    return [
        go.Scatter(
            x=flagged["order"].to_numpy(),
            y=flagged["relative"].to_numpy(),
            mode="markers",
            name="outlier",
            marker=ring,
            hoverinfo="skip",
        )
    ]


def _blocks(runs: pd.DataFrame) -> pd.DataFrame:
    """Per block: first and last place in the order, median of the relative values; in running order."""
    grouped = runs.groupby("block", sort=False)
    return pd.DataFrame(
        {"first": grouped["order"].min(), "last": grouped["order"].max(), "median": grouped["relative"].median()}
    ).sort_values("first")


def _drift(blocks: pd.DataFrame) -> go.Scatter:
    return go.Scatter(
        x=((blocks["first"] + blocks["last"]) / 2).to_numpy(),
        y=blocks["median"].to_numpy(),
        mode="lines+markers",
        name="block median",
        line={"color": NEUTRAL, "width": 2},
        marker={"symbol": "line-ew-open", "size": 14, "line": {"width": 3}},
        hoverinfo="skip",
    )


def _boundaries(blocks: pd.DataFrame) -> list[dict[str, object]]:
    """A line half-way between one block's last run and the next one's first."""
    ends, starts = blocks["last"].to_numpy()[:-1], blocks["first"].to_numpy()[1:]
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    style = {"line": {"width": 1, "dash": "dot", "color": NEUTRAL}}
    return [{**line, **style, "x0": x, "x1": x} for x in (float(place) for place in (ends + starts) / 2)]


def _block_names(blocks: pd.DataFrame) -> list[dict[str, object]]:
    """Names of blocks inside the top edge; of every n-th when there are many."""
    every = -(-len(blocks) // _MOST_BLOCK_NAMES)
    middles = (blocks["first"] + blocks["last"]) / 2
    place = {"yref": "paper", "y": 1, "yanchor": "top", "showarrow": False, "font": {"size": 11, "color": NEUTRAL}}
    return [
        {**place, "x": float(middle), "text": f"{plain(shortened(data.block_name(name), 12))}"}
        for row, (name, middle) in enumerate(middles.items())
        if row % every == 0
    ]


def _title(metric: str, runs: pd.DataFrame, blocks: pd.DataFrame) -> str:
    flagged = int(runs["outlier"].sum())
    kind = "is an outlier" if flagged == 1 else "are outliers"
    tail = f"{flagged} of {len(runs)} runs {kind}" if flagged else "no outliers"
    if len(blocks) < 2:
        return f"{metric_name(metric)} in running order: one block, {tail}"
    low, high = format_ratio(blocks["median"].min()), format_ratio(blocks["median"].max())
    told = f"steady at {low}" if low == high else f"between {low} and {high}"
    return f"{metric_name(metric)} over the sweep: block medians {told}, {tail}"
