"""The room where text is generated: the tuned llama.cpp engine, and the plain ``llama_cpp.Llama`` to compare it with.

Knows models, tokens and time; never conversations, memory or widgets. llama.cpp is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOME)
