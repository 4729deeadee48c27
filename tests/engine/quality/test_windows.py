"""Which tokens are scored where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engine.quality.windows import Window, chunks, strided
from workbench.errors import UsageError

sizes = st.integers(2, 40)


def scored(plan: list[Window]) -> list[int]:
    return [token for one in plan for token in range(one.first, one.end)]


def test_strided_windows_as_in_the_guide() -> None:
    # 10 tokens, max_length 4, stride 2: begins 0, 2, 4, 6; each scores what the ones before have not
    assert strided(10, 4, 2) == [Window(0, 1, 4), Window(2, 4, 6), Window(4, 6, 8), Window(6, 8, 10)]


@given(n=st.integers(0, 200), window=sizes, data=st.data())
def test_every_token_but_the_first_is_scored_once(n: int, window: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, window - 1))
    plan = strided(n, window, stride)
    assert scored(plan) == list(range(1, n))
    assert all(one.begin < one.first and one.end - one.begin <= window for one in plan)


@given(n=st.integers(0, 200), window=sizes)
def test_a_stride_of_the_window_is_disjoint_chunks(n: int, window: int) -> None:
    assert strided(n, window, window) == chunks(n, window, second_half=False)


def test_second_halves_as_llama_perplexity_scores_them() -> None:
    # n_ctx 512: logits of positions 256 to 510, so targets 257 to 511
    assert chunks(1024, 512, second_half=True) == [Window(0, 257, 512), Window(512, 769, 1024)]


def test_a_text_shorter_than_the_window_is_its_own_window() -> None:
    assert chunks(10, 512, second_half=True) == [Window(0, 6, 10)]
    assert strided(10, 512, 256) == [Window(0, 1, 10)]


def test_nothing_to_score() -> None:
    assert strided(1, 8, 4) == []
    assert chunks(2, 8, second_half=True) == []


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (8, 0), (8, 9)])
def test_windows_that_would_leave_tokens_out_are_refused(window: int, stride: int) -> None:
    with pytest.raises(UsageError):
        strided(100, window, stride)
