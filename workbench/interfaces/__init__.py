"""The seams of the house: what crosses between rooms, and the Protocols everything plugs into.

The dataclasses are frozen and hold plain values only, so that they can go through JSON to another process. The
Protocols' docstrings are contracts; :mod:`workbench.testing` has a suite of tests for each. Knows no implementation.
"""

from workbench.interfaces.components import (
    Cache,
    CacheStats,
    Compression,
    Compressor,
    Embedder,
    Memory,
    Recollection,
    Recollections,
)
from workbench.interfaces.engine import Engine, Stream
from workbench.interfaces.generation import (
    Chunk,
    Completion,
    EngineStats,
    FinishReason,
    FloatArray,
    Request,
    Sampling,
    Scores,
    Timings,
)
from workbench.interfaces.messages import ROLES, Message, Prompt
from workbench.interfaces.receipt import Receipt
from workbench.interfaces.work import Executor, Job, Outcome, Record

__all__ = [
    "ROLES",
    "Cache",
    "CacheStats",
    "Chunk",
    "Completion",
    "Compression",
    "Compressor",
    "Embedder",
    "Engine",
    "EngineStats",
    "Executor",
    "FinishReason",
    "FloatArray",
    "Job",
    "Memory",
    "Message",
    "Outcome",
    "Prompt",
    "Receipt",
    "Recollection",
    "Recollections",
    "Record",
    "Request",
    "Sampling",
    "Scores",
    "Stream",
    "Timings",
]
