"""Micro-averaged F1 of relationships, and silence."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbench.errors import InvalidSettings, StoreCorrupt
from workbench.evaluation import relation_notes, score_relations
from workbench.evaluation.datasets import Note

NOTES = [
    Note("Ann trusts Bo.", ("Ann", "Bo"), frozenset({("Ann", "Bo", "trust")})),
    Note(
        "Ann and Cy are friends.", ("Ann", "Cy"), frozenset({("Ann", "Cy", "friendship"), ("Cy", "Ann", "friendship")})
    ),
    Note("Bo had soup.", ("Bo", "Cy"), frozenset()),
    Note("Cy slept.", ("Bo", "Cy"), frozenset()),
]
READ = {
    "Ann trusts Bo.": [("Ann", "Bo", "trust"), ("Ann", "Bo", "love")],
    "Ann and Cy are friends.": [("Ann", "Cy", "friendship")],
    "Bo had soup.": [("Bo", "Cy", "fear")],
}


def read(text: str, entities: object) -> list[object]:
    return [SimpleNamespace(source=one, target=other, type=kind) for one, other, kind in READ.get(text, [])]


def test_counts_go_over_all_notes_together() -> None:
    found = score_relations(NOTES, read)
    assert (found.counts.right, found.counts.invented, found.counts.missed) == (2, 2, 1)
    assert found.counts.f1 == pytest.approx(4 / 7)
    assert found.silent is not None
    assert (found.silent.value, found.silent.n) == (0.5, 2)
    assert found.by_type["friendship"].recall == 0.5
    assert found.by_type["love"].recall is None
    assert [note.text for note, *_ in found.mistakes] == ["Ann trusts Bo.", "Ann and Cy are friends.", "Bo had soup."]
    assert found.metrics()["silent_share"] == 0.5


def test_f1_has_an_interval_that_knows_how_few_notes_there_are() -> None:
    few, many = (score_relations(NOTES * times, read).f1 for times in (1, 25))
    assert few
    assert many
    assert few.value == many.value == pytest.approx(4 / 7)
    widths = [(one.high or 0) - (one.low or 0) for one in (few, many)]
    assert 0 < widths[1] < widths[0] / 2
    assert (many.low or 1) < 4 / 7 < (many.high or 0)
    assert score_relations([NOTES[3]], read).f1 is None


def test_records_may_be_mappings() -> None:
    found = score_relations(NOTES[:1], lambda text, entities: [{"source": "Ann", "target": "Bo", "type": "trust"}])
    assert (found.counts.f1, found.silent, found.mistakes) == (1, None, ())


def test_no_notes_are_refused() -> None:
    with pytest.raises(InvalidSettings):
        score_relations([], read)


def test_notes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    note = {"text": "Ann trusts Bo.", "entities": ["Ann", "Bo"], "relations": [["Ann", "Bo", "trust"]]}
    path.write_text(json.dumps({"version": 1, "notes": [note]}))
    assert relation_notes(path) == tuple(NOTES[:1])
    path.write_text(json.dumps({"version": 1, "notes": [{**note, "relations": [["Ann", "Cy", "trust"]]}]}))
    with pytest.raises(StoreCorrupt, match=r"notes\[0\].relations\[0\] must be two of the entities"):
        relation_notes(path)


def test_notes_from_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    note = {"id": "n-1", "text": "Ann trusts Bo.", "entities": ["Ann", "Bo"], "relations": [["Ann", "Bo", "trust"]]}
    path.write_text(f"{json.dumps(note)}\n\n{json.dumps(note)}\n")
    assert relation_notes(path) == (NOTES[0], NOTES[0])
    path.write_text(f"{json.dumps(note)}\n{{")
    with pytest.raises(StoreCorrupt, match="line 2: no JSON"):
        relation_notes(path)
    path.write_text(json.dumps({**note, "relations": [["Ann", "Cy", "trust"]]}))
    with pytest.raises(StoreCorrupt, match=r"line 1.relations\[0\] must be two of the entities"):
        relation_notes(path)


@pytest.mark.parametrize("by_others", [False, True])
def test_the_notes_of_the_package_can_be_read(by_others: bool) -> None:
    notes = relation_notes(by_others=by_others)
    assert len({note.text for note in notes}) == len(notes) > 50
    assert any(not note.relations for note in notes)
