"""Runs of a sweep for an MLflow server or database: parameters, metrics, tags, and the run's own files.

What counts stays with the ledger; MLflow gets copies. Each has its attempt as a tag, so exporting again adds only what
is new, and a copy that was broken off is made anew. Series are in the artifact ``attempt.json``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workbench.errors import MissingExtra, SweepError
from workbench.sweep.records.attempt_file import FILE, run_folder

ATTEMPT_TAG, SWEEP_TAG = "workbench.attempt", "workbench.sweep"

_TAGGED = ("cell", "block", "phase", "arm", "host", "order", "label", "reason")
_FILES = ("notebook.ipynb", FILE)
_PARAMETERS_AT_ONCE, _METRICS_AT_ONCE = 100, 1000  # limits of MLflow's log-batch
_KEY_LENGTH, _PARAMETER_LENGTH, _TAG_LENGTH = 250, 6_000, 5_000


def export(
    rows: Sequence[Mapping[str, Any]],
    metrics: Sequence[Mapping[str, float | None]],
    folder: Path,
    *,
    sweep: str,
    tracking_uri: str,
    experiment: str,
    artifacts: bool = True,
) -> int:
    """Copy attempts that are not there yet.

    Args:
        rows: attempts as a table of records has them.
        metrics: metric → value of each.
        folder: the results folder, for the files of each.
        sweep: name of the sweep.
        tracking_uri: as MLflow takes it: ``http://…``, ``sqlite:///runs.db``.
        experiment: name of the experiment; made if it is not there.
        artifacts: also copy executed notebooks and ``attempt.json``.

    Returns:
        How many were added.

    Raises:
        MissingExtra: MLflow is not installed.
        SweepError: MLflow refused; has its words.
    """
    mlflow = _mlflow()
    try:
        client = mlflow.MlflowClient(tracking_uri=tracking_uri)
        place = _experiment(client, experiment, tracking_uri)
        there = _exported(client, place, sweep)
        new = [(row, found) for row, found in zip(rows, metrics, strict=True) if _name(row) not in there]
        for row, found in new:
            _copy(client, place, row, found, sweep, run_folder(folder, row["cell"], row["attempt"]), artifacts)
    except mlflow.MlflowException as error:
        raise SweepError(f"MLflow at {tracking_uri} refused: {error}") from error
    return len(new)


def _mlflow() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody who exports to his own server asked for that
    try:
        import mlflow
    except ImportError as error:
        raise MissingExtra("mlflow-skinny", "mlflow") from error
    return mlflow


def _experiment(client: Any, name: str, tracking_uri: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=_beside(tracking_uri)))


def _beside(tracking_uri: str) -> str | None:
    """Where a database file has no server to keep artifacts: beside it, not in whatever folder this is called from."""
    path = urlsplit(tracking_uri).path
    if not tracking_uri.startswith("sqlite:///") or path in ("", "/"):
        return None
    return (Path(path[1:]).absolute().parent / "mlartifacts").as_uri()


def _exported(client: Any, experiment: str, sweep: str) -> set[str]:
    """Attempts that are whole in MLflow. A copy that still "runs" was broken off: it is removed."""
    whole, page = set(), None
    while True:
        found = client.search_runs([experiment], max_results=1000, page_token=page)
        for run in found:
            if run.data.tags.get(SWEEP_TAG) != sweep:
                continue
            if run.info.status == "RUNNING":
                client.delete_run(run.info.run_id)
            else:
                whole.add(run.data.tags.get(ATTEMPT_TAG))
        page = found.token
        if not page:
            return whole


def _copy(
    client: Any,
    experiment: str,
    row: Mapping[str, Any],
    metrics: Mapping[str, float | None],
    sweep: str,
    folder: Path,
    artifacts: bool,
) -> None:
    from mlflow.entities import Metric, Param

    ended = _milliseconds(row["finished_at"])
    tags = {**_tags(row), SWEEP_TAG: sweep, ATTEMPT_TAG: _name(row)}
    started = _milliseconds(row["started_at"])
    run = client.create_run(experiment, start_time=started, run_name=row["label"], tags=tags).info.run_id
    parameters = [Param(name, _text(value)) for name, value in _keyed(json.loads(row["parameters"]))]
    measured = [Metric(name, value, ended or 0, 0) for name, value in _keyed(metrics) if value is not None]
    for some in _portions(parameters, _PARAMETERS_AT_ONCE):
        client.log_batch(run, params=some)
    for some in _portions(measured, _METRICS_AT_ONCE):
        client.log_batch(run, metrics=some)
    for file in _FILES if artifacts else ():
        if (folder / file).exists():
            client.log_artifact(run, str(folder / file))
    client.set_terminated(run, status="FINISHED" if row["status"] == "done" else "FAILED", end_time=ended)


def _tags(row: Mapping[str, Any]) -> dict[str, str]:
    tags = {f"workbench.{name}": str(row[name])[:_TAG_LENGTH] for name in _TAGGED if row[name] is not None}
    if row["git_commit"]:
        tags["mlflow.source.git.commit"] = row["git_commit"]
    if row["error"]:
        tags["mlflow.note.content"] = row["error"][:_TAG_LENGTH]
    return tags


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['cell']}-{row['attempt']}"


def _keyed(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names as MLflow allows them; of two that become one the second gets a number."""
    taken: set[str] = set()
    for name, value in values.items():
        plain = re.sub(r"[^\w\-. ]", "_", name)[: _KEY_LENGTH - 5]
        key = next(key for key in (plain, *(f"{plain}_{number}" for number in range(2, 10_000))) if key not in taken)
        taken.add(key)
        yield key, value


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:_PARAMETER_LENGTH]


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(1e3 * moment.timestamp())


def _portions(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[at : at + size] for at in range(0, len(values), size))
