"""How large a buffer ggml's graph allocator makes for a graph, byte for byte, without llama.cpp.

A replay of `ggml/src/ggml-alloc.c` of llama.cpp 0c1e570: inputs first, then node by node in evaluation order; a result
takes the place of its only-used parent where the operation allows it, else the best-fitting free block, else the end;
a block is free again after its last use. Knows sizes and lifetimes, not what a model computes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

ALIGNMENT = 32
"""TENSOR_ALIGNMENT of a CPU buffer (`ggml-impl.h`)."""


@dataclass(eq=False, kw_only=True)
class Tensor:
    """A tensor of a graph.

    Attributes:
        shape: elements, the contiguous dimension first.
        element_bytes: bytes of one element.
        sources: what it is computed from; weights and the KV cache are left out, for they lie elsewhere.
        view_of: the tensor whose memory it looks at.
        in_place: its operation may write over one of its sources (`ggml_op_can_inplace`).
        given: it is an input, there before anything is computed.
        output: it is never freed.
        external: its memory lies elsewhere (a write into the KV cache).
    """

    shape: tuple[int, ...]
    element_bytes: int = 4
    sources: tuple[Tensor, ...] = ()
    view_of: Tensor | None = None
    in_place: bool = False
    given: bool = False
    output: bool = False
    external: bool = False
    n_children: int = field(default=0, init=False)
    n_views: int = field(default=0, init=False)
    address: int | None = field(default=None, init=False)

    @functools.cached_property
    def n_bytes(self) -> int:
        """Bytes it takes, padded."""
        size = self.element_bytes * math.prod(self.shape)
        return -(-size // ALIGNMENT) * ALIGNMENT

    @property
    def layout(self) -> tuple[int, tuple[int, ...]]:
        """Tensors of the same layout can share their place; trailing ones do not count."""
        shape = self.shape
        while shape and shape[-1] == 1:
            shape = shape[:-1]
        return self.element_bytes, shape


class Graph:
    """Tensors in the order in which they are computed."""

    def __init__(self) -> None:
        self._nodes: list[Tensor] = []
        self._inputs: list[Tensor] = []
        self._visited: set[int] = set()

    def expand(self, *tensors: Tensor) -> None:
        """Append tensors and, before them, what they are computed from, left to right (`ggml_build_forward_expand`)."""
        for tensor in tensors:
            if id(tensor) in self._visited:
                continue
            self._visited.add(id(tensor))
            self.expand(*tensor.sources)
            (self._inputs if tensor.given else self._nodes).append(tensor)

    def buffer_bytes(self) -> int:
        """The size of the buffer that holds the graph while it is computed. A graph can be asked once."""
        memory = _Memory()
        for tensor in self._inputs:
            memory.give(tensor)
        for node in self._nodes:
            if node.view_of is not None:
                node.view_of.n_views += 1
            for source in node.sources:
                source.n_children += 1
        for node in self._nodes:
            _place(node, memory)
            _release(node.sources, memory)
        return memory.peak


def _place(node: Tensor, memory: _Memory) -> None:
    if node.view_of is not None or node.external:
        return
    for parent in node.sources if node.in_place else ():
        # an allocator of ggml never takes over a view's memory: a view does not own any
        owned = parent.address is not None and not parent.output
        if owned and parent.layout == node.layout and parent.n_children == 1 and parent.n_views == 0:
            node.address, parent.address = parent.address, None
            return
    memory.give(node)


def _release(used: Iterable[Tensor], memory: _Memory) -> None:
    for parent in used:
        parent.n_children -= 1
        if parent.n_children or parent.n_views:
            continue
        owner = parent
        if parent.view_of is not None:
            owner = parent.view_of
            owner.n_views -= 1
        if owner.n_views == 0 and owner.n_children == 0 and owner.address is not None and not owner.output:
            memory.take_back(owner)


class _Memory:
    """Free blocks by address; the last one has no end."""

    def __init__(self) -> None:
        self.peak = 0
        self._free: list[tuple[int, int]] = [(0, 2**256)]

    def give(self, tensor: Tensor) -> None:
        size = tensor.n_bytes
        fitting = [(length, -at) for at, (_, length) in enumerate(self._free[:-1]) if length >= size]
        index = -min(fitting)[1] if fitting else len(self._free) - 1
        start, length = self._free[index]
        tensor.address = start
        self._free[index : index + 1] = [(start + size, length - size)] if length > size else []
        self.peak = max(self.peak, start + size)

    def take_back(self, tensor: Tensor) -> None:
        start, size = tensor.address, tensor.n_bytes
        tensor.address = None
        if start is None or size == 0:
            return
        self._free.append((start, size))
        self._free.sort()
        merged = [self._free[0]]
        for begin, length in self._free[1:]:
            last, extent = merged[-1]
            if last + extent == begin:
                merged[-1] = (last, extent + length)
            else:
                merged.append((begin, length))
        self._free = merged
