"""The commands ``workbench sweep …`` and ``workbench bench``: thin; they call the sweep and print what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import UnknownName

if TYPE_CHECKING:
    from workbench.sweep import Analysis, Sweep, TargetResult

sweep_app = typer.Typer(help="Run sweeps of parameterised notebooks and read what they found.", no_args_is_help=True)

Spec = Annotated[Path, typer.Argument(help="A sweep specification (YAML).", exists=True, dir_okay=False)]


@sweep_app.command("plan")
def sweep_plan(
    spec: Spec,
    order: Annotated[bool, typer.Option("--order", help="Print every cell in running order.")] = False,
) -> None:
    """Say what a sweep would run, in which order, how long it may take and what it leaves on disk. Runs nothing."""
    from workbench.sweep import Sweep
    from workbench.sweep.forecast import forecast

    found = forecast(Sweep.from_file(spec))
    typer.echo(str(found))
    if order:
        typer.echo("\n".join(cell.label for cell in found.cells))


@sweep_app.command("run")
def sweep_run(
    spec: Spec,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Run a sweep, or what is missing of it, and say what to use."""
    from workbench.sweep import Sweep

    sweep = Sweep.from_file(spec)
    analysis = sweep.run(progress=not quiet, retry_failed=retry_failed)
    _print_findings(analysis)
    typer.echo(f"Dashboard: {_write_report(sweep, analysis)}")
    if analysis.audit.failed or not analysis.audit.done:
        raise typer.Exit(1)


@sweep_app.command("status")
def sweep_status(spec: Spec) -> None:
    """Say how far a sweep is."""
    from workbench.sweep import Sweep

    _print_audit(Sweep.from_file(spec).status())


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
    typer.echo(f"{audit.done}/{audit.planned} runs done, {audit.failed} failed, {audit.missing} missing")
    for label, reason in audit.failures:
        typer.echo(f"  failed: {label}: {reason}")


def _print_targets(targets: Any) -> None:
    if not targets:
        return
    signs = {True: "met", False: "MISSED", None: "not measured"}
    rows = [("measure", "asked", "measured", "")] + [(t.name, t.asked, t.measured, signs[t.met]) for t in targets]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    typer.echo()
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
