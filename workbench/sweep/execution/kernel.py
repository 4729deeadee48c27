"""Entry point of a run's Jupyter kernel: this very interpreter, and it dies with the run that started it."""

from __future__ import annotations

import sys

from workbench.sweep.execution import renewal
from workbench.sweep.execution.processes import die_with_parent


def main() -> None:
    """Start an IPython kernel; arguments are ipykernel's."""
    die_with_parent()
    # `-m` puts the working directory first; IPython adds it itself, as in JupyterLab
    del sys.path[0]
    renewal.remember()
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()


if __name__ == "__main__":
    main()
