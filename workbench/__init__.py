"""workbench: the lab bench for local language models.

>>> import workbench as wb
>>> engine = wb.load("smollm2-135m")
>>> print(engine.complete("The capital of France is", max_tokens=8).text)

Everything is loaded on first use: ``import workbench`` itself imports neither llama.cpp nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.lazy import lazy_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from workbench.checkup import doctor
    from workbench.conversation import ConversationSettings, Session
    from workbench.dashboard import Dashboard, profile
    from workbench.engine import Side, compare_settings, guard_kv, load, presets
    from workbench.errors import WorkbenchError
    from workbench.evaluation import perplexity
    from workbench.hardware import Monitor, snapshot
    from workbench.interfaces import Message, Request, Sampling
    from workbench.models import fit, list_models
    from workbench.registry import caches, compressors, embedders, engines, executors, memories
    from workbench.settings import EngineSettings
    from workbench.sweep import Sweep, claims, compare_sweeps, read_sweep, record, request_series

_HOME = {
    "ConversationSettings": "conversation",
    "Dashboard": "dashboard",
    "EngineSettings": "settings",
    "Message": "interfaces",
    "Monitor": "hardware",
    "Request": "interfaces",
    "Sampling": "interfaces",
    "Session": "conversation",
    "Side": "engine",
    "Sweep": "sweep",
    "WorkbenchError": "errors",
    "caches": "registry",
    "claims": "sweep",
    "compare_settings": "engine",
    "compare_sweeps": "sweep",
    "compressors": "registry",
    "doctor": "checkup",
    "embedders": "registry",
    "engines": "registry",
    "executors": "registry",
    "fit": "models",
    "guard_kv": "engine",
    "load": "engine",
    "memories": "registry",
    "list_models": "models",
    "perplexity": "evaluation",
    "presets": "engine",
    "profile": "dashboard",
    "read_sweep": "sweep",
    "record": "sweep",
    "request_series": "sweep",
    "snapshot": "hardware",
}

__all__ = [
    "ConversationSettings",
    "Dashboard",
    "EngineSettings",
    "Message",
    "Monitor",
    "Request",
    "Sampling",
    "Session",
    "Side",
    "Sweep",
    "WorkbenchError",
    "__version__",
    "caches",
    "claims",
    "compare_settings",
    "compare_sweeps",
    "compressors",
    "doctor",
    "embedders",
    "engines",
    "executors",
    "fit",
    "guard_kv",
    "list_models",
    "load",
    "memories",
    "perplexity",
    "presets",
    "profile",
    "read_sweep",
    "record",
    "request_series",
    "snapshot",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext workbench``: the magics ``%wb_load``, ``%%wb_chat`` and ``%wb_doctor``."""
    # by name, as everything above: what is at the bottom of the house may import this package for its version
    ipython.register_magics(import_module("workbench.magics").WorkbenchMagics)
