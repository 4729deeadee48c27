"""Model files: what they are, where they lie, whether they are whole, and how much memory they take.

Knows GGUF headers and folders on disk; never how text is generated. Nothing here loads a weight.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.models.discovery import list_models
    from workbench.models.footprint import MemoryEstimate, check_fits, estimate
    from workbench.models.gguf_file import ModelFile, read_model_file
    from workbench.models.gguf_header import TensorInfo
    from workbench.models.hashing import verify
    from workbench.models.lookup import resolve

__all__ = [
    "MemoryEstimate",
    "ModelFile",
    "TensorInfo",
    "check_fits",
    "estimate",
    "list_models",
    "read_model_file",
    "resolve",
    "verify",
]

_HOMES = {
    "MemoryEstimate": "footprint",
    "ModelFile": "gguf_file",
    "TensorInfo": "gguf_header",
    "check_fits": "footprint",
    "estimate": "footprint",
    "list_models": "discovery",
    "read_model_file": "gguf_file",
    "resolve": "lookup",
    "verify": "hashing",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for: ``gguf`` brings numpy, and a notebook may never look at a model."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
