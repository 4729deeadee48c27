"""Reading GBNF: what llama.cpp reads is read, the rest is refused with its place."""

from __future__ import annotations

import pytest
from llama_cpp import llama_grammar

from workbench.engine.sampling.gbnf import Chars, Group, Ref, Repeat, Token, parse
from workbench.errors import InvalidGrammar

SHIPPED = [name for name in dir(llama_grammar) if name.endswith("_GBNF")]


@pytest.mark.parametrize("name", SHIPPED)
def test_llama_cpps_own_examples_are_read(name: str) -> None:
    assert "root" in parse(getattr(llama_grammar, name))


def test_the_tree() -> None:
    rules = parse('root ::= "ab\\n" [^a-z\\]] (x | . )* # a comment\nx ::= <[7]>{2,3} !<a b> "c"+ "d"?\n')
    assert rules["root"] == Group(((Chars(3), Chars(3), Repeat(Group(((Ref("x"),), (Chars(1),))), 0, None)),))
    assert rules["x"] == Group(
        ((Repeat(Token("<[7]>"), 2, 3), Token("<a b>"), Repeat(Chars(1), 1, None), Repeat(Chars(1), 0, 1)),)
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('root ::= "a', r"line 1, column 12: expected a character"),
        ("root ::= [a", r"line 1, column 12"),
        ("root ::= []", "class without characters"),
        ("root ::= [z-a]", "range z-a is empty"),
        (r'root ::= "\q"', "expected a character, an escape"),
        ('root ::= "a"\n | "b"', "line 2, column 2: expected the name of a rule"),
        ('root ::= ("a"', r"expected \)"),
        ('root ::= "a")', "expected the end of the line"),
        ("root ::= *", "nothing before it to repeat"),
        ('root ::= "a"???', "more than two repetition signs"),
        ('root ::= "a"{5,2}', "at least more than at most"),
        ('root ::= "a"{1,100000}', "100000 repetitions; llama.cpp counts to 2,000"),
        ('root ::= "a"{99999999999999999999}', "999999999999 repetitions"),
        ("root ::= a_b", "found '_b'"),
        ('root ::= "a"\nroot ::= "b"', "line 2, .*'root' is defined twice"),
        ("root = a", "expected ::="),
        ('root ::= "\0"', "NUL"),
        ("root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000, "nested more than 100 deep"),
        ('root ::= "' + "a" * 2**20 + '"', "1,048,576 is the limit"),
    ],
)
def test_what_is_no_gbnf_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(InvalidGrammar, match=words):
        parse(text)
