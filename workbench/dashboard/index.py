"""One page that lists every sweep below a folder, with links to their dashboards; works offline."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from workbench.dashboard.entries import Entry, entries, values_of
from workbench.dashboard.page import SYMBOLS
from workbench.dashboard.report import plain_document
from workbench.errors import UsageError
from workbench.storage import write_text

PAGE = "index.html"


def write_index(folder: Path | str, path: Path | str | None = None, *, rebuild: bool = False) -> Path:
    """Write the index, and every dashboard that is missing or older than its ledger.

    Args:
        folder: searched with everything below it for results of sweeps.
        path: the HTML file; by default ``index.html`` in the folder.
        rebuild: write every dashboard anew.

    Returns:
        The path written, absolute.

    Raises:
        UsageError: there is no such folder.
        StorageFull: no room; an older index is left as it was.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}. Name the one that holds the results of sweeps.")
    path = Path(path).resolve() if path is not None else folder / PAGE
    write_text(path, render(entries(folder, rebuild=rebuild), path.parent), private=False)
    return path


def render(found: list[Entry], start: Path) -> str:
    """The index as one HTML document; addresses are relative to ``start``."""
    states = Counter(entry.state for entry in found)
    context = {
        "rows": [values_of(entry, start) for entry in found],
        "states": [(state, states[state]) for state in ("complete", "incomplete", "unreadable") if states[state]],
        "symbols": SYMBOLS,
    }
    return plain_document("index.html", context, "index.js")
