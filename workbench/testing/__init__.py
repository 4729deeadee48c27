"""What authors of components need: contract suites per Protocol, a scripted engine, a mock endpoint, tiny GGUF files.

``ScriptedEngine``, ``MockEndpoint`` and ``make_tiny_gguf`` need no test library; pytest and Hypothesis are imported
when a contract is first used. A contract is a base class::

    from workbench.testing import MemoryContract

    class TestMine(MemoryContract):
        def make(self):
            return MyMemory()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.testing.contracts import (
        CacheContract,
        CompressorContract,
        EmbedderContract,
        EngineContract,
        ExecutorContract,
        MemoryContract,
    )
    from workbench.testing.mock_endpoint import Answer, Fault, MockEndpoint
    from workbench.testing.scripted import Reply, ScriptedEngine
    from workbench.testing.slow_line import SlowLine
    from workbench.testing.tiny_gguf import make_tiny_gguf

_HOME = {
    "Answer": "mock_endpoint",
    "CacheContract": "contracts",
    "CompressorContract": "contracts",
    "EmbedderContract": "contracts",
    "EngineContract": "contracts",
    "ExecutorContract": "contracts",
    "Fault": "mock_endpoint",
    "MemoryContract": "contracts",
    "MockEndpoint": "mock_endpoint",
    "Reply": "scripted",
    "ScriptedEngine": "scripted",
    "SlowLine": "slow_line",
    "make_tiny_gguf": "tiny_gguf",
}

__all__ = [
    "Answer",
    "CacheContract",
    "CompressorContract",
    "EmbedderContract",
    "EngineContract",
    "ExecutorContract",
    "Fault",
    "MemoryContract",
    "MockEndpoint",
    "Reply",
    "ScriptedEngine",
    "SlowLine",
    "make_tiny_gguf",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
