"""The command ``workbench sweep export``: the records of a sweep for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.sweep import Records

Source = Annotated[Path, typer.Argument(help="A sweep specification (YAML), or a results folder.", exists=True)]


def export(
    source: Source,
    mlflow: Annotated[
        str | None, typer.Option(metavar="URI", help="Copy runs to MLflow: http://…, sqlite:///runs.db.")
    ] = None,
    experiment: Annotated[str | None, typer.Option(help="MLflow experiment; default: the sweep's name.")] = None,
    artifacts: Annotated[bool, typer.Option(help="Copy executed notebooks to MLflow, too.")] = True,
    parquet: Annotated[Path | None, typer.Option(dir_okay=False, help="Write every attempt as Parquet.")] = None,
    csv: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the finished runs as CSV.")] = None,
) -> None:
    """Give the records of a sweep to other tools. A second export to MLflow adds only what is new."""
    if mlflow is None and parquet is None and csv is None:
        raise UsageError("Nothing to write. Give --mlflow URI, --parquet FILE or --csv FILE.")
    records = _records(source)
    if parquet is not None:
        records.write_parquet(parquet)
        typer.echo(f"Parquet: {parquet}")
    if csv is not None:
        records.write_csv(csv)
        typer.echo(f"CSV: {csv}")
    if mlflow is not None:
        added = records.to_mlflow(mlflow, experiment=experiment, artifacts=artifacts)
        typer.echo(f"MLflow: {added:,} {'run' if added == 1 else 'runs'} added at {mlflow}")


def _records(source: Path) -> Records:
    from workbench.sweep import Sweep, read_sweep

    return read_sweep(source) if source.is_dir() else Sweep.from_file(source).records()
