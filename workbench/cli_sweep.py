"""The commands ``workbench sweep …`` and ``workbench bench``: thin; they call the sweep and print what it says."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import UnknownName

if TYPE_CHECKING:
    from workbench.sweep import Analysis, Sweep, TargetResult

sweep_app = typer.Typer(help="Run sweeps of parameterised notebooks and read what they found.", no_args_is_help=True)

PAUSED = 3
"""Exit status of a sweep that was paused: neither well nor wrong."""

_REASONS = 10
"""Different reasons of failed runs that are printed: each may bring the end of a log."""

Spec = Annotated[Path, typer.Argument(help="A sweep specification (YAML).", exists=True, dir_okay=False)]


@sweep_app.command("plan")
def sweep_plan(
    spec: Spec,
    order: Annotated[bool, typer.Option("--order", help="Print every cell in running order, by whole plots.")] = False,
) -> None:
    """Say what a sweep would run, in which order, how long it may take and what it leaves on disk. Runs nothing."""
    from workbench.sweep import Sweep
    from workbench.sweep.forecast import forecast

    found = forecast(Sweep.from_file(spec))
    typer.echo(str(found))
    if order:
        typer.echo("\n".join(found.order()))


@sweep_app.command("run")
def sweep_run(
    spec: Spec,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run cells again that failed or were out of memory.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
    executor: Annotated[
        str | None, typer.Option("--executor", help="Who runs it: local, dask, or another registered name.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="A Dask scheduler's, as in tcp://host:8786; implies dask.")
    ] = None,
) -> None:
    """Run a sweep, or what is missing of it, and say what to use. Exit status 1: runs failed; 3: paused.

    Ctrl-C ends it at once, and loses the run in progress only.
    """
    from workbench.sweep import Sweep

    sweep = Sweep.from_file(spec)
    try:
        with closing(sweep.executor(executor or ("dask" if address else "local"), address=address)) as chosen:
            analysis = sweep.run(progress=not quiet, retry_failed=retry_failed, executor=chosen)
    except KeyboardInterrupt:
        typer.echo(f"\nInterrupted: {sweep.status()}. `workbench sweep run {spec}` goes on.", err=True)
        raise
    _print_findings(analysis)
    typer.echo(f"Dashboard: {_write_report(sweep, analysis)}")
    if sweep.paused:
        typer.echo(f"Paused: {analysis.audit}. `workbench sweep run {spec}` goes on.", err=True)
        raise typer.Exit(PAUSED)
    if analysis.audit.failed or not analysis.audit.done:
        raise typer.Exit(1)


@sweep_app.command("pause")
def sweep_pause(spec: Spec) -> None:
    """Ask the process that runs a sweep to stop after the run (with `slow`: the whole plot) in progress."""
    from workbench.sweep import Sweep

    if not Sweep.from_file(spec).pause():
        typer.echo("Nobody runs this sweep now, so there is nothing to pause.", err=True)
        raise typer.Exit(1)
    typer.echo(f"It stops after the run in progress; `workbench sweep run {spec}` goes on.")


@sweep_app.command("status")
def sweep_status(spec: Spec) -> None:
    """Say how far a sweep is: all of it, and by phases where there are several."""
    from workbench.sweep import Sweep
    from workbench.sweep.design.planning import PHASES

    sweep = Sweep.from_file(spec)
    _print_audit(sweep.status())
    for phase, words in PHASES.items():
        planned = sweep.status(phase)
        if phase == "search" and sweep.spec.mode != "search":
            continue
        if sweep.spec.more_blocks or sweep.spec.confirm or (phase != "grid" and planned.planned):
            typer.echo(f"  {words}: {planned if planned.planned else 'none decided upon yet'}")
    if kept := sweep.standing().unplanned():
        typer.echo(
            f"{kept:,} more finished runs are kept: of levels, blocks or notebook code that are not asked for now."
        )


@sweep_app.command("schema")
def sweep_schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; else it is printed.", dir_okay=False)
    ] = None,
) -> None:
    """Print the JSON schema of a specification, for editors that complete and check YAML.

    Write it to a file, and let a specification begin with the line

    # yaml-language-server: $schema=sweep.schema.json

    (the path is relative to the specification); editors with a YAML language server then show what each key means.
    """
    from workbench.storage import write_text
    from workbench.sweep import SweepSpec

    text = json.dumps(SweepSpec.json_schema(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    write_text(output, text, private=False)
    typer.echo(f"{output}: let a specification begin with `# yaml-language-server: $schema={output.name}`")


@sweep_app.command("report")
def sweep_report(spec: Spec) -> None:
    """Analyse what there is so far, and write the dashboard anew."""
    from workbench.sweep import Sweep

    sweep = Sweep.from_file(spec)
    analysis = sweep.analyse()
    _print_findings(analysis)
    typer.echo(f"Dashboard: {_write_report(sweep, analysis)}")


def bench(
    name: Annotated[str, typer.Argument(help="Which bench: a folder or a file of experiments/bench/.")],
    folder: Annotated[Path, typer.Option(help="Where the benches are.")] = Path("experiments/bench"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Run the project's own measures and print asked against measured. Exit status 1 if one was missed."""
    from workbench.sweep import Sweep

    results: list[TargetResult] = []
    for spec in _bench_specs(folder, name):
        sweep = Sweep.from_file(spec)
        typer.echo(f"\n{spec.stem}: {sweep.spec.title}", err=True)
        analysis = sweep.run(progress=not quiet)
        _print_audit(analysis.audit)
        results += analysis.targets
        typer.echo(f"Dashboard: {_write_report(sweep, analysis)}")
    _print_targets(results)
    if any(target.met is not True for target in results):
        raise typer.Exit(1)


def _bench_specs(folder: Path, name: str) -> list[Path]:
    """The specifications of a bench, in the order of their numbers: NAME/*.yaml, or NAME.yaml."""
    benches = {path.stem: [path] for path in folder.glob("*.yaml")}
    benches |= {path.name: list(path.glob("*.yaml")) for path in folder.glob("*") if any(path.glob("*.yaml"))}
    if name not in benches:
        raise UnknownName("bench", name, benches, f"Benches are specifications, or folders of them, in {folder}.")

    def place(path: Path) -> tuple[int, str]:
        number = path.stem.partition("_")[0]
        return (int(number) if number.isdigit() else 0, path.name)

    return sorted(benches[name], key=place)


def _write_report(sweep: Sweep, analysis: Analysis) -> Path:
    from workbench.dashboard import write_report

    return write_report(analysis, sweep.folder / "dashboard.html")


def _print_findings(analysis: Analysis) -> None:
    typer.echo(f"\n{analysis.title}\n{'=' * len(analysis.title)}")
    for recommendation in analysis.recommendations:
        typer.echo(f"\n{recommendation.headline}")
        for note in recommendation.notes:
            typer.echo(f"  - {note}")
        if recommendation.code:
            typer.echo(f"\n    {recommendation.code.replace(chr(10), chr(10) + '    ')}")
    _print_targets(analysis.targets)
    typer.echo()
    _print_audit(analysis.audit)


def _print_audit(audit: Any) -> None:
    typer.echo(str(audit))
    labels: dict[str, list[str]] = {}
    for label, reason in audit.failures:
        labels.setdefault(reason, []).append(label)
    for reason, same in list(labels.items())[:_REASONS]:
        typer.echo(f"  failed: {same[0]}{f' and {len(same) - 1:,} more' if len(same) > 1 else ''}: {reason}")
    if len(labels) > _REASONS:
        typer.echo(f"  … and for {len(labels) - _REASONS:,} more reasons")


def _print_targets(targets: Any) -> None:
    if not targets:
        return
    signs = {True: "met", False: "MISSED", None: "not measured"}
    rows = [("measure", "asked", "measured", "")] + [(t.name, t.asked, t.measured, signs[t.met]) for t in targets]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    typer.echo()
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
