"""Finding the settings that serve one model best on one machine: `workbench tune`.

Optuna proposes, child processes measure, every candidate in turns with the untouched default, and only a candidate
whose interval lies beyond the noise and whose quality keeps the limit becomes a profile. Knows engines' settings and
quantisations; never conversations, plots or how a profile is used later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.tuning.candidate import Candidate
    from workbench.tuning.lab import Lab, Shot
    from workbench.tuning.plan import Plan
    from workbench.tuning.quality import Quality, QualityLimit, limit_of
    from workbench.tuning.results import TuneResult
    from workbench.tuning.tuner import tune
    from workbench.tuning.workload import Workload

_HOME = {
    "Candidate": "candidate",
    "Lab": "lab",
    "Plan": "plan",
    "Quality": "quality",
    "QualityLimit": "quality",
    "Shot": "lab",
    "TuneResult": "results",
    "Workload": "workload",
    "limit_of": "quality",
    "tune": "tuner",
}

__all__ = ["Candidate", "Lab", "Plan", "Quality", "QualityLimit", "Shot", "TuneResult", "Workload", "limit_of", "tune"]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
