"""A conversation: engine, memory, compression, caches and tools put together, turn by turn, every turn traced.

Knows the Protocols only; never widgets, plots or which engine runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.conversation.cast import Cast
    from workbench.conversation.routing import Route, Router, RuleRouter
    from workbench.conversation.session import Session
    from workbench.conversation.settings import ConversationSettings
    from workbench.conversation.stream import TurnStream
    from workbench.conversation.tools import Toolbox, World, tool
    from workbench.conversation.turn import Turn

_HOME = {
    "Cast": "cast",
    "ConversationSettings": "settings",
    "Route": "routing",
    "Router": "routing",
    "RuleRouter": "routing",
    "Session": "session",
    "Toolbox": "tools",
    "Turn": "turn",
    "TurnStream": "stream",
    "World": "tools",
    "tool": "tools",
}

__all__ = [
    "Cast",
    "ConversationSettings",
    "Route",
    "Router",
    "RuleRouter",
    "Session",
    "Toolbox",
    "Turn",
    "TurnStream",
    "World",
    "tool",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
