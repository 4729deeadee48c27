"""What an index says of each sweep below a folder: where it is, how far it is, what it recommends, or what is wrong.

A sweep that cannot be read is an entry like any other: its error is what there is to say. Draws nothing.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.dashboard.page import verdict_of
from workbench.dashboard.report import write_report
from workbench.dashboard.units import metric_name
from workbench.errors import StorageFull
from workbench.storage import read_json, write_json
from workbench.storage.ledger import Ledger
from workbench.sweep import Sweep
from workbench.sweep.results import Analysis, Audit
from workbench.sweep.specification.kept import FILE, kept

LEDGER, DASHBOARD, SUMMARY = "ledger.sqlite", "dashboard.html", "summary.json"
_FORMAT = 1
"""Of the summary: another one makes old summaries count for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One sweep.

    Attributes:
        folder: its results.
        name: the sweep's name; the folder's if that is all that is known.
        title: for people.
        when: last run's start (ISO 8601, UTC); empty: nothing ran.
        hosts: where it ran.
        models: what was run.
        audit: runs by how they ended; ``None``: not known.
        answers: per recommendation its metric, verdict and headline.
        problem: what is wrong; empty: nothing.
        dashboard: whether there is one.
    """

    folder: Path
    name: str
    title: str = ""
    when: str = ""
    hosts: Sequence[str] = ()
    models: Sequence[str] = ()
    audit: Audit | None = None
    answers: Sequence[Mapping[str, str]] = ()
    problem: str = ""
    dashboard: bool = False

    @property
    def state(self) -> str:
        """One word: complete, incomplete (runs are missing or failed), or unreadable."""
        if self.audit is None:
            return "unreadable"
        return "incomplete" if self.problem or self.audit.missing or self.audit.failed else "complete"


def entries(folder: Path, *, rebuild: bool = False) -> list[Entry]:
    """Every sweep below a folder, the latest first.

    A dashboard that is missing, or older than the ledger, is written anew.

    Args:
        folder: searched with everything below it.
        rebuild: write every dashboard anew.

    Raises:
        StorageFull: no room for a dashboard.
    """
    folders = sorted(path.parent for path in folder.rglob(LEDGER))
    return sorted((entry_of(one, rebuild=rebuild) for one in folders), key=lambda entry: entry.when, reverse=True)


def entry_of(folder: Path, *, rebuild: bool = False) -> Entry:
    """What there is to say of one results folder; whatever is wrong with it is said, not raised.

    Raises:
        StorageFull: no room for its dashboard.
    """
    has_page = (folder / DASHBOARD).exists()
    if not (folder / FILE).exists():
        said = "Made by an older version, which kept no specification here: run `workbench sweep report` on it."
        return Entry(folder=folder, name=folder.name, problem=said, dashboard=has_page)
    try:
        stamp = _stamp(folder)
        known = None if rebuild else _known(folder, stamp)
        return known or _analysed(folder, stamp, rebuild)
    except StorageFull:
        raise
    except Exception as error:  # a page of fifty sweeps must not be lost because one cannot be read
        said = f"{type(error).__name__}: {error}"
        return Entry(folder=folder, name=folder.name, problem=said, dashboard=has_page)


def _stamp(folder: Path) -> str:
    with Ledger(folder / LEDGER, readonly=True) as ledger:
        return f"{_FORMAT} {ledger.stamp()}"


def _known(folder: Path, stamp: str) -> Entry | None:
    """The entry as it was when the dashboard was written, if nothing ran since."""
    path = folder / SUMMARY
    if not path.exists() or not (folder / DASHBOARD).exists():
        return None
    found = read_json(path)
    if found.get("stamp") != stamp:
        return None
    return _read(folder, found["entry"])


def _read(folder: Path, stored: Mapping[str, Any]) -> Entry:
    audit = Audit(**{**stored["audit"], "failures": tuple(map(tuple, stored["audit"]["failures"]))})
    lists = {name: tuple(stored[name]) for name in ("hosts", "models", "answers")}
    return Entry(folder=folder, dashboard=True, **{**stored, **lists, "audit": audit})


def _analysed(folder: Path, stamp: str, rebuild: bool) -> Entry:
    analysis = Sweep(kept(folder)).analyse()
    page = folder / DASHBOARD
    if rebuild or not page.exists() or page.stat().st_mtime < _changed(folder):
        write_report(analysis, page)
    stored = _stored(analysis)
    write_json(folder / SUMMARY, {"stamp": stamp, "entry": stored})
    return _read(folder, stored)


def _changed(folder: Path) -> float:
    """When the ledger changed last, seconds since 1970; in WAL mode that may be the file beside it."""
    paths = [folder / LEDGER, folder / f"{LEDGER}-wal"]
    return max(path.stat().st_mtime for path in paths if path.exists())


def _stored(analysis: Analysis) -> dict[str, Any]:
    """What an entry says of an analysis, as JSON values."""
    frame = analysis.frame
    return {
        "name": analysis.name,
        "title": analysis.title,
        "when": _minute(str(frame["started_at"].max())) if len(frame) else "",
        "hosts": sorted(set(map(str, frame["host"]))),
        "models": _models(analysis),
        "audit": dataclasses.asdict(analysis.audit),
        "answers": [
            {"metric": one.metric, "verdict": verdict_of(one), "headline": one.headline}
            for one in analysis.recommendations
        ],
        "problem": "; ".join(f"{cell}: {reason}" for cell, reason in list(analysis.audit.failures)[:3]),
    }


def _minute(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _models(analysis: Analysis) -> list[str]:
    """Models by the names they were asked for: as captured, or levels of a parameter of that name."""
    captured = analysis.environment.get("models")
    names = list(captured) if isinstance(captured, Mapping) else []
    return [str(name) for name in names or analysis.parameters.get("model", ())]


def values_of(entry: Entry, start: Path) -> dict[str, Any]:
    """An entry for the template; addresses are relative to ``start``."""
    inside = Path(os.path.relpath(entry.folder, start))
    link = quote((inside / DASHBOARD).as_posix(), errors="surrogateescape")
    audit, undecided = entry.audit, [answer for answer in entry.answers if answer["verdict"] == "inconclusive"]
    return {
        "entry": entry,
        "place": inside.as_posix(),
        "link": f"./{link}" if entry.dashboard else "",
        "decided": [answer for answer in entry.answers if answer not in undecided],
        "open": undecided,  # folded: what is not decided takes many words to say so
        "open_names": ", ".join(dict.fromkeys(metric_name(answer["metric"]) for answer in undecided)),
        "done": audit.done if audit else -1,
        "runs": str(audit) if audit else "not known",
    }
