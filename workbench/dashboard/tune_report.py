"""One self-contained HTML file of a tune: what became the profile, what it costs, and how that was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.dashboard.figures import tuning
from workbench.dashboard.page import SYMBOLS, figure_item, flat, json_value
from workbench.dashboard.report import document
from workbench.storage import write_text
from workbench.tuning.results import TrialRecord, TuneResult
from workbench.tuning.text import effect_text


def write_tune_report(result: TuneResult, path: Path | str) -> Path:
    """Write the report atomically.

    Args:
        result: what a tune has found.
        path: the HTML file; its folder is made if need be.

    Returns:
        The path written, absolute.

    Raises:
        StorageFull: no room; an older report is left as it was.
    """
    path = Path(path).resolve()
    write_text(path, render(result), private=False)
    return path


def render(result: TuneResult) -> str:
    """The report as one HTML document."""
    figures = [figure_item(tuning.draw(name, result), name, f"figure-{name}") for name in tuning.available(result)]
    specs = {figure["id"]: figure.pop("spec") for figure in figures}
    return document("tuning.html", _context(result, figures), specs, _download(result))


def _context(result: TuneResult, figures: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "result": result,
        "figures": figures,
        "rows": [_row(row) for row in result.rows],
        "screened": [
            {
                "change": f"{one.dimension}: {one.level}",
                "cost": str(one.quality or "not measured"),
                "refused": one.refused,
            }
            for one in result.screened
        ],
        "environment": list(flat(result.machine)),
        "symbols": SYMBOLS,
    }


def _row(row: Any) -> dict[str, Any]:
    return {
        "label": row.candidate.label,
        "prefill": effect_text(row.prefill),
        "decode": effect_text(row.decode),
        "speed": effect_text(row.speed),
        "cost": str(row.quality or "none: it computes what the default computes"),
        "verdict": row.verdict,
        "reason": row.reason,
        "chosen": row.chosen,
    }


def _download(result: TuneResult) -> dict[str, Any]:
    """What the page's table shows and its buttons save: the trials as rows, and everything else that was found."""
    found = result.to_dict()
    found.pop("trials")
    columns = ["trial", "candidate", "state", "ratio", "prefill_tps", "decode_tps", "pairs", "kl", "reason"]
    runs = [_trial(one, result) for one in result.trials]
    return {**found, "name": f"tune-{result.model}", "columns": columns, "runs": json_value(runs)}


def _trial(one: TrialRecord, result: TuneResult) -> list[Any]:
    last = one.pairs[-1][0] if one.pairs else None
    return [
        one.number + 1,
        one.candidate.label,
        one.state,
        one.ratio(result.workload),
        last and last.prefill_tps,
        last and last.decode_tps,
        len(one.pairs),
        one.quality and one.quality.kl,
        one.reason,
    ]
