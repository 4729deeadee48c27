"""The command ``workbench report``: an index over all sweeps, and the dashboards that are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_EXPERIMENTS = Path("experiments")


def report(
    folder: Annotated[
        Path | None, typer.Argument(help="Searched for results, with everything below it; none: experiments/.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The page; FOLDER/index.html unless given.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Write every dashboard anew.")] = False,
) -> None:
    """Write a page that lists every sweep below a folder: how far it is, what it recommends, where its dashboard is."""
    from workbench.dashboard import write_index

    where = folder or _EXPERIMENTS
    # beside the specifications a page would be a file to commit; results are not
    page = out or (where / "results" / "index.html" if folder is None else None)
    typer.echo(f"Index: {write_index(where, page, rebuild=rebuild)}")
