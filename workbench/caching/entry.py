"""What a cache keeps, and what it asks of the place where it is kept. Knows no cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Row:
    """An entry.

    Attributes:
        key: what it is found under.
        value: what is kept.
        mark: bytes that go with it: a vector; mostly none.
    """

    key: str
    value: str
    mark: bytes = b""


class Store(Protocol):
    """Entries under keys, bounded in bytes, the least recently used going first. Called under its cache's lock."""

    def get(self, key: str) -> str | None:
        """The value, counted as a use; ``None``: it is not there, has expired or is damaged."""
        ...

    def put(self, row: Row) -> list[str]:
        """Keep an entry in place of any before; keys of those that had to go for it.

        One larger than the whole budget is not kept, nor the one before.
        """
        ...

    def drop(self, key: str) -> None:
        """Drop an entry, if it is there."""
        ...

    def hits_of(self, key: str) -> int:
        """How often an entry was found since it was put."""
        ...

    def size(self) -> tuple[int, int]:
        """Entries and bytes held."""
        ...

    def since(self, mark: int) -> tuple[int, list[Row]]:
        """Entries put after ``mark`` (0: from the beginning), without their values, and the mark to ask from next."""
        ...

    def clear(self) -> None:
        """Drop every entry."""
        ...

    def close(self) -> None:
        """Free it. Idempotent."""
        ...


def entry_bytes(row: Row) -> int:
    """What an entry counts: UTF-8 bytes of key and value, each at least 1, and its mark."""
    return sum(max(1, len(encoded(text))) for text in (row.key, row.value)) + len(row.mark)


def encoded(text: str) -> bytes:
    """UTF-8; a lone surrogate, which UTF-8 cannot hold, as it would be escaped."""
    return text.encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> str:
    """The inverse of :func:`encoded`."""
    return data.decode("utf-8", "surrogatepass")
