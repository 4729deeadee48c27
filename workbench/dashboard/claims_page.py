"""One self-contained HTML file of claims: what was said, what was measured, and the verdict."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.dashboard.figures import claim as drawing
from workbench.dashboard.page import SYMBOLS, figure_item, json_value
from workbench.dashboard.report import document
from workbench.storage import write_text
from workbench.sweep.claiming import ClaimedSweep, ClaimTable
from workbench.sweep.findings.claims import ClaimResult, ClaimVerdict

LOOKS: dict[ClaimVerdict, str] = {
    **drawing.LOOKS,
    "cannot be tested here": "inconclusive",
    "not run yet": "inconclusive",
}
_SYMBOLS: dict[ClaimVerdict, str] = {"partly": "◧", "cannot be tested here": "∅", "not run yet": "…"}


def write_claims_page(table: ClaimTable, path: Path | str) -> Path:
    """Write the page atomically.

    Args:
        table: of :func:`workbench.sweep.claims`.
        path: the HTML file; its folder is made if need be. Dashboards of the sweeps are linked relative to it.

    Returns:
        The path written, absolute.

    Raises:
        StorageFull: no room; an older page is left as it was.
    """
    path = Path(path).resolve()
    write_text(path, render(table, path.parent), private=False)
    return path


def render(table: ClaimTable, folder: Path | None = None) -> str:
    """The page as one HTML document.

    Args:
        table: the claims.
        folder: where it will lie; ``None``: nothing is linked.
    """
    sweeps = [_sweep(sweep, number, folder) for number, sweep in enumerate(table.sweeps)]
    figures = [one["figure"] for sweep in sweeps for one in sweep["claims"] if one["figure"]]
    specs = {figure["id"]: figure.pop("spec") for figure in figures}
    context = {
        "sweeps": sweeps,
        "counts": [(verdict, count) for verdict, count in table.counts.items() if count],
        "unreadable": [(path.name, why) for path, why in table.unreadable],
        "looks": LOOKS,
        "symbols": {verdict: _SYMBOLS.get(verdict) or SYMBOLS[look] for verdict, look in LOOKS.items()},
    }
    return document("claims.html", context, specs, _download(table))


def _sweep(sweep: ClaimedSweep, number: int, folder: Path | None) -> dict[str, Any]:
    return {
        "id": f"sweep-{number}",
        "name": sweep.name,
        "title": sweep.title,
        "description": sweep.description,
        "audit": sweep.audit,
        "hosts": ", ".join(sweep.hosts),
        "dashboard": _link(sweep.folder / "dashboard.html", folder),
        "claims": [_claim(result, f"claim-{number}-{place}") for place, result in enumerate(sweep.results)],
    }


def _claim(result: ClaimResult, identifier: str) -> dict[str, Any]:
    drawn = drawing.drawable(result)
    return {
        "id": identifier,
        "says": result.claim.says,
        "claimed": result.claimed,
        "measured": result.text,
        "verdict": result.verdict,
        "reason": result.reason,
        "note": result.measured.note,
        "figure": figure_item(drawing.claim(result), "claim", f"figure-{identifier}") if drawn else None,
    }


def _link(target: Path, folder: Path | None) -> str:
    """A relative address, so that the folder can be moved and mailed as a whole; empty where there is nothing."""
    if folder is None or not target.is_file():
        return ""
    return quote(Path(os.path.relpath(target.resolve(), folder)).as_posix())


def _download(table: ClaimTable) -> dict[str, Any]:
    frame = table.frame()
    return {
        "name": "claims",
        "columns": [str(column) for column in frame.columns],
        "runs": [[json_value(value) for value in row] for row in frame.itertuples(index=False, name=None)],
    }
