"""workbench: the lab bench for local language models.

>>> import workbench as wb
>>> engine = wb.load("smollm2-135m")
>>> print(engine.complete("The capital of France is", max_tokens=8).text)

Everything is loaded on first use: ``import workbench`` itself imports neither llama.cpp nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from workbench.checkup import doctor
    from workbench.dashboard import Dashboard
    from workbench.engine import load, presets
    from workbench.errors import WorkbenchError
    from workbench.hardware import Monitor, snapshot
    from workbench.interfaces import Message, Request, Sampling
    from workbench.models import list_models
    from workbench.registry import caches, compressors, embedders, engines, executors, memories
    from workbench.settings import EngineSettings
    from workbench.sweep import Sweep, record

_HOME = {
    "Dashboard": "dashboard",
    "EngineSettings": "settings",
    "Message": "interfaces",
    "Monitor": "hardware",
    "Request": "interfaces",
    "Sampling": "interfaces",
    "Sweep": "sweep",
    "WorkbenchError": "errors",
    "caches": "registry",
    "compressors": "registry",
    "doctor": "checkup",
    "embedders": "registry",
    "engines": "registry",
    "executors": "registry",
    "load": "engine",
    "memories": "registry",
    "list_models": "models",
    "presets": "engine",
    "record": "sweep",
    "snapshot": "hardware",
}

__all__ = [
    "Dashboard",
    "EngineSettings",
    "Message",
    "Monitor",
    "Request",
    "Sampling",
    "Sweep",
    "WorkbenchError",
    "__version__",
    "caches",
    "compressors",
    "doctor",
    "embedders",
    "engines",
    "executors",
    "list_models",
    "load",
    "memories",
    "presets",
    "record",
    "snapshot",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
