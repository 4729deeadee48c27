"""Conditions say what they seem to say, and nothing else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidSettings
from workbench.sweep.specification.conditions import holds, names


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("n_ubatch <= n_batch", {"n_ubatch": 512, "n_batch": 512}, True),
        ("n_ubatch <= n_batch", {"n_ubatch": 1024, "n_batch": 512}, False),
        ("memory in ['hybrid', 'ranked'] and k > 5", {"memory": "ranked", "k": 6}, True),
        ("memory not in ('hybrid', 'ranked')", {"memory": "none"}, True),
        ("not flash_attn or n_ctx * 2 >= 4096", {"flash_attn": True, "n_ctx": 2048}, True),
        ("1 < a < 3", {"a": 3}, False),
        ("-a % 3 == 2", {"a": 1}, True),
        ("flash_attn == true", {"flash_attn": True}, True),
        ("n_ctx == null", {"n_ctx": None}, True),
        ("a - 1 + 2 * 3 / 2 // 1 == 3", {"a": 1}, True),
    ],
)
def test_what_holds(text, values, expected):
    assert holds(text, values) is expected


def test_the_parameters_it_speaks_of():
    assert names("a < b and 'c' != d or true") == {"a", "b", "d"}


@pytest.mark.parametrize(
    "text",
    ["", "a <", "a = 1", "f(a)", "a.b", "a[0]", "lambda: a", "[x for x in a]", "a if b else c", "a ** 9", "{'a': 1}"],
)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(InvalidSettings, match="condition"):
        names(text)


def test_a_missing_parameter_and_a_strange_comparison_are_told():
    with pytest.raises(InvalidSettings, match="'b', which a configuration does not set"):
        holds("a < b", {"a": 1})
    with pytest.raises(InvalidSettings, match="a=1, b='x'"):
        holds("a < b", {"a": 1, "b": "x"})
    with pytest.raises(InvalidSettings, match="a=0"):
        holds("1 / a > 1", {"a": 0})


@given(st.text(max_size=30))
def test_no_text_does_anything_but_hold_or_be_refused(text):
    with contextlib.suppress(InvalidSettings):
        holds(text, {"a": 1})


@given(st.integers(), st.integers())
def test_as_python_has_it(a, b):
    assert holds("a < b or a == b", {"a": a, "b": b}) == (a <= b)
