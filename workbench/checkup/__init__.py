"""What this machine and this installation have, and what to do about what is missing.

Looks at everything and changes nothing; knows no way to generate text. ``workbench doctor`` prints it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.checkup.examine import doctor
    from workbench.checkup.report import Check, Report

_HOME = {"Check": "report", "Report": "report", "doctor": "examine"}

__all__ = ["Check", "Report", "doctor"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
