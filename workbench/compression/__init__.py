"""Making a conversation fit into a number of tokens, one strategy a file.

Implements :class:`workbench.interfaces.Compressor`; never knows which engine runs: a strategy is handed a token
counter, or an engine. Strategies are found by name in :data:`workbench.compressors`.
"""

from workbench.compression.base import BaseCompressor, Kept
from workbench.compression.chain import ChainCompressor
from workbench.compression.extractive import ExtractiveCompressor
from workbench.compression.middle import MiddleCompressor
from workbench.compression.prompt import PromptCompressor
from workbench.compression.random import RandomCompressor
from workbench.compression.summary import SummaryCompressor
from workbench.compression.surprise import SurpriseCompressor
from workbench.compression.truncate import TruncateCompressor

__all__ = [
    "BaseCompressor",
    "ChainCompressor",
    "ExtractiveCompressor",
    "Kept",
    "MiddleCompressor",
    "PromptCompressor",
    "RandomCompressor",
    "SummaryCompressor",
    "SurpriseCompressor",
    "TruncateCompressor",
]
