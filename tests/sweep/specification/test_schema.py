"""The JSON schema of a specification: says of every specification what reading it says, and explains every key."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from workbench.sweep.specification.schema import attributes
from workbench.sweep.specification.spec import SweepSpec

ROOT = Path(__file__).parents[3]
SPECS = sorted(path for path in ROOT.glob("experiments/**/*.yaml") if "results" not in path.parts)

EVERYTHING = {
    "name": "everything",
    "title": "t",
    "description": "d",
    "notebook": "n.ipynb",
    "parameters": {"a": [1, None, "x", [1]]},
    "linked": [{"b": [1, 2], "c": [True, False]}],
    "configurations": [{"a": 1}],
    "when": {"a": "b > 1"},
    "where": ["a < b"],
    "within": ["b"],
    "workloads": {"chat": {"n": 1}},
    "slow": ["a"],
    "load": "n",
    "fixed": {"engine": "tuned"},
    "baseline": None,
    "twin": True,
    "blocks": 6,
    "more_blocks": 6,
    "confirm": 3,
    "budget": {"minutes": 3.5, "runs": 100},
    "memory_limit_gib": 2,
    "side_by_side": 1,
    "mode": "search",
    "search": {"trials": 5, "sampler": "tpe", "ranges": {"d": {"low": 1, "high": 2.5, "log": True}}, "repeats": 2},
    "seed": 3,
    "timeout_s": 10,
    "retries": 1,
    "objectives": [{"metric": "m", "direction": "maximize"}],
    "quality": [{"metric": "q", "direction": "minimize", "tolerance": 0.1}],
    "targets": [{"name": "t", "metric": "m", "of": {"a": 1}, "against": {"a": 2}, "at_least": 1.2}],
    "claims": [{"says": "s", "metric": "m", "of": {}, "against_metric": "n", "low": 1.1, "direction": "maximize"}],
    "results": "there",
}


@pytest.fixture(scope="module")
def validator():
    schema = SweepSpec.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    return jsonschema.Draft202012Validator(schema)


def test_there_are_specifications_to_try():
    assert len(SPECS) > 30


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_specification_fits(validator, path):
    validator.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_every_key_is_tried_and_explained(validator):
    assert set(EVERYTHING) == set(SweepSpec.model_fields) == set(validator.schema["properties"])
    SweepSpec.model_validate(EVERYTHING)
    validator.validate(EVERYTHING)
    for where in (validator.schema, *validator.schema["$defs"].values()):
        assert where["description"]
        for name, part in where["properties"].items():
            assert part.get("description"), f"{name} of {where['description']!r} is not explained"


def test_words_are_those_of_the_docstring_without_markup(validator):
    told = validator.schema["properties"]["when"]["description"]
    assert told.startswith("name → condition; where that is false the parameter is left out")
    assert "`" not in str(validator.schema)
    assert attributes(SweepSpec)["blocks"] == validator.schema["properties"]["blocks"]["description"]


@pytest.mark.parametrize(
    "change",
    [
        {"blokcs": 3},
        {"blocks": "3"},
        {"mode": "serach"},
        {"budget": {"minuts": 1}},
        {"search": {"ranges": {"d": {"low": 1, "hihg": 2}}}},
        {"objectives": [{"metric": "m"}]},
        {"slow": "a"},
    ],
)
def test_what_reading_refuses_the_schema_refuses(validator, change):
    with pytest.raises(ValueError, match="validation error"):
        SweepSpec.model_validate({**EVERYTHING, **change})
    assert list(validator.iter_errors({**EVERYTHING, **change}))
