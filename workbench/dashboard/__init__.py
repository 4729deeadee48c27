"""Figures and the single-file report of a sweep.

>>> import workbench as wb
>>> board = wb.Dashboard(sweep)                       # a Sweep, or the Analysis it returned
>>> board                                             # in a notebook: the whole report
>>> board.figure("forest", "decode_tps")              # one plotly figure
>>> board.save("decode.html")                         # one self-contained file

Knows findings (:class:`workbench.sweep.results.Analysis`) and never how runs are executed. plotly and pandas are
loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.dashboard.board import Dashboard
    from workbench.dashboard.report import write_report

_HOME = {"Dashboard": "board", "write_report": "report"}

__all__ = ["Dashboard", "write_report"]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
