"""What of a model's weights has to be in memory, what is copied, and what is only mapped from the file.

llama.cpp repacks the matrices of some types for the CPU it runs on, which is a copy; the rest is mapped, or read when
mapping is off. A tied output layer (the token embedding used twice) is repacked into a second copy, because rows cannot
be looked up in a repacked one. Read from `ggml-cpu/repack.cpp` and `llama-model-loader.cpp` of llama.cpp 0c1e570. Which
types are repacked also depends on how llama.cpp was compiled: AMX and AVX-512 builds repack more than is known here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from workbench.models.gguf_file import ModelFile
from workbench.models.gguf_header import TensorInfo

_AVX2 = {"Q4_0": 8, "Q4_K": 8, "IQ4_NL": 8, "MXFP4": 8}
_NEON = {"Q4_0": 4, "Q4_K": 8, "Q5_K": 8, "Q6_K": 8, "IQ4_NL": 4, "Q8_0": 4, "MXFP4": 4}
"""Type → rows that are interleaved: a matrix with another number of rows stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightMemory:
    """Bytes of weights on the host.

    Attributes:
        plain_bytes: tensors used as they are in the file.
        repacked_bytes: tensors copied into another layout.
        mapped_bytes: of the file that stay mapped, from the first plain tensor to the last; 0 without mapping. What
            lies between them and was repacked is read once, and the kernel may drop it.
    """

    plain_bytes: int
    repacked_bytes: int
    mapped_bytes: int

    @property
    def resident_bytes(self) -> int:
        """What has to be in memory to be fast."""
        return self.plain_bytes + self.repacked_bytes

    @property
    def buffer_bytes(self) -> int:
        """What llama.cpp reports as its model buffers."""
        return (self.mapped_bytes or self.plain_bytes) + self.repacked_bytes


@functools.lru_cache(maxsize=32)
def weight_memory(model: ModelFile, *, use_mmap: bool, repack: bool) -> WeightMemory:
    """Where the weights go when all layers run on this CPU."""
    rows = _interleaved_rows() if repack else {}
    plain = [tensor for tensor in model.tensors if not _is_repacked(tensor, rows)]
    repacked = sum(tensor.n_bytes for tensor in model.tensors if _is_repacked(tensor, rows))
    return WeightMemory(
        plain_bytes=sum(tensor.n_bytes for tensor in plain),
        repacked_bytes=repacked + _tied_copy_bytes(model, rows),
        mapped_bytes=sum(_span(part) for part in _by_part(plain)) if use_mmap else 0,
    )


def layer_bytes(model: ModelFile) -> tuple[int, ...]:
    """(n_layer + 1,) bytes of each block, and last of what follows them (a tied output layer is a copy)."""
    sizes = [0] * (model.n_layer + 1)
    for tensor in model.tensors:
        if tensor.name.startswith("blk."):
            sizes[int(tensor.name.split(".")[1])] += tensor.n_bytes
        elif tensor.name.startswith("output"):
            sizes[-1] += tensor.n_bytes
    sizes[-1] += tied_output_bytes(model)
    return tuple(sizes)


def tied_output_bytes(model: ModelFile) -> int:
    """Bytes of the token embedding if it serves as output layer too, else 0."""
    sizes = {tensor.name: tensor.n_bytes for tensor in model.tensors}
    return 0 if "output.weight" in sizes else sizes.get("token_embd.weight", 0)


def _tied_copy_bytes(model: ModelFile, rows: dict[str, int]) -> int:
    embedding = next((tensor for tensor in model.tensors if tensor.name == "token_embd.weight"), None)
    repackable = embedding is not None and embedding.shape[1] % rows.get(embedding.type, 2**31) == 0
    return tied_output_bytes(model) if repackable else 0


def _is_repacked(tensor: TensorInfo, rows: dict[str, int]) -> bool:
    """Matrices only, and not those in which rows are looked up."""
    matrix = len(tensor.shape) >= 2 and "embd" not in tensor.name and ".bias" not in tensor.name
    return matrix and tensor.type in rows and tensor.shape[1] % rows[tensor.type] == 0


def _interleaved_rows() -> dict[str, int]:
    from workbench.hardware.host import cpu_features

    features = cpu_features()
    if "avx2" in features:
        return _AVX2
    if "asimddp" in features:
        return _NEON
    return {}


def _by_part(tensors: list[TensorInfo]) -> Iterator[list[TensorInfo]]:
    """Tensors of one file each: offsets rise within a file."""
    part: list[TensorInfo] = []
    for tensor in tensors:
        if part and tensor.offset < part[-1].offset:
            yield part
            part = []
        part.append(tensor)
    if part:
        yield part


def _span(tensors: list[TensorInfo]) -> int:
    return tensors[-1].offset + tensors[-1].n_bytes - tensors[0].offset
