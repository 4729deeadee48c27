"""The load generator counts what it says it counts."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

import workbench as wb
from workbench.errors import InvalidSettings
from workbench.evaluation.endpoint_clients import Heard, Run, put, summary, through_engine
from workbench.evaluation.endpoint_load import (
    DEFINITIONS,
    WARM_UP,
    endpoint_faults,
    endpoint_load,
    endpoint_memory,
    long_answer,
)
from workbench.interfaces import Engine, Message
from workbench.testing import Fault, MockEndpoint, Reply, ScriptedEngine

PROMPT = [Message("user", "hi")]


@contextlib.contextmanager
def both(
    *faults: Fault, latency_s: float = 0.0, seed: int = 0, **options: Any
) -> Iterator[tuple[Engine, MockEndpoint]]:
    """An engine and the endpoint it is for."""
    retries = {"base_s": 0.01, "max_s": 0.02, "budget": 1.0}
    with MockEndpoint(long_answer(), process=True, faults=faults, latency_s=latency_s, seed=seed) as endpoint:
        made = wb.load("mock", engine="endpoint", base_url=endpoint.url, **{"retries": retries, **options})
        with made as engine:
            yield engine, endpoint


def test_as_many_are_under_way_as_asked_and_answers_keep_their_places() -> None:
    running, peak = 0, 0

    async def ask(messages: Sequence[Message], max_tokens: int) -> AsyncIterator[str]:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.005)
        yield messages[0].content * max_tokens
        running -= 1

    prompts = [[Message("user", str(number))] for number in range(20)]
    heard = asyncio.run(put(ask, prompts, 2, 6))
    assert [one.parts for one in heard] == [[str(number) * 2] for number in range(20)]
    assert peak == 6
    assert all(one.first is not None and one.began <= one.first <= one.ended for one in heard)


def test_an_error_is_noted_and_disturbs_nobody() -> None:
    engine = ScriptedEngine([Reply("one two"), Reply("one two", dies_after=1), Reply("one two")])
    heard = asyncio.run(put(through_engine(engine), [PROMPT] * 3, 8, 1))
    assert [one.error for one in heard] == ["", "StreamIncomplete", ""]
    assert heard[1].parts == ["one"]


def test_a_summary_counts_answers_only_that_are_whole() -> None:
    fine = [Heard(began, began + 0.1, began + 0.5, ["a", "b"]) for began in (0.0, 1.0, 2.0)]
    late = Heard(0.0, 1.5, 2.0, ["a", "b"])
    failed = Heard(0.0, 0.1, 0.2, ["a"], "TimeoutError")
    numbers = summary(Run([*fine, late, failed], wall_s=4.0, cpu_s=1.0, requests=7, bytes_in=30, bytes_out=70))
    assert numbers["errors"] == pytest.approx(1 / 5)
    assert numbers["retries"] == 2
    assert numbers["bytes"] == 20
    assert numbers["tps"] == pytest.approx(8 / 4)
    assert numbers["goodput"] == pytest.approx(3 / 4), "The late one missed its limit of the first text."
    assert numbers["p50_ms"] == pytest.approx(500)
    assert numbers["ttft_p50_ms"] == pytest.approx(100)


def test_a_summary_of_nothing_has_gaps_and_no_zeros() -> None:
    numbers = summary(Run([Heard(0.0, error="OSError")], 1.0, 1.0, 1, 0, 0))
    assert numbers["p99_ms"] is None
    assert numbers["errors"] == 1


def test_engine_and_httpx_say_the_same() -> None:
    with both() as (engine, endpoint):
        seen = endpoint_load(engine, endpoint, at_once=(1, 8), sizes=("simple", "medium"), least_requests=4)
    assert seen["identical"] == 1
    for size in ("simple", "medium"):
        for at_once in (1, 8):
            for who in ("", "bare_"):
                assert seen[f"{who}{size}_{at_once}_errors"] == seen[f"{who}{size}_{at_once}_retries"] == 0
            assert seen[f"{size}_{at_once}_cpu_ratio"] > 0
            assert seen[f"{size}_{at_once}_ttft_p50_ms"] <= seen[f"{size}_{at_once}_p50_ms"]
            assert seen[f"{size}_{at_once}_bytes"] > 500
    assert seen["wall_ratio_8"] > 0
    assert all(value is None or math.isfinite(value) for value in seen.values())
    assert set(DEFINITIONS) & {"p50_ms", "tps", "goodput"}


def test_injected_errors_are_counted_and_tried_again() -> None:
    with both(Fault("status", probability=0.2), latency_s=1.0, seed=2) as (engine, endpoint):
        seen = endpoint_faults(engine, endpoint, at_once=40, sizes=("simple",))
    assert seen["fault_requests"] == 40
    assert seen["fault_peak"] > 20, "They are under way at the same time."
    assert 0.05 < seen["fault_injected"] < 0.4
    assert seen["fault_retries"] > 0
    assert seen["fault_answered"] == pytest.approx(1 - seen["fault_errors"])
    assert seen["fault_answered"] > 1 - seen["fault_injected"], "More than a client without retries would get."


def test_a_client_without_retries_hands_errors_on() -> None:
    options: dict[str, Any] = {"retries": {"attempts": 1}, "breaker": {"failures": 1000}}
    with both(Fault("status", probability=0.5), **options) as (engine, endpoint):
        seen = endpoint_faults(engine, endpoint, at_once=30, sizes=("simple",))
    assert seen["fault_errors"] == pytest.approx(seen["fault_injected"])
    assert seen["fault_errors"] > 0.2
    assert seen["fault_kinds"] == {"EndpointError": round(30 * seen["fault_errors"])}


def test_memory_is_read_while_all_are_under_way() -> None:
    with both(Fault("stall", at=range(WARM_UP, WARM_UP + 20), after=3)) as (engine, endpoint):
        seen = endpoint_memory(engine, endpoint, at_once=20, size="simple")
    assert seen["in_flight"] == 20
    assert seen["left_running"] == 0
    assert seen["bytes_per_request"] < 10 * 2**20


@pytest.mark.parametrize("bad", [{"sizes": ("giant",)}, {"sizes": ()}, {"at_once": (0,)}, {"at_once": ()}])
def test_what_cannot_be_measured_is_refused(bad: dict[str, Any]) -> None:
    with MockEndpoint() as endpoint, pytest.raises(InvalidSettings):
        endpoint_load(ScriptedEngine(), endpoint, **bad)


def test_too_few_files_are_told_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 256))
    with MockEndpoint() as endpoint, pytest.raises(InvalidSettings, match="ulimit -n 1100"):
        endpoint_memory(ScriptedEngine(), endpoint, at_once=500)
