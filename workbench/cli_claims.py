"""The command ``workbench claims``: what was claimed, what was measured, and what to make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Option(help="Where the specifications of the claims are.")]


def claims(
    names: Annotated[list[str] | None, typer.Argument(help="Only these; none: all.")] = None,
    run: Annotated[bool, typer.Option("--run", help="First run what is missing of them.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the table as a page, too.")] = None,
    folder: Folder = Path("experiments/claims"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Print claimed / measured / verdict of every claim. Exit status 1: one could not be read, or runs failed."""
    from workbench.sweep import claims as read

    chosen = names or []
    failed = _run(folder, chosen, quiet) if run else False
    table = read(folder, chosen)
    typer.echo(str(table))
    if html is not None:
        from workbench.dashboard import write_claims_page

        typer.echo(f"Page: {write_claims_page(table, html)}")
    if table.unreadable or failed:
        raise typer.Exit(1)


def _run(folder: Path, names: list[str], quiet: bool) -> bool:
    """Run what is missing, one sweep after the other; whether a run failed."""
    from workbench.dashboard import write_report
    from workbench.sweep.claiming import to_run

    failed = False
    for sweep in to_run(folder, names):
        typer.echo(f"\n{sweep.spec.title or sweep.spec.name}", err=True)
        analysis = sweep.run(progress=not quiet)
        typer.echo(str(analysis.audit), err=True)
        write_report(analysis, sweep.folder / "dashboard.html")
        failed |= bool(analysis.audit.failed)
        if sweep.paused:
            typer.echo("Paused. The same command goes on.", err=True)
            break
    return failed
