"""What a conversation remembers, one strategy a file.

Implements :class:`workbench.interfaces.Memory`; never knows which engine or store server runs. Strategies are found by
name in :data:`workbench.memories`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.memory.adaptive import AdaptiveMemory
    from workbench.memory.archive import ArchiveMemory
    from workbench.memory.base import LoggedMemory
    from workbench.memory.baselines import FullMemory, NoMemory, RandomMemory
    from workbench.memory.buffer import BufferMemory
    from workbench.memory.composed import ComposedMemory
    from workbench.memory.graph import GraphMemory
    from workbench.memory.hybrid import HybridMemory
    from workbench.memory.ranked import RankedMemory
    from workbench.memory.summary import SummaryMemory
    from workbench.memory.window import WindowMemory

_HOME = {
    "AdaptiveMemory": "adaptive",
    "ArchiveMemory": "archive",
    "BufferMemory": "buffer",
    "ComposedMemory": "composed",
    "FullMemory": "baselines",
    "GraphMemory": "graph",
    "HybridMemory": "hybrid",
    "LoggedMemory": "base",
    "NoMemory": "baselines",
    "RandomMemory": "baselines",
    "RankedMemory": "ranked",
    "SummaryMemory": "summary",
    "WindowMemory": "window",
}

__all__ = [
    "AdaptiveMemory",
    "ArchiveMemory",
    "BufferMemory",
    "ComposedMemory",
    "FullMemory",
    "GraphMemory",
    "HybridMemory",
    "LoggedMemory",
    "NoMemory",
    "RandomMemory",
    "RankedMemory",
    "SummaryMemory",
    "WindowMemory",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
