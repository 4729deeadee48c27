"""What the report page says: an analysis turned into plain values for the template.

Every text here is still raw; the template escapes. Knows neither HTML nor files.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard import data, figures, theme
from workbench.dashboard.figures._parts import interval_text
from workbench.dashboard.figures.forest import ranked
from workbench.dashboard.units import axis_title, format_ratio, format_share, metric_name, unit_of
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis, Comparison, Effect, Recommendation

SYMBOLS = {"better": "▲", "worse": "▼", "equivalent": "■", "inconclusive": "○", "keep": "■"}
"""Verdicts differ by shape as well as by colour, in text as in figures."""


_MOST_OPEN = 2
"""Drawings of one figure that stand open; of more only the first does."""

NOTEBOOK = "notebook.ipynb"
"""The executed notebook in a run's folder."""


def context(analysis: Analysis, folder: Path | None = None) -> dict[str, Any]:
    """Everything the template asks for.

    Args:
        analysis: what a sweep has found.
        folder: where the page will lie: runs whose notebooks are there get a link.
    """
    metrics = data.metrics(analysis)
    quality = [objective.metric for objective in analysis.objectives if objective.role == "quality"]
    stated = [objective.metric for objective in analysis.objectives if objective.role == "objective"]
    sections = {metric: _section(analysis, metric, index) for index, metric in enumerate(metrics)}
    return {
        "analysis": analysis,
        "answers": [_answer(analysis, one, folder) for one in analysis.recommendations],
        "boundaries": list(analysis.boundaries),
        "audit": _audit(analysis),
        "objectives": [sections[metric] for metric in stated if metric in sections],
        "quality": [sections[metric] for metric in quality if metric in sections],
        "others": [sections[metric] for metric in metrics if metric not in (*stated, *quality)],
        "absent": [metric_name(metric) for metric in (*stated, *quality) if metric not in sections],
        "together": _together(analysis),
        "floors": [_floor(metric, floor.effect, floor.width) for metric, floor in analysis.floors.items()],
        "environment": list(flat(analysis.environment)),
        "definitions": [(metric, axis_title(metric), text) for metric, text in analysis.definitions.items()],
        "symbols": SYMBOLS,
        "reference": data.reference_of(analysis),
    }


def every_figure(page: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """The figures of a :func:`context`, wherever they stand."""
    for section in (*page["objectives"], *page["quality"], *page["others"]):
        yield from section["figures"]
    for section in page["together"]:
        for group in section["groups"]:
            yield from (*group["shown"], *group["folded"])


def _answer(analysis: Analysis, recommendation: Recommendation, folder: Path | None) -> dict[str, Any]:
    objective = data.objective_of(analysis, recommendation.metric)
    aim = {"maximize": "higher is better", "minimize": "lower is better"}
    return {
        "name": metric_name(recommendation.metric),
        "aim": aim[objective.direction] if objective else "",
        "verdict": verdict_of(recommendation),
        "head": recommendation.headline,
        "notes": list(recommendation.notes),
        "code": recommendation.code,
        "profile": _profile(recommendation),
        "confirmation": _comparison(recommendation.confirmation) if recommendation.confirmation else None,
        "runs": [{"name": run, "link": _link(run, folder)} for run in recommendation.runs],
        "quality": [_comparison(comparison) for comparison in recommendation.quality],
    }


def verdict_of(recommendation: Recommendation) -> str:
    """One word for a recommendation: a verdict, or "keep"."""
    evidence = recommendation.evidence
    # conclusive without a gain means: stay with the reference, whatever the best of the others was
    won = evidence.verdict if evidence is not None and evidence.verdict in ("better", "equivalent") else "keep"
    return won if recommendation.conclusive else "inconclusive"


def _profile(recommendation: Recommendation) -> str:
    profile = recommendation.profile
    return "" if profile is None else json.dumps(json_value(profile), indent=2, ensure_ascii=False)


def _link(run: str, folder: Path | None) -> str:
    """Where a run's notebook lies from the page; empty if it is not there."""
    path = PurePosixPath(run) / NOTEBOOK
    if folder is None or path.is_absolute() or ".." in path.parts or not (folder / path).is_file():
        return ""
    return f"./{quote(str(path), errors='surrogateescape')}"


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "name": metric_name(comparison.metric),
        "label": comparison.label,
        "verdict": comparison.verdict,
        "reason": comparison.reason,
        "medians": "{:.3g}× [{:.3g}, {:.3g}]".format(*comparison.medians) if comparison.medians else "—",
        "p": "—" if comparison.p_holm is None else f"{comparison.p_holm:.3g}",
        **_effect(comparison.effect),
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "ratio": format_ratio(effect.ratio),
        "interval": interval_text(effect),
        "level": "—" if effect.level is None else f"{100 * effect.level:.1f} %",
        "n": effect.n,
    }


def _floor(metric: str, effect: Effect, width: float) -> dict[str, Any]:
    return {"name": metric_name(metric), "width": f"±{format_share(width)}", **_effect(effect)}


def _audit(analysis: Analysis) -> dict[str, Any]:
    audit = analysis.audit
    return {
        "text": str(audit),
        "complete": audit.done + audit.out_of_memory == audit.planned,  # not to fit is a result too
        "failures": list(audit.failures),
    }


def _together(analysis: Analysis) -> list[dict[str, Any]]:
    """The figures about the sweep as a whole, by section; of a figure drawn three times or more the first is open."""
    sections: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for place, (name, options) in enumerate(figures.drawings(analysis)):
        item = figure_item(figures.draw(name, analysis, **options), name, f"figure-sweep-{place}-{name}")
        sections.setdefault(figures.section(name), {}).setdefault(name, []).append(item)
    return [
        {
            "id": f"together-{index}",
            "name": title,
            "groups": [
                {"name": name, "shown": items[: _shown(items)], "folded": items[_shown(items) :]}
                for name, items in found.items()
            ],
        }
        for index, (title, found) in enumerate(sections.items())
    ]


def _shown(items: list[dict[str, Any]]) -> int:
    return len(items) if len(items) <= _MOST_OPEN else 1


def _section(analysis: Analysis, metric: str, index: int) -> dict[str, Any]:
    """One metric: its figures and the numbers behind the forest plot."""
    objective = data.objective_of(analysis, metric)
    drawings = figures.drawings(analysis, metric)
    return {
        "id": f"metric-{index}",
        "metric": metric,
        "name": metric_name(metric),
        "unit": unit_of(metric).symbol,
        "direction": objective.direction if objective else "",
        "definition": analysis.definitions.get(metric, ""),
        "figures": [
            _figure(analysis, metric, name, f"figure-{index}-{place}-{name}", options)
            for place, (name, options) in enumerate(drawings)
        ],
        "rows": [_comparison(comparison) for comparison in ranked(analysis, metric)],
        "median_only": not objective,
    }


def _figure(analysis: Analysis, metric: str, name: str, identifier: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return figure_item(figures.draw(name, analysis, metric, **options), name, identifier)


def figure_item(figure: go.Figure, name: str, identifier: str) -> dict[str, Any]:
    """A figure for a page: title and caption become text of the page, so that they wrap and can be read aloud."""
    spec = json.loads(figure.to_json())
    layout = spec["layout"]
    meta = layout.pop("meta")
    for entry in ("title", "template"):
        layout.pop(entry, None)
    layout["height"] -= meta["title_height"]
    layout["margin"]["t"] -= meta["title_height"]
    return {
        "id": identifier,
        "name": name,
        "title": meta["title"],
        "description": meta["description"],
        "height": int(layout["height"]),
        "spec": {
            "data": spec["data"],
            "layout": layout,
            "narrow": meta["narrow"],
            "narrow_below": meta["narrow_below"],
        },
    }


def templates() -> dict[str, Any]:
    """Both plotly templates, for the page to switch between."""
    return {mode: theme.template(mode).to_plotly_json() for mode in ("light", "dark")}


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested environment facts as rows."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{name} / ")
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            yield from flat({f"{key} {index}": item for index, item in enumerate(value)}, prefix)
        elif isinstance(value, list | tuple):
            yield name, ", ".join(show(item) for item in value) or "none"
        else:
            yield name, _fact(key, value)


def _fact(key: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool) and str(key).endswith("_bytes"):
        return f"{value / 2**30:,.2f} GiB" if value >= 2**30 else f"{value / 2**20:,.1f} MiB"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def download(analysis: Analysis) -> dict[str, Any]:
    """What the page offers as JSON: every run, everything found, and the definitions. JSON values only."""
    frame = analysis.frame
    return {
        "name": analysis.name,
        "title": analysis.title,
        "description": analysis.description,
        "parameters": {name: [json_value(level) for level in levels] for name, levels in analysis.parameters.items()},
        "objectives": [_plain(objective) for objective in analysis.objectives],
        "definitions": dict(analysis.definitions),
        "environment": json_value(analysis.environment),
        "audit": _plain(analysis.audit),
        "floors": [_plain(floor) for floor in analysis.floors.values()],
        "comparisons": [_plain(comparison) for comparison in analysis.comparisons],
        "main_effects": [_plain(effect) for effect in analysis.main_effects],
        "importances": [_plain(share) for share in analysis.importances],
        "boundaries": [_plain(boundary) for boundary in analysis.boundaries],
        "recommendations": [_plain(recommendation) for recommendation in analysis.recommendations],
        "targets": [_plain(target) for target in analysis.targets],
        "columns": [str(column) for column in frame.columns],
        "runs": [[json_value(value) for value in row] for row in frame.itertuples(index=False, name=None)],
    }


def _plain(value: Any) -> Any:
    return json_value(dataclasses.asdict(value))


def json_value(value: Any) -> Any:
    """A value as JSON knows it: absent readings (None, NaN, NaT, infinity) become null, other objects their text."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return None if value is pd.NaT or value is pd.NA else str(value)
