"""Requests put to a client, many at once: through an engine, or by hand through httpx; and what they took.

Knows the engine by its protocol only, and nothing of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.interfaces import Engine, Message

if TYPE_CHECKING:
    import httpx

Ask = Callable[[Sequence[Message], int], AsyncIterator[str]]
"""Puts one request: messages and the cap on the answer's tokens in, texts as they come out."""

LIMITS_MS: Mapping[str, float] = {"ttft_ms": 1_000.0, "e2e_ms": 10_000.0}
"""What a request has to keep to count towards goodput."""


@dataclass(slots=True)
class Heard:
    """One request, as its sender saw it; times in seconds of one monotonic clock.

    Attributes:
        began: when it was put.
        first: when the first text came; ``None``: none did.
        ended: when the last did, or the error.
        parts: texts that came.
        error: name of the error's class; empty: none.
    """

    began: float
    first: float | None = None
    ended: float = math.nan
    parts: list[str] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Requests put to one client.

    Attributes:
        heard: each of them.
        wall_s: from the first to the end of the last.
        cpu_s: this process's CPU time over that, all threads.
        requests: what the endpoint saw of them: more than were put where the client tried again.
        bytes_in: bodies the endpoint received.
        bytes_out: bytes it sent.
    """

    heard: list[Heard]
    wall_s: float
    cpu_s: float
    requests: int
    bytes_in: int
    bytes_out: int


def through_engine(engine: Engine) -> Ask:
    """Requests through an engine, greedy."""

    async def ask(messages: Sequence[Message], max_tokens: int) -> AsyncIterator[str]:
        async for chunk in engine.astream(list(messages), max_tokens=max_tokens, temperature=0.0):
            if chunk.text:
                yield chunk.text

    return ask


def through_httpx(client: httpx.AsyncClient, url: str) -> Ask:
    """Requests by hand: what anybody has to do at the least, which is to split lines and read each event's JSON."""

    async def ask(messages: Sequence[Message], max_tokens: int) -> AsyncIterator[str]:
        body = {
            "model": "mock",
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    for choice in json.loads(line[6:])["choices"]:
                        if text := choice["delta"].get("content"):
                            yield text

    return ask


async def put(ask: Ask, prompts: Sequence[Sequence[Message]], max_tokens: int, at_once: int) -> list[Heard]:
    """All prompts, ``at_once`` under way; in their order, errors noted and not raised."""
    heard = [Heard(math.nan) for _ in prompts]
    waiting = iter(zip(prompts, heard, strict=True))

    async def work() -> None:
        for prompt, one in waiting:  # shared: whoever is free takes the next
            await put_one(ask, prompt, max_tokens, one)

    await asyncio.gather(*(work() for _ in range(min(at_once, len(heard)))))
    return heard


async def put_one(ask: Ask, prompt: Sequence[Message], max_tokens: int, one: Heard) -> None:
    """Put one request and note what comes, errors included."""
    one.began = time.perf_counter()
    try:
        async with contextlib.aclosing(ask(prompt, max_tokens)) as texts:  # type: ignore[type-var]
            async for text in texts:
                if one.first is None:
                    one.first = time.perf_counter()
                one.parts.append(text)
    except Exception as error:  # whatever went wrong is what is measured
        one.error = type(error).__name__
    one.ended = time.perf_counter()


def summary(run: Run) -> dict[str, float | None]:
    """The numbers of a run, see :func:`endpoint_load`; ``None`` where nothing was answered."""
    whole = [one for one in run.heard if not one.error and one.first is not None]
    e2e = [1e3 * (one.ended - one.began) for one in whole]
    ttft = [1e3 * (one.first - one.began) for one in whole if one.first is not None]
    kept = sum(e <= LIMITS_MS["e2e_ms"] and t <= LIMITS_MS["ttft_ms"] for e, t in zip(e2e, ttft, strict=True))
    asked = len(run.heard)
    return {
        **{f"p{rank}_ms": _percentile(e2e, rank) for rank in (50, 95, 99)},
        **{f"ttft_p{rank}_ms": _percentile(ttft, rank) for rank in (50, 99)},
        "tps": sum(len(one.parts) for one in whole) / run.wall_s,
        "goodput": kept / run.wall_s,
        "errors": sum(bool(one.error) for one in run.heard) / asked,
        "retries": run.requests - asked,
        "bytes": (run.bytes_in + run.bytes_out) / asked,
    }


def _percentile(values: Sequence[float], rank: float) -> float | None:
    return float(np.percentile(values, rank)) if values else None
