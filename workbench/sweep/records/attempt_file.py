"""``runs/<cell>-<attempt>/attempt.json``: one attempt, whole, for any tool that reads JSON.

The ledger says which attempts count; these files say what each was and left, failed ones included. A file is written
before the ledger's line ends, so every attempt that ended in the ledger has its file. Knows neither frames nor Parquet.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from workbench.errors import StoreCorrupt
from workbench.storage import read_json, write_json
from workbench.storage.ledger import Attempt, Ledger
from workbench.sweep.design.planning import Cell
from workbench.sweep.records.migrations import SCHEMA_VERSION, migrated

FILE = "attempt.json"
RUNS = "runs"

Document = dict[str, Any]
"""What an attempt's file holds: JSON values, see :func:`document`."""


def run_folder(results: Path, cell: str, attempt: int) -> Path:
    """Where an attempt's files are: its executed notebook, its record, its log, and this."""
    return results / RUNS / f"{cell}-{attempt}"


def end_attempt(
    ledger: Ledger,
    results: Path,
    cell: Cell,
    attempt: int,
    *,
    status: Literal["done", "failed"],
    payload: Mapping[str, Any] | None = None,
    error: str | None = None,
    reason: str | None = None,
    finished: float | None = None,
    host: str | None = None,
    environment: Mapping[str, Any] | None = None,
) -> bool:
    """Note how an attempt ended, in its file and in the ledger.

    Arguments are those of :meth:`Ledger.finish`, and ``environment``: what is known of it where the run itself left
    nothing, for the file only.

    Returns:
        False if the cell is done already by another attempt; this one is then kept as "abandoned".

    Raises:
        StorageError: there is no such attempt.
        StorageFull: no room; the attempt is still running, for the ledger.
    """
    ended = dataclasses.replace(
        ledger.attempt(cell.id, attempt),
        status=status,
        finished=finished or time.time(),
        payload=payload,
        error=error,
        reason=reason,
    )
    ended = ended if host is None else dataclasses.replace(ended, host=host)
    write_attempt(results, cell, ended, environment)
    first = ledger.finish(
        cell.id,
        attempt,
        status=status,
        payload=payload,
        error=error,
        reason=reason,
        finished=ended.finished,
        host=host,
    )
    if not first:
        write_attempt(results, cell, dataclasses.replace(ended, status="abandoned"), environment)
    return first


def write_attempt(results: Path, cell: Cell, attempt: Attempt, environment: Mapping[str, Any] | None = None) -> None:
    """Write the file of one ended attempt, atomically.

    Raises:
        StorageFull: no room; a file that was there is as it was.
    """
    write_json(run_folder(results, cell.id, attempt.attempt) / FILE, document(cell, attempt, environment))


def write_missing(results: Path, ledger: Ledger, cells: Mapping[str, Cell]) -> int:
    """Write the files that ended attempts lack: of a folder older than the files, of attempts given up.

    Args:
        results: the sweep's results folder.
        ledger: of that folder.
        cells: id → cell, as far as they are known.

    Returns:
        How many were written.
    """
    lacking = [
        attempt
        for attempt in ledger.attempts(payloads=False)
        if attempt.status != "running"
        and attempt.cell in cells
        and not (run_folder(results, attempt.cell, attempt.attempt) / FILE).exists()
    ]
    for attempt in lacking:
        write_attempt(results, cells[attempt.cell], ledger.attempt(attempt.cell, attempt.attempt))
    return len(lacking)


def document(cell: Cell, attempt: Attempt, environment: Mapping[str, Any] | None = None) -> Document:
    """An ended attempt as JSON values; ``environment``: where the run itself left none.

    ``order`` is its place among all attempts of the sweep; ``parameters`` is all the notebook was given, ``varied``
    what of it makes the configuration what it is; ``record`` is ``None`` if it left none. One that waited (in a plot,
    in a cluster's queue) started later than it was handed out.
    """
    payload, configuration = attempt.payload or {}, cell.configuration
    finished = attempt.started if attempt.finished is None else attempt.finished
    elapsed_s = payload.get("elapsed_s", finished - attempt.started)
    return {
        "schema_version": SCHEMA_VERSION,
        "cell": cell.id,
        "attempt": attempt.attempt,
        "order": attempt.sequence,
        "label": configuration.label,
        "arm": configuration.arm,
        "phase": cell.phase,
        "block": cell.block,
        "parameters": dict(configuration.parameters),
        "varied": dict(configuration.varied),
        "status": attempt.status,
        "reason": attempt.reason,
        "error": attempt.error,
        "host": attempt.host,
        "started_at": iso(max(attempt.started, finished - elapsed_s)),
        "finished_at": iso(finished),
        "elapsed_s": elapsed_s,
        "record": payload.get("record"),
        "environment": payload.get("environment", environment),
    }


def read_attempt(folder: Path) -> Document | None:
    """What an attempt's folder holds, in today's form; ``None`` if it ended without leaving anything.

    Raises:
        StoreCorrupt: the file is no attempt's.
        SweepError: it was written by a newer workbench.
    """
    path = folder / FILE
    path = path if path.exists() else folder / "outcome.json"  # version 1: what a run that was done left
    if not path.exists():
        return None
    found = read_json(path)
    if not isinstance(found, dict):
        raise StoreCorrupt(path, "it is not what an attempt leaves. Remove the file, or restore it from a copy.")
    return migrated(found, path)


def iso(seconds: float) -> str:
    """A moment since 1970 in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
