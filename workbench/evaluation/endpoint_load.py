"""Load on an endpoint: many requests at once, through an engine and through bare httpx, on one mock, interleaved.

The mock should run in a process of its own and answer as fast as it can, so that what is compared is the client. Knows
the engine and the mock by what they can do only: both are handed in.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import itertools
import math
import random
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from workbench.errors import InvalidSettings
from workbench.evaluation.endpoint_clients import (
    LIMITS_MS,
    Ask,
    Heard,
    Run,
    put,
    put_one,
    summary,
    through_engine,
    through_httpx,
)
from workbench.evaluation.workloads import prose
from workbench.hardware import rss_bytes
from workbench.interfaces import Engine, Message

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
SIZES: Mapping[str, tuple[int, int]] = {"simple": (16, 8), "medium": (256, 64), "large": (1024, 128)}
"""Name → words of the prompt, tokens of the answer."""

WARM_UP = 4
"""Requests a client puts before anything is measured."""

AT_ONCE = (1, 5, 10, 20, 50, 100, 500)
DEFINITIONS: Mapping[str, str] = {
    "wall_ratio_500": "Σ time of the cells with the most at once through the engine / the same by bare httpx",
    "cpu_ratio_500": "the same with CPU time of the client's process, all threads",
    "p50_ms": "request to last text, in a closed loop",
    "ttft_p50_ms": "request to first text, queueing included",
    "tps": "Σ output tokens / wall",
    "goodput": f"requests/s that keep every limit: {dict(LIMITS_MS)}",
    "fault_answered": "share of requests that ended whole where the server answers some with a status 500",
    "bytes_per_request": "(resident memory with all under way - before) / requests",
}
"""Formulas in words, for the record."""

_FILES_BESIDES = 100
_DEADLINE_S = 120.0
_RELEASE_S = 30.0


class Seen(Protocol):
    """What a mock has seen so far; see :class:`workbench.testing.endpoint.service.Stats`."""

    requests: int
    running: int
    peak_running: int
    bytes_in: int
    bytes_out: int
    faults: dict[str, int]


class Mock(Protocol):
    """A server that counts: :class:`workbench.testing.MockEndpoint`, with :func:`long_answer` as its script."""

    @property
    def url(self) -> str:
        """Base URL."""

    @property
    def stats(self) -> Seen:
        """What it has seen so far."""


def endpoint_load(
    engine: Engine,
    mock: Mock,
    *,
    at_once: Sequence[int] = AT_ONCE,
    sizes: Sequence[str] = tuple(SIZES),
    least_requests: int = 20,
    seed: int = 0,
) -> dict[str, Any]:
    """Latency, throughput and overhead of a client, cell by cell of concurrency × size, nothing going wrong.

    In each cell the engine and bare ``httpx.AsyncClient`` put the same requests, one after the other in an order drawn
    by the seed. Closed loop: as many are under way as the cell says, until all are answered.

    Args:
        engine: of the mock's address.
        mock: where nothing goes wrong.
        at_once: requests under way.
        sizes: keys of :data:`SIZES`.
        least_requests: of a cell; at least as many as are under way.
        seed: of the order.

    Returns:
        ``{size}_{at_once}_{metric}``: ``wall_ratio`` and ``cpu_ratio`` (engine / bare: time for the cell; CPU time of
        this process), ``p50_ms``, ``p95_ms``, ``p99_ms`` (request to last text), ``ttft_p50_ms``, ``ttft_p99_ms``,
        ``tps`` (Σ output tokens / wall), ``goodput`` (requests/s within :data:`LIMITS_MS`), ``errors`` (share),
        ``retries``, ``bytes`` (in and out, a request); ``bare_{size}_{at_once}_…`` the same for httpx;
        ``wall_ratio_{most}`` and ``cpu_ratio_{most}``: over all sizes with the most at once; ``identical``: share of
        the engine's answers that equal httpx's.

    Raises:
        InvalidSettings: an unknown size, or this process may not open that many files.
    """
    _check(at_once, sizes)
    draw = random.Random(f"endpoint load {seed}")  # noqa: S311 - an order
    return _in_loop(_cells(engine, mock, list(itertools.product(at_once, sizes)), least_requests, draw))


def endpoint_faults(
    engine: Engine, mock: Mock, *, at_once: int = 500, sizes: Sequence[str] = tuple(SIZES)
) -> dict[str, Any]:
    """The same where a share of the requests is answered with an error status: what is left of it behind the client.

    Args:
        engine: of the mock's address.
        mock: with faults of kind "status" at some probability, and a latency that is long enough for all requests to
            be under way at the same time.
        at_once: requests under way, and requests of each size.
        sizes: keys of :data:`SIZES`.

    Returns:
        ``fault_answered`` (share of requests that ended whole, of ``fault_requests``), ``fault_errors`` (share that
        ended in an error) and ``fault_kinds`` (how many in which), ``fault_retries`` (requests sent again),
        ``fault_injected``: share of what the endpoint received that it refused, which is what a client without
        retries would hand on; ``fault_peak``, requests that the endpoint served at the same time.
    """
    _check([at_once], sizes)
    return _in_loop(_faulty(engine, mock, at_once, sizes))


def endpoint_memory(engine: Engine, mock: Mock, *, at_once: int = 500, size: str = "large") -> dict[str, Any]:
    """Resident memory that a request under way takes: all have their first text, none has ended.

    Call it first: memory that was freed before would hide what these requests take.

    Args:
        engine: of the mock's address.
        mock: stalls every answer after its first texts, but for the first :data:`WARM_UP` requests.
        at_once: requests under way.
        size: key of :data:`SIZES`.

    Returns:
        ``bytes_per_request``; ``in_flight``, requests that were; ``release_s``, time from cancelling all until the
        endpoint served none; ``left_running``, those it served still when that took too long.
    """
    _check([at_once], [size])
    return _in_loop(_held(engine, mock, at_once, size))


def long_answer() -> str:
    """What the mock should say: more than the longest cap, so that every answer ends by its cap."""
    return " ".join(itertools.islice(_words("answer"), 2 * max(tokens for _, tokens in SIZES.values())))


async def _cells(
    engine: Engine, mock: Mock, cells: list[tuple[int, str]], least: int, draw: random.Random
) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    same: list[bool] = []
    most, busiest = max(at_once for at_once, _ in cells), []
    async with _bare_client(most) as client:
        asks = {"": through_engine(engine), "bare_": through_httpx(client, mock.url)}
        await _warm_up(asks.values())
        for at_once, size in cells:
            runs = {}
            for who in draw.sample(sorted(asks), 2):
                runs[who] = await _run(asks[who], mock, size, at_once, max(least, at_once))
                metrics |= {f"{who}{size}_{at_once}_{name}": value for name, value in summary(runs[who]).items()}
            ours, bare = runs[""], runs["bare_"]
            metrics |= {f"{size}_{at_once}_{name}": value for name, value in _ratios([(ours, bare)]).items()}
            busiest += [(ours, bare)] if at_once == most else []
            same += [one.parts == other.parts for one, other in zip(ours.heard, bare.heard, strict=True)]
    over_all = {f"{name}_{most}": value for name, value in _ratios(busiest).items()}
    return {**metrics, **over_all, "identical": sum(same) / len(same)}


def _ratios(pairs: Sequence[tuple[Run, Run]]) -> dict[str, float]:
    """Engine / bare, in time and in CPU time."""
    return {
        "wall_ratio": sum(ours.wall_s for ours, _ in pairs) / sum(bare.wall_s for _, bare in pairs),
        "cpu_ratio": sum(ours.cpu_s for ours, _ in pairs) / sum(bare.cpu_s for _, bare in pairs),
    }


async def _faulty(engine: Engine, mock: Mock, at_once: int, sizes: Sequence[str]) -> dict[str, Any]:
    ask = through_engine(engine)
    await _warm_up([ask])
    before = mock.stats.faults.get("status", 0)
    runs = [await _run(ask, mock, size, at_once, at_once) for size in sizes]
    heard = [one for run in runs for one in run.heard]
    sent, after = sum(run.requests for run in runs), mock.stats
    return {
        "fault_requests": len(heard),
        "fault_answered": sum(not one.error for one in heard) / len(heard),
        "fault_errors": sum(bool(one.error) for one in heard) / len(heard),
        "fault_retries": sent - len(heard),
        "fault_injected": (after.faults.get("status", 0) - before) / sent,
        "fault_peak": after.peak_running,
        "fault_kinds": collections.Counter(one.error for one in heard if one.error),
    }


async def _held(engine: Engine, mock: Mock, at_once: int, size: str) -> dict[str, Any]:
    words, max_tokens = SIZES[size]
    await _warm_up([through_engine(engine)])
    prompts = [_prompt(words, number) for number in range(at_once)]
    gc.collect()
    before = rss_bytes()
    heard = [Heard(math.nan) for _ in prompts]
    ask = through_engine(engine)
    tasks = [
        asyncio.create_task(put_one(ask, prompt, max_tokens, one)) for prompt, one in zip(prompts, heard, strict=True)
    ]
    give_up = time.monotonic() + _DEADLINE_S
    while any(one.first is None and not one.error for one in heard) and time.monotonic() < give_up:
        await asyncio.sleep(0.05)
    taken = rss_bytes() - before
    in_flight = sum(one.first is not None and not one.error for one in heard)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = time.monotonic()
    while mock.stats.running and time.monotonic() < cancelled + _RELEASE_S:
        await asyncio.sleep(0.05)
    return {
        "bytes_per_request": taken / at_once,
        "in_flight": in_flight,
        "left_running": mock.stats.running,
        "release_s": time.monotonic() - cancelled,
    }


async def _run(ask: Ask, mock: Mock, size: str, at_once: int, requests: int) -> Run:
    words, max_tokens = SIZES[size]
    prompts = [_prompt(words, number) for number in range(requests)]
    gc.collect()
    before, cpu, began = mock.stats, time.process_time(), time.perf_counter()
    heard = await put(ask, prompts, max_tokens, at_once)
    wall_s, cpu_s, after = time.perf_counter() - began, time.process_time() - cpu, mock.stats
    return Run(
        heard,
        wall_s,
        cpu_s,
        after.requests - before.requests,
        after.bytes_in - before.bytes_in,
        after.bytes_out - before.bytes_out,
    )


async def _warm_up(asks: Iterable[Ask]) -> None:
    """What is thrown away: imports, the first connections."""
    for ask in asks:
        await put(ask, [_prompt(4, number) for number in range(WARM_UP)], 4, 2)


def _bare_client(at_once: int) -> httpx.AsyncClient:
    """The one from httpx as it does best: every connection kept."""
    import httpx

    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    return httpx.AsyncClient(limits=limits, timeout=_DEADLINE_S)


def _prompt(words: int, number: int) -> list[Message]:
    return [Message("user", " ".join(itertools.islice(_words(f"prompt {number}"), words)))]


def _words(seed: str) -> Iterator[str]:
    return (word for part in prose(seed) for word in part.split())


def _in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run it on a loop of its own: a notebook's thread has one that runs already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _check(at_once: Sequence[int], sizes: Sequence[str]) -> None:
    unknown = sorted(set(sizes) - set(SIZES))
    if unknown or not sizes or not at_once or min(at_once) < 1:
        raise InvalidSettings(f"Give sizes of {', '.join(SIZES)} and requests at once from 1; got {sizes}, {at_once}.")
    import resource  # POSIX

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = 2 * max(at_once) + _FILES_BESIDES  # the engine's connections and httpx's are kept at the same time
    if files != resource.RLIM_INFINITY and files < need:
        raise InvalidSettings(f"{need} open files are needed, {files} allowed. Run `ulimit -n {need}` first.")
