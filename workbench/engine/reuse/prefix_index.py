"""Which of many token sequences shares the longest beginning with a prompt: a radix tree over token ids.

Edges hold runs of tokens (Morrison 1968, PATRICIA; SGLang's RadixAttention, arXiv 2312.07104, uses the same tree for KV
caches). Tokens are kept and compared as packed bytes, so that a look-up costs a few ``memcmp`` and not a step of Python
per token. Knows nothing about what the values are, nor when to forget them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")

TOKEN_BYTES = array("i").itemsize
"""Bytes of one packed token: ``llama_token`` is a C ``int32_t``."""


def pack(tokens: Sequence[int]) -> bytes:
    """Token ids as consecutive native int32."""
    return array("i", tokens).tobytes()


def unpack(packed: bytes) -> tuple[int, ...]:
    """The inverse of :func:`pack`."""
    return tuple(array("i", packed))


class PrefixIndex(Generic[T]):
    """Token sequences, each with a value; one value a sequence. Not thread-safe.

    The empty sequence can be an entry, but shares nothing with anything, so no look-up finds it.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node(b"", 0)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, tokens: Sequence[int], value: T) -> None:
        """Add an entry; one with the same tokens is replaced."""
        path = self._make_path(pack(tokens))
        node = path[-1]
        self._count += not node.held
        node.held = [value]
        for passed in path:
            if passed.nearest is None or node.end <= passed.nearest.end:
                passed.nearest = node

    def get(self, tokens: Sequence[int]) -> T | None:
        """The value of exactly these tokens; ``None``: there is no such entry."""
        path, at = self._walk(pack(tokens))
        found = at == TOKEN_BYTES * len(tokens) and path[-1].end == at and path[-1].held
        return found[0] if found else None

    def remove(self, tokens: Sequence[int]) -> T | None:
        """Take an entry out and return its value; ``None``: there was none."""
        packed = pack(tokens)
        path, at = self._walk(packed)
        node = path[-1]
        if at != len(packed) or node.end != at or not node.held:
            return None
        value = node.held[0]
        node.held = []
        self._count -= 1
        self._tidy(path)
        return value

    def longest(self, tokens: Sequence[int]) -> tuple[int, T | None]:
        """The longest beginning of ``tokens`` that any entry begins with too, and such an entry.

        Of several entries that share as much, it is the shortest: one that ends there, if there is one.

        Returns:
            Tokens shared, and the entry's value; ``(0, None)`` if none shares any.
        """
        path, at = self._walk(pack(tokens))
        nearest = path[-1].nearest
        if at == 0 or nearest is None:
            return 0, None
        return at // TOKEN_BYTES, nearest.held[0]

    def wholes(self, tokens: Sequence[int]) -> list[T]:
        """Values of the entries that are wholly a beginning of ``tokens`` (equal ones included), shortest first."""
        path, at = self._walk(pack(tokens))
        return [node.held[0] for node in path if node.held and 0 < node.end <= at]

    def __iter__(self) -> Iterator[T]:
        """The values, in no particular order."""
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            waiting.extend(node.children.values())
            yield from node.held

    def _walk(self, packed: bytes) -> tuple[list[_Node[T]], int]:
        """The nodes from the root as far as ``packed`` leads, the last perhaps only in part, and how many bytes fit."""
        path, at = [self._root], 0
        while (child := path[-1].children.get(packed[at : at + TOKEN_BYTES])) is not None:
            path.append(child)
            if not packed.startswith(child.edge, at):
                return path, at + _shared(child.edge, packed, at)
            at = child.end
        return path, at

    def _make_path(self, packed: bytes) -> list[_Node[T]]:
        """The nodes from the root to one that ends with ``packed``, made where missing."""
        path, at = self._walk(packed)
        last = path[-1]
        if at < last.end:  # the way ends inside an edge
            path[-1] = last = _split(path[-2], last, at)
        if at < len(packed):
            leaf: _Node[T] = _Node(packed[at:], len(packed))
            last.children[leaf.first] = leaf
            path.append(leaf)
        return path

    def _tidy(self, path: list[_Node[T]]) -> None:
        """After an entry left the last node: nodes nobody needs go, and each knows its nearest entry again."""
        for depth in range(len(path) - 1, -1, -1):
            node = path[depth]
            if depth and not node.held and len(node.children) < 2:
                above = path[depth - 1]
                del above.children[node.first]
                for child in node.children.values():  # the only one takes the node's place
                    child.edge = node.edge + child.edge
                    above.children[child.first] = child
            else:
                node.nearest = node if node.held else _nearest(node)


class _Node(Generic[T]):
    """A run of tokens below another.

    Attributes:
        edge: the packed tokens from the node above to this one.
        end: bytes from the root to the end of the edge.
        children: first packed token → node.
        held: the value of the entry that ends here, or nothing.
        nearest: of the entries here and below, a shortest one; ``None`` only at the root of an empty tree.
    """

    __slots__ = ("children", "edge", "end", "held", "nearest")

    def __init__(self, edge: bytes, end: int) -> None:
        self.edge, self.end = edge, end
        self.children: dict[bytes, _Node[T]] = {}
        self.held: list[T] = []
        self.nearest: _Node[T] | None = None

    @property
    def first(self) -> bytes:
        return self.edge[:TOKEN_BYTES]


def _split(above: _Node[T], node: _Node[T], at: int) -> _Node[T]:
    """Put a new node into the edge between two, ``at`` bytes from the root."""
    start = node.end - len(node.edge)
    middle: _Node[T] = _Node(node.edge[: at - start], at)
    node.edge = node.edge[at - start :]
    middle.children[node.first] = node
    middle.nearest = node.nearest
    above.children[middle.first] = middle
    return middle


def _nearest(node: _Node[T]) -> _Node[T] | None:
    below = [child.nearest for child in node.children.values() if child.nearest is not None]
    return min(below, key=lambda found: found.end, default=None)


def _shared(run: bytes, packed: bytes, at: int) -> int:
    """Bytes of whole tokens that ``run`` and ``packed`` from ``at`` on have in common."""
    count = min(len(run), len(packed) - at) // TOKEN_BYTES
    if not count:
        return 0
    differ = np.frombuffer(run, np.intc, count) != np.frombuffer(packed, np.intc, count, at)
    first = int(differ.argmax())
    return TOKEN_BYTES * (first if differ[first] else count)
