"""What a conversation remembers, one strategy a file.

Implements :class:`workbench.interfaces.Memory`; never knows which engine or store server runs. Strategies are found by
name in :data:`workbench.memories`.
"""

from workbench.memory.buffer import BufferMemory

__all__ = ["BufferMemory"]
