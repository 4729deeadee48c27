"""An engine's second look is constrained by a schema, and checked."""

import json

import pytest

import workbench as wb
from workbench.errors import InvalidSettings
from workbench.memory.relationships import TYPES, EngineEnricher
from workbench.memory.relationships.enrichment import MOST_RELATIONS, schema
from workbench.testing import ScriptedEngine

NAMES = ["Mira", "Jon"]
TEXT = "Mira would put her life in Jon's hands."


def answer(*relations):
    return json.dumps({"relations": [dict(zip(("source", "type", "target"), one, strict=True)) for one in relations]})


def test_an_answer_becomes_relations():
    [found] = EngineEnricher(ScriptedEngine(answer(("Mira", "trust", "Jon")))).relations(TEXT, NAMES)
    assert (found.source, found.target, found.type, found.evidence) == ("Mira", "Jon", "trust", TEXT)
    assert found.sentiment > 0
    assert 0 < found.strength < 0.5


def test_the_engine_is_bound_to_names_and_types():
    engine = ScriptedEngine(answer())
    assert EngineEnricher(engine, max_tokens=77).relations(TEXT, NAMES) == []
    [request] = engine.requests
    assert request.json_schema == schema(NAMES)
    assert (request.max_tokens, request.sampling.temperature) == (77, 0.0)
    assert request.priority > 0
    assert TEXT in request.prompt[-1].content
    item = request.json_schema["properties"]["relations"]["items"]
    assert item["properties"]["source"]["enum"] == NAMES
    assert item["properties"]["type"]["enum"] == list(TYPES)
    assert request.json_schema["properties"]["relations"]["maxItems"] == MOST_RELATIONS


def test_a_relation_with_itself_is_left_out():
    engine = ScriptedEngine(answer(("Mira", "trust", "Mira"), ("Jon", "fear", "Mira")))
    assert [found.type for found in EngineEnricher(engine).relations(TEXT, NAMES)] == ["fear"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mira trusts Jon.",
        "[]",
        '{"relations": 3}',
        '{"relations": [{"source": "Mira"}]}',
        answer(("Mira", "trust", "Tom")),
        answer(("Mira", "envy", "Jon")),
        '{"relations": [{"source": ["Mira"], "type": {}, "target": "Jon"}]}',
    ],
)
def test_an_engine_that_does_not_keep_to_the_schema_is_found_out(text):
    with pytest.raises(InvalidSettings, match="no list of relations"):
        EngineEnricher(ScriptedEngine(text)).relations(TEXT, NAMES)


def test_too_few_tokens_are_refused():
    with pytest.raises(InvalidSettings, match="at least 16"):
        EngineEnricher(ScriptedEngine(), max_tokens=8)


@pytest.mark.model
def test_a_real_model_can_only_name_edges_there_may_be(smollm2):
    with wb.load(smollm2, n_ctx=1024, n_threads=1) as engine:
        found = EngineEnricher(engine, max_tokens=200).relations(TEXT, NAMES)
    assert len(found) <= MOST_RELATIONS
    assert all({one.source, one.target} == set(NAMES) and one.type in TYPES for one in found)
