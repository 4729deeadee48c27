"""Making a conversation fit into a number of tokens, one strategy a file.

Implements :class:`workbench.interfaces.Compressor`; never knows which engine runs: a strategy is handed a token
counter, or an engine. Strategies are found by name in :data:`workbench.compressors`.
"""

from workbench.compression.middle import MiddleCompressor

__all__ = ["MiddleCompressor"]
