"""Grammars that read well and would crash, hang or never end in llama.cpp."""

from __future__ import annotations

import time

import pytest

from workbench.engine.sampling.gbnf import parse
from workbench.engine.sampling.gbnf_check import check, named_tokens
from workbench.errors import InvalidGrammar


def ladder(step: str, rungs: int) -> str:
    """``rungs`` rules, each made of the next."""
    rules = [f"r{i} ::= {step.format(f'r{i + 1}')}" for i in range(rungs)]
    return "\n".join([*rules, f'r{rungs} ::= "a"', "root ::= r0"])


REFUSED = {
    "empty": ("", "no rule named 'root'.*It is empty"),
    "only a comment": ("# nothing", "no rule named 'root'"),
    "no root": ('start ::= "a"', "no rule named 'root'.*It has: start"),
    "undefined rule": ("root ::= a", "'root' .* uses 'a', which is not defined"),
    "left recursion": ('root ::= root "a" | "b"', "'root' .*left recursion"),
    "left recursion through others": ('root ::= a "x"\na ::= b\nb ::= root | "y"', "left recursion"),
    "left recursion behind the empty text": (
        'root ::= a root "z" | "x"\na ::= b\nb ::= "" | "y"',
        "'root' .*left recursion",
    ),
    "a rule that never ends": ('root ::= "a" b | "c"\nb ::= "d" b', "'b' .* never ends"),
    "a long chain": (ladder("{}", 20_000), "more than 1,000 deep"),
    "doubling beginnings": (ladder('{0} "a" | {0} "b"', 60), "more than 10,000 ways"),
    "doubling equal beginnings": (ladder("{0} | {0}", 60), "more than 10,000 ways"),
    "many alternatives": ("root ::= " + "|".join(['"a"'] * 20_000), "more than 10,000 ways"),
    "a long literal repeated": ('root ::= "' + "a" * 3000 + '"{2000}', "more than 200,000 elements"),
    "repetitions in repetitions": ('root ::= (("a"{1,100} "b"){1,100})', "repeats a group that repeats"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_at_once(name: str) -> None:
    text, words = REFUSED[name]
    started = time.perf_counter()
    with pytest.raises(InvalidGrammar, match=words):
        check(parse(text))
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    "text",
    [
        'root ::= "a" root | "b"',
        'root ::= ws* "x"\nws ::= [ ]*',
        'root ::= ("a" | "b"{0,500}){1,3}',
        ladder('"x" {}', 5000),
        'root ::= "a"? "b"? "c"*',
    ],
)
def test_what_works_passes(text: str) -> None:
    check(parse(text))


def test_named_tokens() -> None:
    assert named_tokens(parse('root ::= <think> x | !<[3]>\nx ::= "<b>"')) == {"<think>", "<[3]>"}
