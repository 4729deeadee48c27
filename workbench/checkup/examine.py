"""Runs every check. One that fails to look is a problem of its own, and never spoils the others."""

from __future__ import annotations

from collections.abc import Callable

from workbench.checkup import installation, machine, places
from workbench.checkup.report import Check, Report

CHECKS: tuple[tuple[str, Callable[[], Check]], ...] = (
    ("Python", installation.python),
    ("CPU", machine.cpu),
    ("Memory", machine.memory),
    ("GPU", machine.gpu),
    ("CPU energy", machine.cpu_energy),
    ("llama.cpp", installation.llama_cpp),
    ("Compilers", installation.compilers),
    ("Packages", installation.packages),
    ("Jupyter", installation.jupyter),
    ("Models", places.models),
    ("Variables", places.variables),
    ("Folders", places.folders),
    ("Disk", places.disk),
    ("Other tools", installation.peers),
)
"""Name of a check and the function that makes it."""


def doctor() -> Report:
    """Examine this machine and this installation.

    Takes some seconds: llama.cpp is loaded in a child process, where a broken build can do no harm.
    """
    return Report(tuple(_made(name, check) for name, check in CHECKS))


def _made(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # whatever is broken here is what the reader wants to know of
        return Check(name, "problem", f"could not be examined: {type(error).__name__}: {error}")
