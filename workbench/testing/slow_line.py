"""A line with a distance: passes bytes to a local server and back, each way half a round trip late.

A stand-in for a network. What connecting costs is waited for here, because the kernel accepts at once: one round trip
for TCP, another for TLS 1.3 (RFC 8446, 2). Knows neither HTTP nor encryption; a handshake's own computing is not in it,
nor are losses and limits of bandwidth.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from workbench.errors import InvalidSettings

T = TypeVar("T")
_CHUNK = 65_536


class SlowLine:
    """Listens on 127.0.0.1 from when it is made until :meth:`close`; a context manager.

    >>> with MockEndpoint("Hello!") as endpoint, SlowLine(endpoint.url, rtt_ms=20) as line:   # doctest: +SKIP
    ...     wb.load("mock", engine="endpoint", base_url=line.url)

    Args:
        url: of the server at the other end, as ``http://127.0.0.1:8000/v1``.
        rtt_ms: a round trip.
        setup_round_trips: what a new connection costs before its first byte.

    Attributes:
        url: of this end.

    Raises:
        InvalidSettings: a negative time, or an address without a port.
    """

    def __init__(self, url: str, *, rtt_ms: float, setup_round_trips: int = 1) -> None:
        if rtt_ms < 0 or setup_round_trips < 0:
            raise InvalidSettings(f"Times are 0 or more, not {rtt_ms} and {setup_round_trips}.")
        from httpx import URL

        far = URL(url)
        if far.port is None:
            raise InvalidSettings(f"{url} names no port. Give one, as in http://127.0.0.1:8000/v1.")
        self._host, self._port = far.host, far.port
        self._half_s, self._setup_s = rtt_ms / 2e3, setup_round_trips * rtt_ms / 1e3
        self._connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow-line", daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = str(far.copy_with(host="127.0.0.1", port=self._server.sockets[0].getsockname()[1]))

    @property
    def connections(self) -> int:
        """How many were opened so far."""
        return self._connections

    def close(self) -> None:
        """Hang up. Idempotent."""
        if not self._thread.is_alive():
            return
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        self._connections += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.sleep(self._setup_s)
            far_in, far_out = await asyncio.open_connection(self._host, self._port)
            try:
                # whichever side hangs up first ends both ways
                ways = [asyncio.create_task(self._pass(*way)) for way in ((near_in, far_out), (far_in, near_out))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
            finally:
                far_out.close()
        near_out.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Bytes in their order, each as late as the line is long, however close they follow each other."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        reader = asyncio.create_task(self._read(source, under_way))
        try:
            while True:
                due, data = await under_way.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if not data:
                    return
                sink.write(data)
                await sink.drain()
        finally:
            reader.cancel()

    async def _read(self, source: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = b"first"
        while data:
            try:
                data = await source.read(_CHUNK)
            except OSError:  # reset: the other side is told as at an end
                data = b""
            under_way.put_nowait((self._loop.time() + self._half_s, data))

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
