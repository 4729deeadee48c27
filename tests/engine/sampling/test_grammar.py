"""Outputs under a constraint, drawn from a random model: valid, or plainly unfinished; and never a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pydantic
import pytest

from workbench.engine import BaselineEngine, TunedEngine
from workbench.engine.native.context import Context
from workbench.engine.native.logits import logits_view
from workbench.engine.native.vocabulary import Vocabulary
from workbench.engine.native.weights import Weights
from workbench.engine.sampling.grammar import CACHED, ConstraintState, compile_constraint
from workbench.engine.sampling.sampler import Sampler
from workbench.errors import ConstraintUnmet, InvalidGrammar, InvalidSettings
from workbench.interfaces import Request, Sampling
from workbench.models import resolve
from workbench.settings import EngineSettings

WILD = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "min_p": 0.0}

SCHEMAS: dict[str, Any] = {
    "nested": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 8},
            "point": {
                "type": "object",
                "properties": {
                    "x": {"type": "number", "minimum": -1, "exclusiveMaximum": 1},
                    "y": {"type": "integer", "minimum": 3, "maximum": 1234},
                },
                "required": ["x", "y"],
                "additionalProperties": False,
            },
        },
        "required": ["point"],
    },
    "array of a union": {
        "type": "array",
        "items": {"anyOf": [{"type": "integer", "multipleOf": 7, "minimum": 0, "maximum": 50}, {"type": "null"}]},
        "minItems": 2,
        "maxItems": 5,
    },
    "enum": {"enum": ['a"b\\', "é😀\n", 1, 2.5, None, True, {"k": [1]}]},
    "tree": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "v": {"enum": [1, 2]},
                    "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
                },
                "required": ["v", "kids"],
            }
        },
        "$ref": "#/$defs/node",
    },
    "unicode keys": {
        "type": "object",
        "properties": {"ключ": {"const": 1}, '日本 "q"': {"type": "boolean"}, "😀": {"type": "null"}},
        "required": ["😀"],
        "additionalProperties": False,
    },
    "other keys": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "ab": {"type": "null"}},
        "required": ["a"],
        "additionalProperties": {"type": "boolean"},
    },
    "pattern": {"type": "string", "pattern": '^[A-Z]{2}-\\d{1,4}(x|"y)?$'},
    "format": {"type": "string", "format": "date-time"},
    "anything": {},
}


@dataclass(frozen=True)
class Output:
    """What was drawn."""

    data: bytes
    whole: bool
    tokens: list[int]


class Bench:
    """One model and one context; draws outputs as an engine would."""

    def __init__(self, model: Path) -> None:
        settings = EngineSettings(n_ctx=1024, n_threads=1)
        self.weights = Weights(resolve(model), settings)
        self.context = Context(self.weights, settings, 1024)
        self.vocabulary = self.weights.vocabulary

    def sampler(self, sampling: Sampling, **constraint: Any) -> Sampler:
        compiled = compile_constraint(Request(prompt="x", **constraint), self.vocabulary)
        return Sampler(sampling, self.vocabulary, 4096, compiled)

    def start(self) -> int:
        """Compute a prompt; returns the batch index of its logits."""
        self.context.drop(0)
        self.context.batch.clear()
        at = self.context.batch.add_run([5, 60, 70], 0, 0, logits="last")
        assert self.context.decode() == 0
        return at

    def logits(self, at: int) -> np.ndarray:
        lib = self.weights._lib
        return logits_view(lib.llama_get_logits_ith(self.context.raw, at), lib.ctypes.c_float * self.vocabulary.size)

    def draw(self, sampler: Sampler, cap: int = 300) -> Output:
        tokens: list[int] = []
        data, at = b"", self.start()
        while len(tokens) < cap:
            token = sampler.draw(self.context.raw, at)
            tokens.append(token)
            if self.vocabulary.ends_generation(token):
                break
            data += self.vocabulary.piece(token)
            if sampler.over:
                break
            self.context.batch.clear()
            at = self.context.batch.add_token(token, 2 + len(tokens), 0)
            assert self.context.decode() == 0
        sampler.free()
        return Output(data, sampler.may_end, tokens)

    def output(self, options: dict[str, Any] | None = None, cap: int = 300, **constraint: Any) -> Output:
        return self.draw(self.sampler(Sampling(**{**WILD, "seed": 1, **(options or {})}), **constraint), cap)

    def close(self) -> None:
        self.context.free()
        self.weights.free()


@pytest.fixture(scope="module")
def bench(tiny_bytes: Path) -> Iterator[Bench]:
    bench = Bench(tiny_bytes)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def many_tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    from workbench.testing import make_tiny_gguf

    path = make_tiny_gguf(tmp_path_factory.mktemp("many") / "many.gguf", tokenizer="smollm2", n_ctx_train=4096)
    bench = Bench(path)
    yield bench
    bench.close()


# -- valid, or unfinished ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_whole_output_is_valid(bench: Bench, name: str) -> None:
    schema = SCHEMAS[name]
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    whole = 0
    for seed in range(8):
        output = bench.output({"seed": seed}, json_schema=schema)
        text = output.data.decode() if output.whole else ""
        if output.whole:
            validator.validate(json.loads(text))
            whole += 1
    assert whole >= 4


def test_every_whole_output_is_valid_with_tokens_of_many_characters(many_tokens: Bench) -> None:
    schema = SCHEMAS["nested"]
    for options in ({}, {"top_k": 40}, {"temperature": 0}, {"repeat_penalty": 1.3}, {"typical_p": 0.5}):
        output = many_tokens.output({"seed": 3, **options}, json_schema=schema, cap=400)
        assert output.whole, options
        jsonschema.validate(json.loads(output.data.decode()), schema)


def test_what_the_cap_cuts_is_the_beginning_of_a_valid_output(bench: Bench) -> None:
    schema = SCHEMAS["tree"]
    full = bench.output(json_schema=schema)
    for cap in range(1, len(full.tokens) - 1):
        cut = bench.output(json_schema=schema, cap=cap)
        assert full.data.startswith(cut.data)
        assert not cut.whole


def test_a_character_class_is_met_by_whole_characters_only(bench: Bench) -> None:
    for seed in range(6):
        text = bench.output({"seed": seed}, grammar="root ::= .{20}").data.decode()  # strict: no byte is astray
        assert len(text) == 20
        assert bench.output({"seed": seed}, grammar="root ::= [😀-😎é]{5}").data.decode().strip("é").isascii() is False


def test_the_end_comes_only_when_the_grammar_is_complete_and_then_at_once(bench: Bench) -> None:
    ends = bench.vocabulary.end_tokens()
    eager = bench.output({"logit_bias": dict.fromkeys(ends, 50.0)}, grammar="root ::= [a-c]{3,9}")
    assert (len(eager.data), eager.tokens[-1] in ends, eager.whole) == (3, True, True)
    reluctant = bench.output({"logit_bias": dict.fromkeys(ends, -50.0)}, grammar="root ::= [a-c]{3,9}")
    assert (len(reluctant.data), reluctant.tokens[-1] in ends) == (9, True)


def test_ignore_eos_goes_on_as_long_as_anything_may_follow(bench: Bench) -> None:
    for temperature in (0.0, 1.5):
        options = {"ignore_eos": True, "temperature": temperature}
        output = bench.output(options, grammar="root ::= [a-c]{3,9}")
        assert len(output.data) == 9
        assert bench.vocabulary.ends_generation(output.tokens[-1])
        assert len(bench.output(options, cap=40, grammar="root ::= [a-c]*").data) == 40


def test_a_model_without_an_end_token_stops_when_nothing_may_follow(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = Vocabulary(bench.weights.raw)
    monkeypatch.setattr(vocabulary, "ends_generation", lambda token: False)
    monkeypatch.setattr(bench, "vocabulary", vocabulary)
    for grammar, text in (('root ::= "abc"', b"abc"), ('root ::= "ab" "c"?', b"abc")):
        output = bench.output(grammar=grammar)
        assert (output.data, output.whole) == (text, True)
    assert not bench.output(grammar="root ::= [a-c]{5}", cap=4).whole


# -- how it draws --------------------------------------------------------------------------------------------------


def best_allowed(bench: Bench, state: ConstraintState, logits: np.ndarray) -> int:
    order = np.lexsort((np.arange(logits.size), -logits))
    return next(int(token) for token in order if state.allows(int(token)))


@pytest.mark.parametrize("which", ["bench", "many_tokens"])
def test_greedy_takes_the_best_token_that_may_follow(which: str, request: pytest.FixtureRequest) -> None:
    bench: Bench = request.getfixturevalue(which)
    schema = SCHEMAS["nested"]
    constraint = compile_constraint(Request(prompt="x", json_schema=schema), bench.vocabulary)
    assert constraint is not None
    state = ConstraintState(constraint, bench.vocabulary)
    sampler = Sampler(Sampling(temperature=0), bench.vocabulary, 4096, constraint)
    at = bench.start()
    for step in range(12):
        expected = best_allowed(bench, state, bench.logits(at).copy())
        assert sampler.draw(bench.context.raw, at) == expected
        if bench.vocabulary.ends_generation(expected):
            break
        state.accept(expected)
        bench.context.batch.clear()
        at = bench.context.batch.add_token(expected, 3 + step, 0)
        assert bench.context.decode() == 0
    sampler.free()
    state.free()


def test_many_tokens_at_once_are_judged_as_one_by_one(many_tokens: Bench) -> None:
    constraint = compile_constraint(Request(prompt="x", json_schema=SCHEMAS["unicode keys"]), many_tokens.vocabulary)
    assert constraint is not None
    state = ConstraintState(constraint, many_tokens.vocabulary)
    everything = np.arange(many_tokens.vocabulary.size, dtype=np.int32)
    for token in many_tokens.vocabulary.tokenize('{"ключ"', add_special=False, parse_special=False):
        found = set(np.flatnonzero(state.filter(everything)).tolist())
        assert token in found
        singly = {t for t in range(everything.size) if state.allows(t)}
        assert singly <= found
        assert all(state._tail(t) is None for t in found - singly)
        state.accept(token)
    state.free()


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_k": 5}, {"top_k": 5, "repeat_penalty": 1.0001}])
def test_the_distribution_is_that_of_drawing_among_what_may_follow(bench: Bench, options: dict[str, Any]) -> None:
    """As `common_sampler_sample`: a draw that may follow counts, another is drawn anew among those that may."""
    grammar = "root ::= [a-e] [f-z]"
    at = bench.start()
    counts = np.zeros(bench.vocabulary.size)
    draws = 1500
    for seed in range(draws):
        sampling = Sampling(**{**WILD, "temperature": 1.0, "seed": seed, **options})
        sampler = bench.sampler(sampling, grammar=grammar)
        counts[sampler.draw(bench.context.raw, at)] += 1
        sampler.free()
    logits = bench.logits(at).astype(np.float64)
    letters = [bench.vocabulary.tokenize(c, add_special=False, parse_special=False)[0] for c in "abcde"]
    first = np.exp(logits - logits.max())
    if options["top_k"]:
        first[np.argsort(-logits)[options["top_k"] :]] = 0
    first /= first.sum()
    again = np.zeros_like(first)
    again[letters] = np.exp(logits[letters] - logits[letters].max())
    again /= again.sum()
    expected = first * np.isin(np.arange(first.size), letters)
    expected += (1 - expected.sum()) * again
    assert set(np.flatnonzero(counts)) <= set(letters)
    assert np.abs(counts / draws - expected).max() < 4 * np.sqrt(0.25 / draws)


def test_equal_seeds_draw_equal_outputs(bench: Bench) -> None:
    outputs = [bench.output({"seed": seed}, grammar="root ::= .{30}").tokens for seed in (1, 1, 2)]
    assert outputs[0] == outputs[1] != outputs[2]


def test_control_tokens_do_not_spell_text_unless_the_grammar_names_them(bench: Bench) -> None:
    control = bench.vocabulary.tokenize("<|im_start|>", add_special=False, parse_special=True)[0]
    spelt = bench.output({"logit_bias": {control: 50.0}}, grammar='root ::= "<|im_start|>" "a"')
    assert spelt.data == b"<|im_start|>a"
    assert control not in spelt.tokens
    named = bench.output(grammar='root ::= <|im_start|> "a"')
    assert (named.tokens[0], named.data) == (control, b"a")
    assert bench.output(grammar=f'root ::= <[{control}]> "a"').tokens[0] == control


def test_an_output_goes_on_where_another_sampler_left_it(bench: Bench) -> None:
    grammar = 'root ::= "é" [a-c]{4} "😀"'
    begun = bench.output(grammar=grammar, cap=3)
    rest = bench.sampler(Sampling(seed=5), grammar=grammar)
    rest.resume(begun.tokens)
    text = (begun.data + bench.draw(rest).data).decode()
    assert (len(text), text[0], text[-1]) == (6, "é", "😀")
    other = bench.sampler(Sampling(seed=5), grammar='root ::= "x"')
    with pytest.raises(InvalidGrammar, match="does not meet the constraint"):
        other.resume(begun.tokens)
    other.free()


# -- what goes wrong -----------------------------------------------------------------------------------------------


def test_a_dead_end_is_a_clear_error(bench: Bench) -> None:
    sampling = Sampling(temperature=0, logit_bias={t: float("-inf") for t in range(bench.vocabulary.size)})
    sampler = bench.sampler(sampling, grammar='root ::= "a"')
    with pytest.raises(InvalidGrammar, match=r"no token of this model may follow.*logit_bias"):
        sampler.draw(bench.context.raw, bench.start())
    sampler.free()
    with pytest.raises(InvalidGrammar, match="no token of this model may follow"):
        bench.output(grammar=r'root ::= "\x00"')


@pytest.mark.parametrize(
    ("grammar", "words"),
    [
        ("root ::= <[99999]>", "no token of this model; ids run to 260"),
        ("root ::= <nope>", "6 tokens of this model, not one"),
        ('root ::= "\ud800"', "half a surrogate pair"),
        ('root ::= ""*', "llama.cpp cannot use this grammar. It said: failed to parse grammar"),
        ("", "no rule named 'root'"),
    ],
)
def test_an_invalid_grammar_is_refused(bench: Bench, grammar: str, words: str) -> None:
    with pytest.raises(InvalidGrammar, match=words):
        compile_constraint(Request(prompt="x", grammar=grammar), bench.vocabulary)


def test_no_constraint_is_none_and_an_equal_one_is_made_once(bench: Bench) -> None:
    def made(**constraint: Any) -> Any:
        return compile_constraint(Request(prompt="x", **constraint), bench.vocabulary)

    assert made() is None
    first = made(grammar='root ::= "a"')
    assert made(grammar='root ::= "a"') is first
    assert made(json_schema={"const": 1}) is made(json_schema='{"const": 1}')
    for count in range(CACHED):
        made(grammar=f'root ::= "{count}"')
    assert made(grammar='root ::= "a"') is not first


def test_states_of_one_constraint_know_nothing_of_each_other(bench: Bench) -> None:
    constraint = compile_constraint(Request(prompt="x", grammar='root ::= "ab"'), bench.vocabulary)
    assert constraint is not None
    one, other = (ConstraintState(constraint, bench.vocabulary) for _ in range(2))
    a, b = bench.vocabulary.tokenize("ab", add_special=False, parse_special=False)
    one.accept(a)
    assert (one.allows(b), other.allows(b), other.allows(a)) == (True, False, True)
    one.free()
    one.free()
    other.free()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"grammar": 'root ::= "a"', "json_schema": {}}, "Both grammar and json_schema"),
        ({"grammar": 3}, "GBNF text"),
        ({"json_schema": "[1]"}, "must be a mapping"),
        ({"json_schema": "{"}, "is no JSON"),
        ({"json_schema": {"minimum": float("nan")}}, "is no JSON"),
        ({"json_schema": {1: 2}}, "the key 1 is no text"),
        ({"json_schema": 5}, "must be a mapping"),
        ({"json_schema": {}, "stop": "x"}, "Leave stop out"),
    ],
)
def test_a_request_refuses_what_is_no_constraint(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        Request(prompt="x", **options)


# -- through an engine ---------------------------------------------------------------------------------------------


class Point(pydantic.BaseModel):
    x: int = pydantic.Field(ge=0, le=9)
    label: str = pydantic.Field(max_length=4)


@pytest.fixture(scope="module")
def engine(tiny_bytes: Path) -> Iterator[TunedEngine]:
    with TunedEngine(tiny_bytes, EngineSettings(n_ctx=1024, n_threads=1)) as engine:
        yield engine


def test_complete_json_gives_values_and_instances(engine: TunedEngine) -> None:
    assert isinstance(engine.complete_json("a point", Point, temperature=1.5, seed=1), Point)
    value = engine.complete_json(
        "a list", {"type": "array", "items": {"const": 7}, "minItems": 2, "maxItems": 3}, seed=1
    )
    assert value in ([7, 7], [7, 7, 7])


def test_the_cap_raises_with_the_partial_text(engine: TunedEngine) -> None:
    with pytest.raises(ConstraintUnmet) as caught:
        engine.complete("x", json_schema=Point, max_tokens=5)
    assert caught.value.partial.startswith("{")
    assert len(caught.value.partial) == 5


def test_a_cap_that_falls_on_the_end_is_no_error(engine: TunedEngine) -> None:
    assert engine.complete("x", grammar='root ::= "abc"', max_tokens=3).text == "abc"


def test_a_stream_under_a_constraint_joins_to_the_whole(engine: TunedEngine) -> None:
    stream = engine.stream("x", grammar="root ::= [😀-😎é]{6}", temperature=1.5, seed=2)
    chunks = [chunk.text for chunk in stream]
    assert "".join(chunks) == stream.completion.text
    assert len(stream.completion.text) == 6
    assert stream.completion.finish_reason == "stop"


def test_an_invalid_grammar_fails_its_own_request_only(engine: TunedEngine) -> None:
    with pytest.raises(InvalidGrammar, match="left recursion"):
        engine.complete("x", grammar='root ::= root "a" | "b"')
    with pytest.raises(InvalidGrammar, match="no token of this model may follow"):
        engine.complete("x", grammar=r'root ::= "\x00"')
    assert engine.complete("x", grammar='root ::= "ok"').text == "ok"


def test_the_baseline_says_that_it_does_not_constrain(tiny_bytes: Path) -> None:
    with BaselineEngine(tiny_bytes, EngineSettings(n_ctx=256, n_threads=1)) as engine:
        for options in ({"grammar": 'root ::= "a"'}, {"json_schema": {}}):
            with pytest.raises(InvalidSettings, match="engine='tuned'"):
                engine.complete("x", **options)


def test_constrained_and_free_requests_run_together(tiny_bytes: Path) -> None:
    with TunedEngine(tiny_bytes, EngineSettings(n_ctx=1024, n_seq_max=3, n_threads=1)) as engine:
        requests = [Request(prompt=f"p{i}", grammar="root ::= [a-f]{8}", sampling=Sampling(seed=i)) for i in range(3)]
        requests += [Request(prompt=f"q{i}", max_tokens=12, sampling=Sampling(seed=i)) for i in range(3)]
        texts = [completion.text for completion in engine.complete_many(requests)]
    assert all(len(text) == 8 and set(text) <= set("abcdef") for text in texts[:3])
