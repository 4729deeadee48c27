"""Rates and places."""

from __future__ import annotations

import asyncio
import time

import pytest

from workbench.endpoint.limits import Gate, Limits
from workbench.errors import InvalidSettings


def timed(gate, amounts):
    """When each of the requests passed, in seconds since the first could."""

    async def one(amount, passed, began):
        async with gate.turn():
            await gate.rate(amount)
        passed.append((time.perf_counter() - began, amount))

    async def run():
        passed, began = [], time.perf_counter()
        await asyncio.gather(*(one(amount, passed, began) for amount in amounts))
        return passed

    return asyncio.run(run())


def test_requests_a_minute():
    # a tenth of a minute's rate passes at once, the others one by one
    passed = [at for at, _ in timed(Gate(Limits(requests_per_minute=600), 10), [0] * 65)]
    assert passed[59] < 0.5 * passed[64]
    assert passed[64] >= 0.4, "5 beyond the first 60 take a tenth of a second each"


def test_tokens_a_minute_and_nobody_overtakes():
    passed = timed(Gate(Limits(tokens_per_minute=60_000), 10), [6000, 300, 1, 300])
    assert [amount for _, amount in passed] == [6000, 300, 1, 300], "first come, first served"
    assert passed[-1][0] >= 0.5, "601 tokens beyond the first 6,000, at 1,000 a second"


def test_a_request_larger_than_the_bucket_waits_instead_of_failing():
    (at, _), *_ = timed(Gate(Limits(tokens_per_minute=60_000), 10), [6500])
    assert at >= 0.4


def test_places_bound_what_is_under_way():
    async def run():
        gate, running, most = Gate(Limits(concurrency=3), 10), 0, 0

        async def one():
            nonlocal running, most
            async with gate.place():
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.001)
                running -= 1

        await asyncio.gather(*(one() for _ in range(20)))
        return most

    assert asyncio.run(run()) == 3


def test_a_place_is_given_back_when_its_request_is_cancelled():
    async def run():
        gate = Gate(Limits(concurrency=1), 10)

        async def hold():
            async with gate.place():
                await asyncio.sleep(60)

        holding = asyncio.create_task(hold())
        await asyncio.sleep(0.01)
        holding.cancel()
        async with asyncio.timeout(5), gate.place():
            return True

    assert asyncio.run(run())


@pytest.mark.parametrize("name", ["concurrency", "requests_per_minute", "tokens_per_minute"])
def test_a_limit_of_nothing_is_refused(name):
    with pytest.raises(InvalidSettings, match=name):
        Limits(**{name: 0})
    assert not Gate(Limits(), 5).counts
