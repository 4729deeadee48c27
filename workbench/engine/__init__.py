"""The room where text is generated: the tuned llama.cpp engine, and the plain ``llama_cpp.Llama`` to compare it with.

Knows models, tokens and time; never conversations, memory or widgets. llama.cpp is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.engine.baseline import BaselineEngine
    from workbench.engine.loading import load
    from workbench.engine.sampling_presets import presets
    from workbench.engine.template import ChatTemplate
    from workbench.engine.tuned import TunedEngine

_HOME = {
    "BaselineEngine": "baseline",
    "ChatTemplate": "template",
    "TunedEngine": "tuned",
    "load": "loading",
    "presets": "sampling_presets",
}

__all__ = ["BaselineEngine", "ChatTemplate", "TunedEngine", "load", "presets"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
