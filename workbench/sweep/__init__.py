"""Sweeps: a specification → cells in randomised blocks → isolated notebook runs → records → statistics → advice.

The measuring method is METHOD in code: every configuration once per block in a seeded random order, one child process
per run, never two at once on a host; what a run left is what it recorded, never what a notebook file says. Knows
nothing of plots: :mod:`workbench.sweep.results` is what it hands to whoever draws.

``specification`` reads the YAML → ``design`` decides what runs in which order → ``execution`` runs it, whatever
happens → ``records`` keeps what was measured → ``findings`` says what it means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names
from workbench.sweep.results import (
    Analysis,
    Audit,
    Comparison,
    Effect,
    Floor,
    MainEffect,
    Objective,
    Recommendation,
    TargetResult,
)

if TYPE_CHECKING:
    from workbench.sweep.design.planning import Cell, Configuration, plan
    from workbench.sweep.execution.local import LocalExecutor
    from workbench.sweep.execution.runner import Sweep
    from workbench.sweep.findings.analysis import analyse
    from workbench.sweep.records.recording import record
    from workbench.sweep.specification.spec import SweepSpec

_HOME = {
    "Cell": "design.planning",
    "Configuration": "design.planning",
    "LocalExecutor": "execution.local",
    "Sweep": "execution.runner",
    "SweepSpec": "specification.spec",
    "analyse": "findings.analysis",
    "plan": "design.planning",
    "record": "records.recording",
}

__all__ = [
    "Analysis",
    "Audit",
    "Cell",
    "Comparison",
    "Configuration",
    "Effect",
    "Floor",
    "LocalExecutor",
    "MainEffect",
    "Objective",
    "Recommendation",
    "Sweep",
    "SweepSpec",
    "TargetResult",
    "analyse",
    "plan",
    "record",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
