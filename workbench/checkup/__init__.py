"""What this machine and this installation have, and what to do about what is missing.

Looks at everything and changes nothing; knows no way to generate text. ``workbench doctor`` prints it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.checkup.examine import doctor
    from workbench.checkup.report import Check, Report

_HOME = {"Check": "report", "Report": "report", "doctor": "examine"}

__all__ = ["Check", "Report", "doctor"]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
