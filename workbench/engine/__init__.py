"""The room where text is generated: the tuned llama.cpp engine, and the plain ``llama_cpp.Llama`` to compare it with.

Knows models, tokens and time; never conversations, memory or widgets. llama.cpp is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.interfaces.presets import presets
from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.engine.baseline import BaselineEngine
    from workbench.engine.loading import load
    from workbench.engine.quality.divergence import Divergence, Side, compare_settings
    from workbench.engine.quality.kv_guard import guard_kv
    from workbench.engine.quality.kv_report import KvGuard, KvOption
    from workbench.engine.template import ChatTemplate
    from workbench.engine.tuned import TunedEngine
    from workbench.engine.worker.engine import ProcessEngine

_HOME = {
    "BaselineEngine": "baseline",
    "ChatTemplate": "template",
    "Divergence": "quality.divergence",
    "KvGuard": "quality.kv_report",
    "KvOption": "quality.kv_report",
    "ProcessEngine": "worker.engine",
    "Side": "quality.divergence",
    "TunedEngine": "tuned",
    "compare_settings": "quality.divergence",
    "guard_kv": "quality.kv_guard",
    "load": "loading",
}

__all__ = [
    "BaselineEngine",
    "ChatTemplate",
    "Divergence",
    "KvGuard",
    "KvOption",
    "ProcessEngine",
    "Side",
    "TunedEngine",
    "compare_settings",
    "guard_kv",
    "load",
    "presets",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
