"""A line with a distance: bytes arrive whole and late, and a new connection costs what it says."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

import workbench as wb
from workbench.errors import InvalidSettings
from workbench.testing import MockEndpoint, SlowLine

CHAT = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def endpoint() -> Iterator[MockEndpoint]:
    with MockEndpoint("Hello 👋 wörld!") as endpoint:
        yield endpoint


def ask(client: httpx.Client, line: SlowLine) -> tuple[str, float]:
    started = time.perf_counter()
    answer = client.post(f"{line.url}/chat/completions", json=CHAT).json()
    return answer["choices"][0]["message"]["content"], 1e3 * (time.perf_counter() - started)


def test_answers_arrive_whole_and_a_round_trip_late(endpoint: MockEndpoint) -> None:
    with SlowLine(endpoint.url, rtt_ms=40, setup_round_trips=2) as line, httpx.Client(timeout=10) as client:
        said, first_ms = ask(client, line)
        again, second_ms = ask(client, line)
        assert said == again == "Hello 👋 wörld!"
        assert first_ms >= 3 * 40  # two round trips to connect, one for the request
        assert second_ms >= 40
        assert line.connections == 1


def test_every_new_connection_is_counted(endpoint: MockEndpoint) -> None:
    with SlowLine(endpoint.url, rtt_ms=0) as line:
        for _ in range(3):
            with httpx.Client(timeout=10) as client:
                ask(client, line)
        assert line.connections == 3


def test_an_engine_streams_through_it(endpoint: MockEndpoint) -> None:
    with SlowLine(endpoint.url, rtt_ms=5) as line, wb.load("mock", engine="endpoint", base_url=line.url) as engine:
        assert "".join(chunk.text for chunk in engine.stream("hi")) == "Hello 👋 wörld!"


def test_a_server_that_hangs_up_ends_the_line_too(endpoint: MockEndpoint) -> None:
    with SlowLine(endpoint.url, rtt_ms=1) as line, httpx.Client(timeout=10) as client:
        ask(client, line)
        endpoint.close()
        with pytest.raises(httpx.TransportError):
            ask(client, line)


def test_it_can_be_closed_twice_and_in_the_middle(endpoint: MockEndpoint) -> None:
    line = SlowLine(endpoint.url, rtt_ms=1)
    with httpx.Client(timeout=10) as client:
        ask(client, line)
        line.close()
        line.close()
        with pytest.raises(httpx.TransportError):
            ask(client, line)


@pytest.mark.parametrize(
    "wrong", [{"rtt_ms": -1}, {"rtt_ms": 1, "setup_round_trips": -1}, {"rtt_ms": 1, "url": "http://localhost/v1"}]
)
def test_impossible_lines_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidSettings):
        SlowLine(**{"url": "http://127.0.0.1:9/v1", **wrong})  # type: ignore[arg-type]
