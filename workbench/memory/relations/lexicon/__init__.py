"""The words of the eleven types, as readable lists. Knows nothing of how a sentence is taken apart."""

from __future__ import annotations

from importlib.resources import files


def word_list(text: str) -> tuple[str, ...]:
    """The words of `text` in order, once each."""
    return tuple(dict.fromkeys(text.split()))


def word_set(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


def text_of(name: str) -> str:
    """A text file of this folder, e.g. ``sayings/trust.txt``."""
    return files("workbench.memory.relations.lexicon").joinpath(name).read_text(encoding="utf-8")


def rows(name: str) -> list[tuple[str, str]]:
    """The ``key: value`` lines of a text file, comments left out; a key may come again."""
    parts = (line.partition(":") for line in text_of(name).splitlines() if line and not line.startswith("#"))
    return [(key.strip(), value.strip()) for key, _, value in parts]
