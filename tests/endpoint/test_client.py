"""One client a process."""

from __future__ import annotations

import multiprocessing
import threading

import pytest

from workbench.endpoint import EndpointEngine, close_client
from workbench.endpoint.client import client
from workbench.testing.mock_endpoint import MockEndpoint


@pytest.fixture
def mock():
    with MockEndpoint("one two three") as server:
        yield server


def test_engines_share_one_loop_one_client_and_connections(mock):
    with EndpointEngine("a", base_url=mock.url) as one, EndpointEngine("b", base_url=mock.url) as two:
        for engine in (one, two, one, two):
            engine.complete("Hi")
    assert mock.stats.connections == 1
    assert sum(thread.name == "workbench endpoint" for thread in threading.enumerate()) == 1


def test_a_small_load_keeps_few_connections(mock):
    with EndpointEngine("a", base_url=mock.url) as engine:
        for _ in range(3):
            engine.complete_many(["Hi"] * 8)
    assert mock.stats.connections <= 12


def test_a_closed_client_is_followed_by_another(mock):
    with EndpointEngine("a", base_url=mock.url) as engine:
        engine.complete("Hi")
        before = client()
        close_client()
        assert before.loop.is_closed()
        assert engine.complete("Hi").text == "one two three"
        assert client() is not before


def _in_child(url, answers, inherited):
    answers.put(inherited.complete("Hi").text)
    with EndpointEngine("b", base_url=url) as own:
        answers.put(own.complete("Hi").text)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_gets_its_own():
    with MockEndpoint("one two three", process=True) as mock, EndpointEngine("a", base_url=mock.url) as engine:
        engine.complete("Hi")
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        child = context.Process(target=_in_child, args=(mock.url, answers, engine))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert [answers.get(), answers.get()] == ["one two three"] * 2
        assert engine.complete("Hi").text == "one two three", "the parent's goes on"


def test_cancelled_requests_leave_nothing_running():
    with MockEndpoint("word " * 400, tokens_per_s=100) as mock, EndpointEngine("a", base_url=mock.url) as engine:
        streams = [engine.stream("Hi") for _ in range(20)]
        for stream in streams:
            stream.cancel()
        assert {list(stream)[-1].finish_reason for stream in streams} == {"cancelled"}
        assert engine.stats.state == "idle"
        assert engine.complete("Hi", max_tokens=2).text
