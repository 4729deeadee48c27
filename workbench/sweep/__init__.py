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
    from workbench.sweep.claiming import ClaimTable, claims
    from workbench.sweep.design.planning import Cell, Configuration, plan
    from workbench.sweep.execution.dask_executor import DaskExecutor
    from workbench.sweep.execution.local import LocalExecutor
    from workbench.sweep.execution.runner import Sweep
    from workbench.sweep.findings.analysis import analyse
    from workbench.sweep.findings.claims import ClaimResult
    from workbench.sweep.records.recording import record
    from workbench.sweep.records.requests import request_series
    from workbench.sweep.records.store import Records, load_frame, read_sweep
    from workbench.sweep.specification.spec import SweepSpec
    from workbench.sweep.versus import SweepComparison, compare_sweeps

_HOME = {
    "Cell": "design.planning",
    "ClaimResult": "findings.claims",
    "ClaimTable": "claiming",
    "Configuration": "design.planning",
    "DaskExecutor": "execution.dask_executor",
    "LocalExecutor": "execution.local",
    "Records": "records.store",
    "Sweep": "execution.runner",
    "SweepComparison": "versus",
    "SweepSpec": "specification.spec",
    "analyse": "findings.analysis",
    "compare_sweeps": "versus",
    "claims": "claiming",
    "load_frame": "records.store",
    "plan": "design.planning",
    "read_sweep": "records.store",
    "record": "records.recording",
    "request_series": "records.requests",
}

__all__ = [
    "Analysis",
    "Audit",
    "Cell",
    "ClaimResult",
    "ClaimTable",
    "Comparison",
    "Configuration",
    "DaskExecutor",
    "Effect",
    "Floor",
    "LocalExecutor",
    "MainEffect",
    "Objective",
    "Recommendation",
    "Records",
    "Sweep",
    "SweepComparison",
    "SweepSpec",
    "TargetResult",
    "analyse",
    "claims",
    "compare_sweeps",
    "load_frame",
    "plan",
    "read_sweep",
    "record",
    "request_series",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
