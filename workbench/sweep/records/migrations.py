"""What older versions left, in today's form: one function a version, applied one after the other.

Version 1: ``outcome.json`` of a run that was done: cell, elapsed time, record and environment.
Version 2: ``attempt.json`` of every attempt, its configuration and its fate included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.errors import StoreCorrupt, SweepError
from workbench.storage import read_json
from workbench.sweep.design.planning import label_of

SCHEMA_VERSION = 2
"""Of ``attempt.json`` and of the Parquet files."""

_VERSION = "schema_version"


def migrated(found: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A document in today's form.

    Args:
        found: what the file holds.
        path: the file: messages name it, and older versions left some facts to its neighbours.

    Raises:
        SweepError: a newer workbench wrote it.
        StoreCorrupt: it lacks what every version has.
    """
    version, current = found.get(_VERSION, 1), dict(found)
    refuse_newer(version, path)
    try:
        while version < SCHEMA_VERSION:
            current = _STEPS[version](current, path)
            version += 1
    except KeyError as missing:
        raise StoreCorrupt(path, f"{missing} is missing. Remove the file, or restore it from a copy.") from missing
    return current


def refuse_newer(version: object, path: Path) -> None:
    """Raise a :class:`SweepError` if records have a version this workbench cannot know."""
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise SweepError(
            f"{path} has schema version {version}, this workbench reads up to {SCHEMA_VERSION}. "
            "Upgrade it: pip install --upgrade workbench"
        )


def _from_1(found: dict[str, Any], path: Path) -> dict[str, Any]:
    """The configuration is what papermill put into the notebook; which of it was varied was not kept."""
    result, parameters = found["result"], _injected(path.parent / "notebook.ipynb")
    attempt = path.parent.name.rpartition("-")[2]
    environment = result.get("environment") or {}
    return {
        _VERSION: 2,
        "cell": found["cell"],
        "attempt": int(attempt) if attempt.isdigit() else 1,
        "order": None,
        "label": label_of(parameters),
        "arm": None,
        "phase": "grid",
        "block": None,
        "parameters": parameters,
        "varied": parameters,
        "status": "done",
        "reason": None,
        "error": None,
        "host": environment.get("host"),
        "started_at": None,
        "finished_at": None,
        "elapsed_s": found["elapsed_s"],
        "record": result["record"],
        "environment": environment,
    }


def _injected(notebook: Path) -> dict[str, Any]:
    if not notebook.exists():
        return {}
    metadata = read_json(notebook).get("metadata", {})
    return dict(metadata.get("papermill", {}).get("parameters", {}))


_STEPS: dict[int, Callable[[dict[str, Any], Path], dict[str, Any]]] = {1: _from_1}
