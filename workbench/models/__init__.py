"""Model files: what they are, where they lie, whether they are whole, and how much memory they take.

Knows GGUF headers and folders on disk; never how text is generated. Nothing here loads a weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.models.discovery import list_models
    from workbench.models.fitting import Fit, fit
    from workbench.models.footprint import MemoryEstimate, check_fits, estimate
    from workbench.models.gguf_file import ModelFile, read_model_file
    from workbench.models.gguf_header import TensorInfo
    from workbench.models.hashing import known_hash, verify
    from workbench.models.lookup import resolve
    from workbench.models.machine import GpuMemory, Machine
    from workbench.models.synthetic import SyntheticShape, make_synthetic

__all__ = [
    "Fit",
    "GpuMemory",
    "Machine",
    "MemoryEstimate",
    "ModelFile",
    "SyntheticShape",
    "TensorInfo",
    "check_fits",
    "estimate",
    "fit",
    "known_hash",
    "list_models",
    "make_synthetic",
    "read_model_file",
    "resolve",
    "verify",
]

_HOMES = {
    "Fit": "fitting",
    "GpuMemory": "machine",
    "Machine": "machine",
    "MemoryEstimate": "footprint",
    "ModelFile": "gguf_file",
    "SyntheticShape": "synthetic",
    "TensorInfo": "gguf_header",
    "check_fits": "footprint",
    "estimate": "footprint",
    "fit": "fitting",
    "known_hash": "hashing",
    "list_models": "discovery",
    "make_synthetic": "synthetic",
    "read_model_file": "gguf_file",
    "resolve": "lookup",
    "verify": "hashing",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
