"""A statement is checked when it is made, and goes through JSON unchanged."""

import json
import math

import pytest

from workbench.errors import InvalidSettings, UnknownName
from workbench.memory.relations import Relation
from workbench.memory.relationships import Statement


@pytest.mark.parametrize(
    "fields",
    [
        {"strength": 1.1},
        {"strength": -0.1},
        {"strength": math.nan},
        {"strength": True},
        {"sentiment": -1.5},
        {"sentiment": "warm"},
        {"at": math.inf},
        {"at": math.nan},
        {"at": "yesterday"},
        {"index": 1.5},
        {"seen": "all"},
        {"source": "  "},
        {"source": None},
        {"target": "Ann"},
    ],
)
def test_what_is_no_statement_is_refused(fields):
    with pytest.raises(InvalidSettings):
        Statement.of(**{"source": "Ann", "target": "Bob", "type": "trust", "at": 0.0, **fields})


def test_an_unknown_type_lists_the_known_ones():
    with pytest.raises(UnknownName, match=r"relation type 'trusts'.*Did you mean 'trust'.*rivalry"):
        Statement.of("Ann", "Bob", "trusts")


def test_two_ways_to_write_an_accent_are_one_entity():
    composed, apart = Statement.of("Chloé", "Bob", "love"), Statement.of(" Chloe\u0301 ", "Bob", "love")
    assert composed.source == apart.source


def test_an_entity_and_itself_are_found_out_after_normalising():
    with pytest.raises(InvalidSettings, match="itself"):
        Statement.of("Chloé", "Chloe\u0301", "love")


def test_json_gives_it_back():
    statement = Statement.of("Ann", "Bob", "debt", at=5.0, index=3, evidence="owes him", origin="rules", seen=4)
    assert Statement.from_mapping(json.loads(json.dumps(statement.to_dict()))) == statement


@pytest.mark.parametrize("values", [{}, {"source": "Ann"}, {"from": "Ann"}])
def test_other_json_is_refused(values):
    with pytest.raises(InvalidSettings, match="no statement"):
        Statement.from_mapping(values, 0.0)


def test_the_sentiment_is_that_of_the_type():
    assert Statement.of("Ann", "Bob", "love").sentiment > 0 > Statement.of("Ann", "Bob", "hate").sentiment


def test_what_an_extractor_found_is_never_an_end():
    found = Relation("Ann", "Bob", "trust", 0.6, 0.0, "hardly trusts")
    assert Statement.read(found, at=1.0, index=0, seen=1, origin="rules").strength > 0
