"""Programs of llama.cpp found on PATH, to compare with: llama-server as an engine, llama-bench as a limit.

They are no part of this project and no dependency of it: whoever has them gets the comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.engine.peers.bench import llama_bench
    from workbench.engine.peers.program import find_program, program_path
    from workbench.engine.peers.server import LlamaServerEngine

_HOME = {
    "LlamaServerEngine": "server",
    "find_program": "program",
    "llama_bench": "bench",
    "program_path": "program",
}

__all__ = ["LlamaServerEngine", "find_program", "llama_bench", "program_path"]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
