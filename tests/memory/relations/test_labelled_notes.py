"""The package's labelled notes: the bar the extractor has to pass on both sets."""

import json
from importlib.resources import files
from typing import Any

import pytest

from workbench.memory.relations import SENTIMENT, extract_relations


@pytest.fixture(scope="module", params=["relations", "relations_by_others"])
def notes(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    text = files("workbench.evaluation").joinpath(f"sets/{request.param}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _gold(note: dict[str, Any]) -> set[tuple[str, ...]]:
    return {tuple(edge) for edge in note["relations"]}


def _read(note: dict[str, Any]) -> set[tuple[str, ...]]:
    return {(edge.source, edge.target, edge.type) for edge in extract_relations(note["text"], note["entities"])}


def test_the_set_is_well_formed_and_covers_every_type(notes: list[dict[str, Any]]) -> None:
    assert len(notes) >= 80
    assert len({note["text"] for note in notes}) == len(notes)
    assert {edge[2] for note in notes for edge in _gold(note)} == set(SENTIMENT)
    for note in notes:
        assert all(edge[0] in note["entities"] and edge[1] in note["entities"] for edge in _gold(note))


def test_micro_f1_is_at_least_85_percent(notes: list[dict[str, Any]]) -> None:
    right = sum(len(_read(note) & _gold(note)) for note in notes)
    either = sum(len(_read(note)) + len(_gold(note)) for note in notes)
    assert 2 * right / either >= 0.85


def test_95_percent_of_notes_without_a_relation_give_none(notes: list[dict[str, Any]]) -> None:
    without = [note for note in notes if not note["relations"]]
    empty = sum(not _read(note) for note in without)
    assert len(without) >= 25
    assert empty >= 0.95 * len(without)
