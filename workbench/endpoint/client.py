"""The process's one HTTP client: an event loop on a thread of its own, and one pool of connections for all engines.

A forked child gets its own: sockets and loops must not be shared between processes.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import ssl
import threading
import urllib.request
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx

from workbench.endpoint.balancing import Instance
from workbench.endpoint.limits import Gate, Limits
from workbench.endpoint.pooling import ShardedPool
from workbench.endpoint.providers import Provider
from workbench.endpoint.retrying import RetryBudget, RetryPolicy

T = TypeVar("T")
_Origin = tuple[str, str, int | None]

_STOP_DEADLINE_S = 2.0


class _Pools(httpx.AsyncBaseTransport):
    """The connections to each origin, with the limits and keep-alive of its provider."""

    def __init__(self) -> None:
        self._pools: dict[_Origin, ShardedPool] = {}
        self._tls: ssl.SSLContext | None = None

    def prepare(self, url: httpx.URL, provider: Provider) -> None:
        """Make a pool for an origin. The first provider that names an origin decides."""
        origin = (url.scheme, url.host, url.port)
        if origin not in self._pools:
            self._pools[origin] = ShardedPool(provider, self._context(url.scheme), _proxy_for(url))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send through the origin's pool."""
        url = request.url
        return await self._pools[url.scheme, url.host, url.port].send(request)

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()

    def _context(self, scheme: str) -> ssl.SSLContext:
        if scheme == "http":  # never used; loading the authorities takes 20 ms and a megabyte
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls


def _proxy_for(url: httpx.URL) -> str | None:
    """The proxy the environment names for an address (``HTTPS_PROXY``, ``NO_PROXY``)."""
    if urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(url.scheme) or proxies.get("all")


class Client:
    """The loop, its thread, the pool, and what engines share: instances and gates.

    Attributes:
        loop: runs on the thread "workbench endpoint".
        http: the one client.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._pools = _Pools()
        self.http = httpx.AsyncClient(transport=self._pools, follow_redirects=False, trust_env=False)
        self._instances: dict[tuple[str, ...], Instance] = {}
        self._gates: dict[tuple[Any, ...], Gate] = {}
        self._budgets: dict[tuple[Any, ...], RetryBudget] = {}
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self.loop.run_forever, name="workbench endpoint", daemon=True)
        self._thread.start()

    def instance(self, wanted: Instance) -> Instance:
        """The one object for a server that all engines of the process share: its load and its breaker."""
        with self._guard:
            known = self._instances.setdefault(wanted.identity, wanted)
            self._pools.prepare(known.base, known.provider)
            return known

    def gate(
        self, provider: Provider, account: tuple[Any, ...], limits: Limits, policy: RetryPolicy
    ) -> tuple[Gate, RetryBudget]:
        """What engines with the same provider, addresses and key share: a gate if limits, a budget if retries agree."""
        account = (provider.name, *account)
        with self._guard:
            if (account, limits) not in self._gates:
                self._gates[account, limits] = Gate(limits, provider.connections)
            if (account, policy) not in self._budgets:
                self._budgets[account, policy] = RetryBudget(policy)
            return self._gates[account, limits], self._budgets[account, policy]

    def spawn(
        self, work: Callable[[], Coroutine[Any, Any, None]], started: Callable[[asyncio.Task[None]], None]
    ) -> None:
        """Start a task on the loop, from any thread."""
        self.loop.call_soon_threadsafe(lambda: started(self.loop.create_task(work())))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the loop and wait, from any other thread."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the loop and close every connection. Idempotent."""
        if self.pid != os.getpid() or self.loop.is_closed():
            return
        ending = asyncio.run_coroutine_threadsafe(self._wind_up(), self.loop)
        try:
            ending.result(_STOP_DEADLINE_S)
        except concurrent.futures.TimeoutError:
            return  # the thread is a daemon: it goes with the process
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_STOP_DEADLINE_S)
        if not self._thread.is_alive():
            self.loop.close()

    async def _wind_up(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.http.aclose()


_CLIENT: Client | None = None
_GUARD = threading.Lock()


def client() -> Client:
    """This process's client; made at the first call."""
    global _CLIENT
    with _GUARD:
        if _CLIENT is None or _CLIENT.pid != os.getpid() or _CLIENT.loop.is_closed():
            _CLIENT = Client()
        return _CLIENT


def close_client() -> None:
    """Close the process's connections; the next request opens new ones."""
    global _CLIENT
    with _GUARD:
        gone, _CLIENT = _CLIENT, None
    if gone is not None:
        gone.close()


def _forget() -> None:
    """In a forked child: the parent's client and its lock are the parent's."""
    global _CLIENT, _GUARD
    _CLIENT, _GUARD = None, threading.Lock()


atexit.register(close_client)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
