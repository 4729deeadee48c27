"""Tools: typed Python functions that a model may have called, reads before its answer and writes after it.

Knows engines through their Protocol; never sessions, memories or widgets.
"""

from __future__ import annotations

from workbench.conversation.tools.calls import Call
from workbench.conversation.tools.definition import Tool, tool
from workbench.conversation.tools.toolbox import Toolbox
from workbench.conversation.tools.world import World

__all__ = ["Call", "Tool", "Toolbox", "World", "tool"]
