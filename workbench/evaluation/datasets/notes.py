"""Notes with labelled relationships: the file format, and the set that comes with the package."""

from __future__ import annotations

from pathlib import Path

from workbench.evaluation.datasets.reading import Node, read_json, read_json_lines
from workbench.evaluation.datasets.records import Note, Triple

_OWN = Path(__file__).parents[1] / "sets" / "relations.jsonl"
_BY_OTHERS = _OWN.with_name("relations_by_others.jsonl")


def relation_notes(path: Path | str | None = None, *, by_others: bool = False) -> tuple[Note, ...]:
    """Notes from a file, or those that come with the package.

    The package has two sets: notes that whoever works on the extractor writes and reads, and notes by three others that
    it was not developed on. Reading the second set's mistakes makes it one of the first.

    JSON Lines (``.jsonl``), a note a line: ``text``, ``entities`` and ``relations`` (from, to and type); or a JSON
    object with ``version`` 1 and such ``notes``.

    Args:
        path: ``None``: the package's own.
        by_others: of these, the set it was not developed on.

    Raises:
        UsageError: the file cannot be read.
        StoreCorrupt: it is not of that shape; names the place.
    """
    file = Path(path) if path is not None else _BY_OTHERS if by_others else _OWN
    if file.suffix == ".jsonl":
        return tuple(_note(node) for node in read_json_lines(file))
    top = read_json(file)
    top["version"].whole(1, 1)
    return tuple(_note(node) for node in top["notes"])


def _note(node: Node) -> Note:
    entities = tuple(entity.text() for entity in node["entities"])
    return Note(node["text"].text(), entities, frozenset(_triple(item, entities) for item in node["relations"]))


def _triple(node: Node, entities: tuple[str, ...]) -> Triple:
    parts = [part.text() for part in node]
    if len(parts) != 3 or not {parts[0], parts[1]} <= set(entities):
        raise node.wrong("must be two of the entities and a type")
    return (parts[0], parts[1], parts[2])
