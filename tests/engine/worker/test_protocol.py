"""Values go through the pipe and come back as they were; what is no message is told apart from a message."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from workbench.engine.worker import protocol
from workbench.engine.worker.protocol import NotAMessageError
from workbench.errors import InvalidSettings
from workbench.interfaces import Completion, Receipt, Request, Sampling, Timings
from workbench.settings import EngineSettings

SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}


class Colour(BaseModel):
    colour: str


@pytest.mark.parametrize(
    "request_",
    [
        Request(prompt=[1, 2], max_tokens=3),
        Request(prompt=[1], stop=("a", "\ud800", "é\n"), priority=-2, cache_prompt=False),
        Request(prompt=[1], grammar='root ::= "a"'),
        Request(prompt=[1], sampling=Sampling(temperature=0, seed=7, logit_bias={5: -math.inf, 6: 1.5})),
        Request(prompt=[1], json_schema=SCHEMA),
    ],
)
def test_a_request_survives_the_pipe(request_: Request) -> None:
    line = protocol.pack(protocol.request_values(request_))
    assert line.count(b"\n") == 1, "one message, one line"
    assert protocol.request_from(protocol.unpack(line), list(request_.prompt)) == request_


def test_a_pydantic_class_travels_as_its_schema() -> None:
    assert protocol.plain_schema(Colour)["properties"]["colour"]["type"] == "string"
    with pytest.raises(InvalidSettings, match="pydantic model class"):
        protocol.plain_schema({"type": object()})


def test_a_completion_survives_the_pipe() -> None:
    timings = Timings(
        queue_ms=1.0,
        prefill_ms=2.5,
        ttft_ms=None,
        decode_ms=0.1,
        total_ms=9.0,
        prompt_tokens=3,
        cached_tokens=1,
        output_tokens=2,
        itl_ms=(0.1,),
    )
    receipt, chosen = Receipt(reused_tokens=1, why="é"), EngineSettings(tensor_split=(0.5, 0.5))
    completion = Completion(
        text="x", tokens=(1,), finish_reason="stop", timings=timings, model="m", settings=chosen, receipt=receipt
    )
    values = protocol.unpack(protocol.pack(protocol.completion_values(completion)))
    assert protocol.timings_from(values["timings"]) == timings
    assert protocol.receipt_from(values["receipt"]) == receipt
    assert protocol.settings_from(values["settings"]) == chosen
    assert protocol.receipt_from(None) is None


def test_scores_are_exact() -> None:
    scores = np.array([np.nan, -1e-30, -12.345678], np.float32)
    assert protocol.array_from(protocol.array_values(scores)).tobytes() == scores.tobytes()


def test_a_half_message_at_the_end_is_no_message() -> None:
    pipe = io.BytesIO(protocol.pack({"a": 1}) + b'{"b": ')
    assert list(protocol.read_messages(pipe)) == [{"a": 1}]


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(NotAMessageError, match="no end after 10 bytes"):
        list(protocol.read_messages(io.BytesIO(b"x" * 100), most_bytes=10))


@given(st.binary(max_size=60))
def test_garbage_is_a_message_or_an_error_never_anything_else(data: bytes) -> None:
    try:
        for message in protocol.read_messages(io.BytesIO(data + b"\n")):
            assert isinstance(message, dict)
    except NotAMessageError:
        pass


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=9), max_size=3))
def test_messages_come_back_whatever_the_text(message: dict[str, object]) -> None:
    assert list(protocol.read_messages(io.BytesIO(protocol.pack(message) * 2))) == [message, message]
