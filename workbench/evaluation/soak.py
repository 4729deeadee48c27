"""Endurance: very many requests, some cancelled, some refused, and what that does to memory."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from workbench.errors import ContextOverflow, InvalidSettings
from workbench.evaluation import workloads
from workbench.hardware import rss_bytes
from workbench.interfaces import Engine


def soak(
    engine: Engine,
    *,
    requests: int = 2000,
    at_once: int = 8,
    settle: int = 200,
    every: int = 25,
    seed: int = 1,
    note: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Put ``requests`` to an engine from ``at_once`` threads and watch resident memory.

    One in ten is cancelled in the middle, one in twenty abandoned, one in twenty too long for the context, one in
    twenty bad in itself; the others are streamed or completed, with prompts that partly share their beginnings.

    Args:
        engine: with a context fixed by ``n_ctx``.
        requests: how many in all.
        at_once: threads that ask.
        settle: requests after which memory has to stay flat.
        every: requests between two readings.
        seed: of what each request is.
        note: called with the number of requests done, at each reading.

    Returns:
        ``growth_bytes``: largest reading after ``settle`` less the median of the first readings after it;
        ``slope_bytes``: growth per 1,000 requests by least squares over them; ``rss``: (seconds, bytes) pairs;
        ``outcomes``: how many ended in which way.
    """
    n_ctx = engine.settings.n_ctx or 0
    trunks = [workloads.text_tokens(engine.tokenize, 96, seed=f"trunk {number}") for number in range(6)]
    outcomes: dict[str, int] = {}
    readings: list[tuple[int, float, int]] = []
    guard, started = threading.Lock(), time.perf_counter()

    def one(number: int) -> None:
        ended = _one(engine, number, seed, trunks, n_ctx)
        with guard:
            outcomes[ended] = outcomes.get(ended, 0) + 1
            done = sum(outcomes.values())
            if done % every == 0:
                readings.append((done, time.perf_counter() - started, rss_bytes()))
                note(done)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(requests)))
    rss = [(at_s, size) for _, at_s, size in readings]
    flatness = _flatness([(done, size) for done, _, size in readings], settle)
    return {**flatness, "rss": rss, "outcomes": dict(sorted(outcomes.items()))}


def _one(engine: Engine, number: int, seed: int, trunks: list[list[int]], n_ctx: int) -> str:
    """One request of the mix; returns how it ended."""
    draw = random.Random(f"{seed} {number}")  # noqa: S311 - a mix of requests
    kind, trunk = draw.random(), draw.choice(trunks)
    tail = workloads.text_tokens(engine.tokenize, draw.randrange(1, 48), seed=f"{seed} {number}")
    prompt = trunk[: draw.randrange(1, len(trunk))] + tail
    options: dict[str, Any] = {
        "max_tokens": draw.randrange(1, 40),
        "temperature": draw.choice((0.0, 0.8)),
        "seed": number,
    }
    if kind < 0.05:
        return _refused(engine, [trunk[0]] * (n_ctx + 1), ContextOverflow, **options)
    if kind < 0.1:
        return _refused(engine, prompt, InvalidSettings, **{**options, "top_p": 2.0})
    if kind < 0.25:
        stream = engine.stream(prompt, ignore_eos=True, **{**options, "max_tokens": 200})
        next(stream)
        if kind < 0.15:
            return "abandoned"
        stream.cancel()
        list(stream)
        return stream.completion.finish_reason
    if kind < 0.6:
        return engine.complete(prompt, **options).finish_reason
    stream = engine.stream(prompt, **options)
    list(stream)
    return stream.completion.finish_reason


def _refused(engine: Engine, prompt: list[int], expected: type[Exception], **options: Any) -> str:
    try:
        engine.complete(prompt, **options)
    except expected:
        return "refused"
    return "not refused"


def _flatness(readings: list[tuple[int, int]], settle: int) -> dict[str, float | None]:
    late = [(done, rss) for done, rss in readings if done >= settle]
    if len(late) < 2:
        return {"growth_bytes": None, "slope_bytes": None}
    done, rss = np.array(late, dtype=float).T
    start = float(np.median(rss[: max(1, len(rss) // 10)]))
    return {"growth_bytes": float(rss.max()) - start, "slope_bytes": 1e3 * float(np.polyfit(done, rss, 1)[0])}
