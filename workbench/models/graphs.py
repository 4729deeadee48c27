"""The compute graphs llama.cpp builds for a model, as sizes and lifetimes.

Exact for the architectures of :data:`EXACT`: the order of operations is that of `src/llama-graph.cpp` and
`src/models/{llama,qwen2,qwen3,gemma3}.cpp` of llama.cpp 0c1e570. Everything else is laid out like a Llama of the same
widths, which is an approximation. Knows one device: what a split over several adds is not here.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from workbench.models.graph_memory import Graph, Tensor

EXACT = frozenset({"llama", "qwen2", "qwen3", "gemma3"})
"""Architectures whose graph is known node by node (without mixtures of experts)."""

_LONG, _FLOAT, _HALF = 8, 4, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShape:
    """What makes one layer's graph differ from another's.

    Attributes:
        n_head: attention heads.
        n_head_kv: KV heads.
        head_dim_k: elements of one head's key.
        head_dim_v: elements of one head's value.
        n_ff: width of the feed-forward layer.
        sliding: it looks back over a window only.
    """

    n_head: int
    n_head_kv: int
    head_dim_k: int
    head_dim_v: int
    n_ff: int
    sliding: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphShape:
    """All that the size of a compute buffer depends on.

    Attributes:
        layers: as many as it takes to be representative, in order.
        n_embd: width of the residual stream.
        n_vocab: tokens in the vocabulary.
        n_tokens: of the micro-batch.
        n_outputs: rows of logits.
        cells: KV cells of one stream.
        sliding_cells: the same for sliding layers; ``None``: the model has none, and one cache.
        streams: KV buffers.
        flash_attn: fused attention.
        wide_k, wide_v: the K or V cache is f32, which the fused kernel wants copied to f16.
        rotated_k, rotated_v: width of the Hadamard matrix by which a quantised K or V cache is rotated; 0: it is not.
        head_norm: Q and K are normalised head by head.
        post_norm: attention and feed-forward outputs are normalised (Gemma).
        scaled: embedding and queries are scaled (Gemma).
        soft_cap: final logits are capped.
        biases: names of the projections that have a bias: "q", "k", "v", "o", "up", "gate", "down".
        v_width_most: widest V row of any layer.
    """

    layers: tuple[LayerShape, ...]
    n_embd: int
    n_vocab: int
    n_tokens: int
    n_outputs: int
    cells: int
    sliding_cells: int | None
    streams: int
    flash_attn: bool
    wide_k: bool
    wide_v: bool
    rotated_k: int
    rotated_v: int
    head_norm: bool
    post_norm: bool
    scaled: bool
    soft_cap: bool
    biases: frozenset[str]
    v_width_most: int


@functools.lru_cache(maxsize=4096)
def compute_bytes(shape: GraphShape) -> int:
    """Bytes of the compute buffer that llama.cpp reserves for one graph."""
    return _Builder(shape).build().buffer_bytes()


class _Builder:
    """Lays a graph out in llama.cpp's order. Shapes are ggml's, the contiguous dimension first."""

    def __init__(self, shape: GraphShape) -> None:
        self.shape, self.graph = shape, Graph()
        n_tokens = shape.n_tokens
        self.positions = _input(n_tokens)
        self.caches = {False: _Cache(shape, shape.cells)}
        self.caches[True] = _Cache(shape, shape.sliding_cells) if shape.sliding_cells else self.caches[False]

    def build(self) -> Graph:
        shape = self.shape
        residual = self._embedding()
        rows = _input(shape.n_outputs)
        for number, layer in enumerate(shape.layers):
            residual = self._layer(residual, layer, rows if number == len(shape.layers) - 1 else None)
        normed = self._norm(residual)
        normed.output = True
        logits = self._product(normed, shape.n_vocab)
        if shape.soft_cap:
            logits = _over(_over(_over(logits)))
        logits.output = True
        self.graph.expand(logits)
        return self.graph

    def _embedding(self) -> Tensor:
        """Looked up from tokens; the input for ready-made embeddings is there too, and never used."""
        shape = self.shape
        size = (shape.n_embd, shape.n_tokens)
        looked_up = Tensor(shape=size, sources=(_input(shape.n_tokens),))
        self.graph.expand(looked_up, _input(*size))
        return _over(looked_up) if shape.scaled else looked_up

    def _layer(self, residual: Tensor, layer: LayerShape, rows: Tensor | None) -> Tensor:
        attended = self._attention(self._norm(residual), layer)
        if rows is not None:  # only the rows that are asked for go on
            attended, residual = (_rows(tensor, rows) for tensor in (attended, residual))
        if self.shape.post_norm:
            attended = self._norm(attended)
        middle = _over(attended, residual)
        out = self._feed_forward(self._norm(middle), layer)
        if self.shape.post_norm:
            out = self._norm(out)
        return _over(out, middle)

    def _attention(self, normed: Tensor, layer: LayerShape) -> Tensor:
        shape, cache = self.shape, self.caches[layer.sliding]
        q = self._heads(normed, "q", layer.n_head, layer.head_dim_k)
        k = self._heads(normed, "k", layer.n_head_kv, layer.head_dim_k)
        v = self._heads(normed, "v", layer.n_head_kv, layer.head_dim_v)
        q, k = self._positioned(q), self._positioned(k)
        if shape.scaled:
            q = _over(q)
        if shape.rotated_k:
            q, k = _rotated(q, cache.k_rotation), _rotated(k, cache.k_rotation)
        if shape.rotated_v:
            v = _rotated(v, cache.v_rotation)
        # Gemma's two caches write k before v, a single cache v before k
        self.graph.expand(q, *((k, v) if shape.sliding_cells else (v, k)))
        self.graph.expand(cache.written(k, cache.k_cells), cache.written(v, cache.v_cells))
        attended = self._attended(q, layer, cache)
        self.graph.expand(attended)
        if shape.rotated_v:
            attended = _rotated(attended, cache.v_rotation)
        return self._product(attended, shape.n_embd, "o")

    def _heads(self, normed: Tensor, name: str, n_head: int, head_dim: int) -> Tensor:
        product = self._product(normed, n_head * head_dim, name)
        heads = _view(product, (head_dim, n_head, self.shape.n_tokens))
        return self._norm(heads) if self.shape.head_norm and name != "v" else heads

    def _positioned(self, heads: Tensor) -> Tensor:
        return Tensor(shape=heads.shape, sources=(heads, self.positions), in_place=True)

    def _attended(self, q: Tensor, layer: LayerShape, cache: _Cache) -> Tensor:
        """Attention of all heads, (n_head × head_dim_v, n_tokens)."""
        shape, per_stream = self.shape, self.shape.n_tokens // self.shape.streams
        size = (layer.head_dim_v * layer.n_head, shape.n_tokens)
        queries = _view(_view(q, (*q.shape[:2], per_stream, shape.streams)), q.shape)
        if shape.flash_attn:
            copies = cache.half_copies(layer)
            fused = Tensor(
                shape=(layer.head_dim_v, layer.n_head, per_stream, shape.streams),
                sources=(queries, *copies, cache.mask),
            )
            return _view(fused, size)
        scores = Tensor(shape=(cache.cells, per_stream, layer.n_head, shape.streams), sources=(queries,))
        weights = _over(scores, cache.mask)
        mixed = Tensor(shape=(layer.head_dim_v, per_stream, layer.n_head, shape.streams), sources=(weights,))
        return Tensor(shape=size, sources=(_view(mixed, mixed.shape),))

    def _feed_forward(self, normed: Tensor, layer: LayerShape) -> Tensor:
        up = self._product(normed, layer.n_ff, "up")
        gate = self._product(normed, layer.n_ff, "gate")
        return self._product(Tensor(shape=up.shape, sources=(gate, up)), self.shape.n_embd, "down")

    def _norm(self, tensor: Tensor) -> Tensor:
        """RMS norm, then the weight."""
        return _over(Tensor(shape=tensor.shape, sources=(tensor,), in_place=True))

    def _product(self, tensor: Tensor, width: int, name: str = "") -> Tensor:
        product = Tensor(shape=(width, *tensor.shape[1:]), sources=(tensor,))
        return _over(product) if name in self.shape.biases else product


class _Cache:
    """The inputs that go with one KV cache: where to write, what to mask, what to rotate by."""

    def __init__(self, shape: GraphShape, cells: int) -> None:
        self.shape, self.cells = shape, cells
        n_tokens, per_v_row = shape.n_tokens, 1 if shape.flash_attn else shape.v_width_most
        self.k_cells = _input(n_tokens, element_bytes=_LONG)
        self.v_cells = _input(n_tokens * per_v_row, element_bytes=_LONG)
        self.mask = _input(cells, n_tokens, element_bytes=_HALF if shape.flash_attn else _FLOAT)
        self.k_rotation = _input(shape.rotated_k, shape.rotated_k)
        self.v_rotation = _input(shape.rotated_v, shape.rotated_v)

    def written(self, tensor: Tensor, where: Tensor) -> Tensor:
        """A write into the cache."""
        return Tensor(shape=(), sources=(_view(tensor, tensor.shape), where), external=True)

    def half_copies(self, layer: LayerShape) -> list[Tensor]:
        """Half-precision copies of an f32 cache."""
        wide = (self.shape.wide_k, layer.head_dim_k), (self.shape.wide_v, layer.head_dim_v)
        return [
            Tensor(shape=(dim, self.cells, layer.n_head_kv, self.shape.streams), element_bytes=_HALF)
            for is_wide, dim in wide
            if is_wide
        ]


def _input(*shape: int, element_bytes: int = _FLOAT) -> Tensor:
    return Tensor(shape=shape, element_bytes=element_bytes, given=True)


def _over(*sources: Tensor) -> Tensor:
    """An operation that may write over its first source."""
    return Tensor(shape=sources[0].shape, sources=sources, in_place=True)


def _rows(tensor: Tensor, rows: Tensor) -> Tensor:
    return Tensor(shape=(tensor.shape[0], *rows.shape), sources=(tensor, rows))


def _view(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    return Tensor(shape=shape, sources=(tensor,), view_of=tensor.view_of or tensor)


def _rotated(tensor: Tensor, rotation: Tensor) -> Tensor:
    """Multiplied by a Hadamard matrix, in rows as long as the matrix is wide."""
    width = rotation.shape[0]
    flat = _view(tensor, (width, math.prod(tensor.shape) // width))
    return _view(Tensor(shape=flat.shape, sources=(rotation, flat)), tensor.shape)
