"""All attempts of a results folder, each with its fate: the ledger's word, and without a ledger the files' own.

Reads only, also while a driver is running: what it has not ended yet is not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from workbench.storage.ledger import Attempt, Ledger, counting
from workbench.sweep.design.planning import Cell
from workbench.sweep.records.attempt_file import RUNS, Document, document, iso, read_attempt, run_folder
from workbench.sweep.records.columns import Line
from workbench.sweep.records.migrations import SCHEMA_VERSION

LEDGER = "ledger.sqlite"


def lines(folder: Path, cells: Mapping[str, Cell] | None) -> list[Line]:
    """Every ended attempt, in the order they began.

    Args:
        folder: the results folder.
        cells: id → cell of what the sweep asks for now; ``None``: not known.

    Raises:
        StoreCorrupt: the ledger or a file is damaged.
        SweepError: a newer workbench wrote them.
    """
    found = list(_by_ledger(folder, cells or {}) if (folder / LEDGER).exists() else _by_files(folder))
    counted = {(one.cell, one.attempt) for one in counting(attempt for attempt, _ in found).values()}
    return [
        Line(
            document=left,
            counts=(attempt.cell, attempt.attempt) in counted,
            planned=None if cells is None else attempt.cell in cells,
        )
        for attempt, left in found
    ]


def stamp(folder: Path) -> str | None:
    """A text that is another one as soon as an attempt begins or ends, without reading what runs left.

    ``None`` without a ledger: see :func:`names`.
    """
    if not (folder / LEDGER).exists():
        return None
    with Ledger(folder / LEDGER, readonly=True) as ledger:
        return ledger.stamp()


def names(folder: Path) -> set[str]:
    """Names of the attempts' folders there are."""
    return {path.name for path in (folder / RUNS).glob("*") if path.is_dir()}


def plan_stamp(cells: Collection[str]) -> str:
    """A text that is another one if other cells are asked for, or are kept in another form."""
    return hashlib.sha256(json.dumps([SCHEMA_VERSION, *sorted(cells)]).encode()).hexdigest()


def _by_ledger(folder: Path, cells: Mapping[str, Cell]) -> Iterator[tuple[Attempt, Document]]:
    with Ledger(folder / LEDGER, readonly=True) as ledger:
        attempts = ledger.attempts(payloads=bool(cells))
    for attempt in attempts:
        if attempt.status == "running":
            continue
        known = cells.get(attempt.cell)
        # of a run that is done the ledger has everything, if what its cell was is known; of others the file has more
        if known is not None and attempt.status == "done":
            yield attempt, document(known, attempt)
        else:
            yield attempt, _kept(folder, attempt, known)


def _kept(folder: Path, attempt: Attempt, cell: Cell | None) -> Document:
    """What an attempt's file says, the ledger's word put over it."""
    left = read_attempt(run_folder(folder, attempt.cell, attempt.attempt))
    known = left or (_unknown(attempt) if cell is None else document(cell, attempt))
    finished = attempt.started if attempt.finished is None else attempt.finished
    return {
        **known,
        "attempt": attempt.attempt,
        "order": attempt.sequence,
        "status": attempt.status,
        "reason": attempt.reason,
        "error": attempt.error,
        "host": attempt.host,
        "started_at": known["started_at"] or iso(max(attempt.started, finished - known["elapsed_s"])),
        "finished_at": known["finished_at"] or iso(finished),
    }


def _unknown(attempt: Attempt) -> Document:
    """An attempt that left no file: given up, or failed in a folder older than the files."""
    finished = attempt.started if attempt.finished is None else attempt.finished
    return {
        "schema_version": SCHEMA_VERSION,
        "cell": attempt.cell,
        **dict.fromkeys(("label", "arm", "phase", "block", "started_at", "finished_at")),
        "parameters": {},
        "varied": {},
        "elapsed_s": finished - attempt.started,
        "record": None,
        "environment": None,
    }


def _by_files(folder: Path) -> Iterator[tuple[Attempt, Document]]:
    """A folder that came without its ledger: the files alone, in the order they say they began."""
    read = (read_attempt(path) for path in sorted((folder / RUNS).glob("*")) if path.is_dir())
    found = [left for left in read if left is not None]
    found.sort(key=lambda left: (left["order"] or 0, left["started_at"] or "", left["cell"], left["attempt"]))
    for place, left in enumerate(found, 1):
        yield _attempt(left, place), {**left, "order": left["order"] or place}


def _attempt(left: Document, place: int) -> Attempt:
    return Attempt(
        sequence=place,
        cell=left["cell"],
        attempt=left["attempt"],
        status=left["status"],
        started=0.0,
        finished=None,
        host=left["host"] or "",
        payload=None,
        error=left["error"],
        reason=left["reason"],
    )
