"""Connections to one origin, in several small pools: httpx's one large pool looks at each connection for each request.

With 500 connections that is most of what a client does (httpcore 1.0, ``_assign_requests_to_connections``).
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable

import httpx

from workbench.endpoint.providers import Provider

SHARD = 16
"""Connections in one of them."""


class ShardedPool:
    """Sends each request through the first small pool that has room, so that few connections serve a small load.

    Args:
        provider: says how many connections, and how long they are kept.
        context: for TLS.
        proxy: address of one; ``None``: none.
    """

    def __init__(self, provider: Provider, context: ssl.SSLContext, proxy: str | None) -> None:
        self._provider, self._context, self._proxy = provider, context, proxy
        self._shards: list[_Shard] = []

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The response, whose connection is free again when it is closed."""
        shard = next((one for one in self._shards if one.running < SHARD), None) or self._grow()
        return await shard.send(request)

    async def aclose(self) -> None:
        """Close every connection."""
        for shard in self._shards:
            await shard.transport.aclose()

    def _grow(self) -> _Shard:
        kept = max(0, min(SHARD, self._provider.keepalive - SHARD * len(self._shards)))
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=kept, keepalive_expiry=self._provider.keepalive_s
        )
        shard = _Shard(httpx.AsyncHTTPTransport(verify=self._context, proxy=self._proxy, limits=limits))
        self._shards.append(shard)
        return shard


class _Shard:
    """A small pool, and how many requests are under way in it."""

    def __init__(self, transport: httpx.AsyncHTTPTransport) -> None:
        self.transport = transport
        self.running = 0

    async def send(self, request: httpx.Request) -> httpx.Response:
        self.running += 1
        try:
            response = await self.transport.handle_async_request(request)
        except BaseException:
            self.running -= 1
            raise
        response.stream = _Watched(response.stream, self._ended)
        return response

    def _ended(self) -> None:
        self.running -= 1


class _Watched(httpx.AsyncByteStream):
    """A body that tells when it is closed."""

    def __init__(self, body: httpx.SyncByteStream | httpx.AsyncByteStream, closed: Callable[[], None]) -> None:
        assert isinstance(body, httpx.AsyncByteStream)  # noqa: S101 - an asynchronous transport made it
        self._body, self._closed, self._open = body, closed, True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.__aiter__()

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            if self._open:
                self._open = False
                self._closed()
