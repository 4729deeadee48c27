"""A continued answer is the answer: stop strings and characters may lie across the break."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.engine.worker.continuation import Continuation
from workbench.interfaces import Chunk, Completion, Request, Timings
from workbench.settings import EngineSettings

TIMINGS = Timings(
    queue_ms=0, prefill_ms=0, ttft_ms=None, decode_ms=0, total_ms=0, prompt_tokens=1, cached_tokens=0, output_tokens=0
)
PIECES = {1: b"a", 2: b"ST", 3: b"OP", 4: "é".encode()[:1], 5: "é".encode()[1:], 6: b"z", 9: None}


def continued(already: list[int], rest: list[int], **options: Any) -> tuple[str, str, Continuation]:
    """Text and reason of what a continuation tells of ``rest``."""
    told: list[Any] = []
    request = Request(prompt=[7, 8], **options)
    one = Continuation(request, already, PIECES.__getitem__, told.append)
    for token in rest:
        one.listen(Chunk("the engine's own text", (token,), 1.0))
    one.listen(
        Completion(text="", tokens=(), finish_reason="length", timings=TIMINGS, model="m", settings=EngineSettings())
    )
    return "".join(chunk.text for chunk in told[:-1]), told[-1].finish_reason, one


def test_the_engine_is_asked_for_the_rest_only() -> None:
    *_, one = continued([1, 2], [], max_tokens=10, stop="STOP")
    rest = one.rest()
    assert (rest.prompt, rest.max_tokens, rest.stop) == ((7, 8, 1, 2), 8, ())
    assert one.over is None


def test_a_stop_string_across_the_break_ends_the_text() -> None:
    cancelled: list[bool] = []
    told: list[Any] = []
    one = Continuation(Request(prompt=[7], stop="STOP"), [1, 2], PIECES.__getitem__, told.append)
    one.cancel = lambda: cancelled.append(True)
    one.listen(Chunk("", (3, 6), 1.0))
    one.listen(Chunk("", (6,), 2.0))
    assert cancelled == [True]
    assert [chunk.text for chunk in told] == [""], "neither the stop string nor what was drawn after it"


@pytest.mark.parametrize(
    ("already", "rest", "text"),
    [([1, 4], [5, 6], "éz"), ([1, 2], [6], "STz"), ([1, 2], [], "ST"), ([4], [6], "\ufffdz")],
)
def test_what_was_held_back_at_the_break_is_not_lost(already: list[int], rest: list[int], text: str) -> None:
    assert continued(already, rest, stop="STOP")[:2] == (text, "length")


@pytest.mark.parametrize(
    ("already", "options", "reason"),
    [
        ([1, 9], {}, "stop"),
        ([1, 9], {"ignore_eos": True}, None),
        ([1, 2, 3], {"stop": "STOP"}, "stop"),
        ([1, 1], {"max_tokens": 2}, "length"),
        ([1, 1], {"max_tokens": 3}, None),
    ],
)
def test_an_answer_whose_last_token_had_come_is_over(already: list[int], options: Any, reason: str | None) -> None:
    one = Continuation(Request.of([7], **options), already, PIECES.__getitem__, lambda event: None)
    assert one.over == reason
