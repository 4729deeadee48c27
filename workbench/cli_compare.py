"""The command ``workbench compare``: thin; it calls the sweep room and prints what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.errors import UsageError, WorkbenchError

Side = Annotated[Path, typer.Argument(help="A specification (YAML), a results folder, or a Parquet file of records.")]


def compare(
    a: Side,
    b: Side,
    gate: Annotated[str, typer.Option(help="How much worse B may be, as in 5% or 0.05.")] = "5%",
    only_a: Annotated[list[str] | None, typer.Option("--a", help="Of A only NAME=VALUE.")] = None,
    only_b: Annotated[list[str] | None, typer.Option("--b", help="Of B only NAME=VALUE.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Compare this metric; may be repeated.")] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Also write the result here; '-': print only it.")
    ] = None,
) -> None:
    """Compare sweep B with sweep A, configuration by configuration.

    Exit status: 0 no metric is shown to be worse by more than the gate, 1 one is, or B tried a configuration of A and
    finished no run of it, 2 nothing could be compared.
    """
    from workbench.sweep import compare_sweeps

    try:
        selected = {"only_a": _values(only_a), "only_b": _values(only_b)}
        found = compare_sweeps(a, b, gate=_share(gate), metrics=metric or (), **selected)
    except WorkbenchError as error:  # 1 would say that B is worse
        typer.echo(f"workbench: {error}", err=True)
        raise typer.Exit(2) from error
    text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False)
    if as_json is not None and str(as_json) != "-":
        from workbench.storage import write_bytes

        write_bytes(as_json, text.encode())
    typer.echo(text if str(as_json) == "-" else str(found))
    if found.broken:
        raise typer.Exit(1)
    if not found.comparable:
        raise typer.Exit(2)


def _share(text: str) -> float:
    """5% and 0.05 are the same.

    Raises:
        UsageError: it is no number.
    """
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise UsageError(f"A gate is a share, as in 5% or 0.05, not {text!r}.") from error


def _values(pairs: list[str] | None) -> dict[str, Any]:
    """NAME=VALUE; the values as YAML reads them.

    Raises:
        UsageError: there is no equals sign, or the value is no YAML.
    """
    import yaml

    chosen = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"A parameter is NAME=VALUE, not {pair!r}.")
        try:
            chosen[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"A value is written as in YAML; {value!r} of {name} is not.") from error
    return chosen
