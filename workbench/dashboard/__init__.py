"""Figures and the single-file report of a sweep, and of a tune (``write_tune_report``).

>>> import workbench as wb
>>> board = wb.Dashboard(sweep)                       # a Sweep, or the Analysis it returned
>>> board                                             # in a notebook: the whole report
>>> board.figure("forest", "decode_tps")              # one plotly figure
>>> board.figure("timeline")                          # one run: tokens and the machine on the same clock
>>> board.save("decode.html")                         # one self-contained file

``write_index`` lists every sweep below a folder on one page.

``pareto_figure`` draws the cost-quality front of any frame, ``stages_figure`` where the time of turns goes, and
``profile`` collects it.

Knows findings (:class:`workbench.sweep.results.Analysis`) and never how runs are executed. plotly and pandas are
loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.dashboard.board import Dashboard
    from workbench.dashboard.claims_page import write_claims_page
    from workbench.dashboard.figures.pareto import pareto_figure
    from workbench.dashboard.figures.retention import retention_figure
    from workbench.dashboard.figures.stages import stages_figure
    from workbench.dashboard.index import write_index
    from workbench.dashboard.profiling import Profile, profile
    from workbench.dashboard.report import write_report
    from workbench.dashboard.tune_report import write_tune_report

_HOME = {
    "Dashboard": "board",
    "Profile": "profiling",
    "pareto_figure": "figures.pareto",
    "profile": "profiling",
    "retention_figure": "figures.retention",
    "stages_figure": "figures.stages",
    "write_index": "index",
    "write_claims_page": "claims_page",
    "write_report": "report",
    "write_tune_report": "tune_report",
}

__all__ = [
    "Dashboard",
    "Profile",
    "pareto_figure",
    "profile",
    "retention_figure",
    "stages_figure",
    "write_claims_page",
    "write_index",
    "write_report",
    "write_tune_report",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
