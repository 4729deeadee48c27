"""A call from its beginning to its end: limits, choice of a server, attempts, deadline, fallbacks."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import stamina

from workbench.endpoint.balancing import Instance, choose, refresh, usable
from workbench.endpoint.breaker import Passage
from workbench.endpoint.call import Call
from workbench.endpoint.client import Client
from workbench.endpoint.exchange import Parcel, exchange
from workbench.endpoint.limits import Gate
from workbench.endpoint.retrying import Retryable, RetryBudget, RetryPolicy
from workbench.endpoint.wire import Delta
from workbench.errors import (
    ConstraintUnmet,
    DeadlineExceeded,
    EndpointError,
    EndpointUnavailable,
    EngineError,
    RateLimited,
    StreamIncomplete,
    WorkbenchError,
)
from workbench.interfaces import Completion, Engine
from workbench.settings import EngineSettings

log = logging.getLogger("workbench.endpoint")
# stamina tells its own logger of every retry; where nobody has set up logging that must not end up on the screen.
logging.getLogger("stamina").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for every call of an engine.

    Attributes:
        name: of the model.
        settings: effective ones.
        deadline_s: from the request to its end; ``None``: none.
        policy: of retries.
        fallback: engines that are asked, in this order, when nothing was said yet and nothing will be.
    """

    name: str
    settings: EngineSettings
    deadline_s: float | None
    policy: RetryPolicy
    fallback: tuple[Engine, ...]


class Runner:
    """Runs the calls of one engine on the client's loop."""

    def __init__(
        self, client: Client, terms: Terms, instances: Sequence[Instance], gate: Gate, budget: RetryBudget
    ) -> None:
        self._client, self._terms, self._instances = client, terms, instances
        self._gate, self._budget = gate, budget

    async def run(self, call: Call, parcel: Parcel, done: Callable[[Completion | None], None]) -> None:
        """Settle the call's fate; ``done`` gets its completion, if it has one."""
        result = await self._fate(call, parcel)
        done(result if isinstance(result, Completion) else None)
        call.end(result)

    async def _fate(self, call: Call, parcel: Parcel) -> Completion | BaseException:
        terms = self._terms
        try:
            async with asyncio.timeout(terms.deadline_s) as limit:
                return await self._answer(call, parcel, limit)
        except TimeoutError:
            return DeadlineExceeded(call.text, terms.deadline_s or 0.0)
        except asyncio.CancelledError:
            if call.broken_off or not call.cancelled:
                return StreamIncomplete(call.text, call.broken_off or "the client was closed.")
            return call.finish(terms.name, terms.settings, cancelled=True)
        except Exception as error:
            return error

    async def _answer(self, call: Call, parcel: Parcel, limit: asyncio.Timeout) -> Completion:
        try:
            async with self._gate.place():
                await self._attempts(call, parcel, limit)
        except Retryable as failure:
            error: EndpointError = failure.error
        else:
            return _checked(call, call.finish(self._terms.name, self._terms.settings))
        return await self._fall_back(call, error)

    async def _attempts(self, call: Call, parcel: Parcel, limit: asyncio.Timeout) -> None:
        """Attempt after attempt, until one succeeds or there is no sense in another.

        Raises:
            Retryable: the last failure.
        """
        attempts = _Attempts(self._instances, self._terms.policy, self._budget, limit)
        most = self._terms.policy.attempts
        async for attempt in stamina.retry_context(on=attempts.wait_s, attempts=most, timeout=None):
            with attempt:
                await self._once(call, parcel, attempts)

    async def _once(self, call: Call, parcel: Parcel, attempts: _Attempts) -> None:
        self._instances[0].key.check()  # all have the same one
        refresh(self._instances, self._client.http)
        instance = await self._server(call, attempts)
        attempts.begin(instance)
        passage = instance.breaker.begin()
        instance.running += 1
        instance.served += 1
        try:
            # who waits for a trial need not wait for the end of its stream
            await exchange(self._client.http, instance, parcel, call, instance.answered if passage.trial else None)
            instance.answered()
        except Retryable as failure:
            _judge(instance, passage, failure, self._terms.policy)
            raise
        except StreamIncomplete:
            instance.failed(passage)
            raise
        except EngineError:  # refused: somebody is there and does as it should
            instance.answered()
            raise
        except asyncio.CancelledError:
            if attempts.was_kept_waiting(call):
                instance.failed(passage)
            raise
        finally:
            instance.running -= 1
            instance.breaker.forget(passage)

    async def _server(self, call: Call, attempts: _Attempts) -> Instance:
        """The server to ask at once. Who waits for the rate looks again before and after: servers change meanwhile."""
        if not self._gate.counts:
            return await attempts.pick()
        async with self._gate.turn():
            await attempts.pick()
            await self._gate.rate(call.estimate() + (call.request.max_tokens or 0))
            return await attempts.pick()

    async def _fall_back(self, call: Call, error: EndpointError) -> Completion:
        """Ask the fallbacks in their order; the first that begins to speak has the call.

        Raises:
            EndpointError: the first failure, if none of them can.
        """
        for engine in self._terms.fallback:
            try:
                return await _ask_other(engine, call)
            except WorkbenchError as failure:
                if call.began:
                    raise
                log.warning("fallback %s failed as well: %s", engine.name, failure)
        raise error


class _Attempts:
    """The attempts of one call: which servers it tried, and how long it waits before the next."""

    def __init__(
        self, instances: Sequence[Instance], policy: RetryPolicy, budget: RetryBudget, limit: asyncio.Timeout
    ) -> None:
        self._instances, self._policy, self._budget, self._limit = instances, policy, budget, limit
        self._tried: set[Instance] = set()
        self._number = 0
        self._last: EndpointError | None = None
        budget.earn()

    async def pick(self) -> Instance:
        """The server to ask now.

        Raises:
            EndpointUnavailable: every breaker is open; as the cause of a Retryable that is not retried.
            RateLimited: all of them want to be left alone beyond the deadline.
        """
        while (chosen := choose(self._instances, self._tried)) is None:
            waiting = usable(self._instances)
            if not waiting:
                raise Retryable(self._all_open(), struck=False, final=True)
            rest_s = min(one.resting_s for one in waiting)
            if rest_s > self._left_s():
                raise Retryable(self._resting(rest_s), struck=False, final=True)
            await asyncio.sleep(rest_s)
        return chosen

    def begin(self, instance: Instance) -> None:
        """An attempt there."""
        self._tried.add(instance)
        self._number += 1

    def was_kept_waiting(self, call: Call) -> bool:
        """Whether the deadline ended it without a token, and most of the time was the server's, not a queue's here."""
        if not self._limit.expired() or call.began or call.sent_at is None:
            return False
        return call.since_made_ms() > 2 * call.since_made_ms(call.sent_at)

    def wait_s(self, error: Exception) -> bool | float:
        """For stamina: seconds until the next attempt; False: there is none."""
        if not isinstance(error, Retryable) or error.final:
            return False
        self._last = error.error
        if self._number >= self._policy.attempts or not usable(self._instances):
            return False
        other = choose(self._instances)
        elsewhere = other is not None and other not in self._tried
        wait = 0.0 if elsewhere else self._policy.wait_s(self._number, error.error.retry_after)
        return wait if wait < self._left_s() and self._budget.spend() else False

    def _left_s(self) -> float:
        when = self._limit.when()
        return float("inf") if when is None else when - asyncio.get_running_loop().time()

    def _all_open(self) -> EndpointError:
        soonest = min(one.breaker.opens_in_s for one in self._instances)
        before = f" Last: {self._last}" if self._last else ""
        return EndpointUnavailable(
            f"Too much went wrong at {', '.join(one.url for one in self._instances)}; the circuit breaker is open for "
            f"another {soonest:.1f} s.{before} Look at the server, or give another one as fallback.",
            provider=self._instances[0].provider.name,
            retry_after=soonest,
        )

    def _resting(self, rest_s: float) -> EndpointError:
        return RateLimited(
            f"{self._instances[0].url} asks to be left alone for another {rest_s:.1f} s, longer than this request may "
            "take. Raise deadline_s, send fewer requests, or give another server as fallback.",
            provider=self._instances[0].provider.name,
            status=429,
            retry_after=rest_s,
        )


def _judge(instance: Instance, passage: Passage, failure: Retryable, policy: RetryPolicy) -> None:
    """What a failure says about the server."""
    if failure.struck:
        instance.healthy = False
        instance.failed(passage)
    else:
        instance.breaker.succeeded()
    if failure.error.retry_after is not None:
        instance.rest(min(failure.error.retry_after, policy.retry_after_max_s))


def _checked(call: Call, completion: Completion) -> Completion:
    """The completion, unless the cap cut a constrained output short.

    Raises:
        ConstraintUnmet: it did.
    """
    constrained = call.request.grammar is not None or call.request.json_schema is not None
    if constrained and completion.finish_reason == "length":
        raise ConstraintUnmet(completion.text, completion.timings.output_tokens)
    return completion


async def _ask_other(engine: Engine, call: Call) -> Completion:
    """Let another engine answer the call. Its times count from the call, its name and settings are its own."""
    call.sent()
    lost_ms = call.since_made_ms()
    stream = await asyncio.to_thread(engine.stream, call.request)
    try:
        while (chunk := await asyncio.to_thread(next, stream, None)) is not None:
            call.take(Delta(chunk.text, chunk.tokens, bool(chunk.text or chunk.tokens)), time.perf_counter())
    finally:
        stream.cancel()
    told = stream.completion
    late = dataclasses.replace(
        told.timings,
        queue_ms=told.timings.queue_ms + lost_ms,
        ttft_ms=None if told.timings.ttft_ms is None else told.timings.ttft_ms + lost_ms,
        total_ms=told.timings.total_ms + lost_ms,
    )
    return dataclasses.replace(told, timings=late)
