"""Where a mock endpoint runs: an event loop on a thread of its own, listening on a port that stays the same.

Knows threads and sockets; what is said on them is the service's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from workbench.testing.endpoint.connection import Connection
from workbench.testing.endpoint.service import MockService

T = TypeVar("T")
_BACKLOG = 1024


class LoopThread:
    """Listens for a service. Starts when made; every method may be called from any other thread."""

    def __init__(self, service: MockService, port: int = 0) -> None:
        self._service = service
        service.on_refuse = self._refuse
        self._loop = asyncio.new_event_loop()
        self._listener: socket.socket | None = None
        self._greetings: set[asyncio.Task[Any]] = set()
        self._return: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="mock-endpoint", daemon=True)
        self._thread.start()
        self.port = port
        self.listen()

    def listen(self) -> None:
        """Accept connections (again), on the same port."""
        self._run(self._listen())

    def refuse(self) -> None:
        """Accept no more connections; those that are open go on."""
        self._on_loop(self._stop_listening)

    def drop(self) -> None:
        """Reset every connection at once, whatever it does."""
        self._on_loop(self._drop)

    def close(self) -> None:
        """Close all and end the thread."""
        if not self._thread.is_alive():
            return
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Callable[[], T]) -> T:
        """Run ``work`` on the loop, where the service lives."""
        return self._on_loop(work)

    async def _listen(self) -> None:
        if self._listener is not None:
            return
        self._listener = listener = socket.create_server(("127.0.0.1", self.port), backlog=_BACKLOG)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._loop.add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Take in whoever waits.

        ``loop.create_server`` would do it, but loses sockets that it accepted just before it was closed (Python 3.11).
        """
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                client, _ = listener.accept()
                client.setblocking(False)
                greeting = self._loop.create_task(
                    self._loop.connect_accepted_socket(lambda: Connection(self._service), client)
                )
                self._greetings.add(greeting)
                greeting.add_done_callback(self._greetings.discard)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _refuse(self, seconds: float) -> None:
        """On the loop: as a server that restarts."""
        self._stop_listening()
        self._drop()
        self._return = self._loop.call_later(seconds, lambda: asyncio.ensure_future(self._listen(), loop=self._loop))

    def _drop(self) -> None:
        for connection in list(self._service.connections):
            connection.reset()

    async def _close(self) -> None:
        if self._return is not None:
            self._return.cancel()
        self._stop_listening()
        # Tasks end by themselves once their connections are gone; one that was just being accepted has none yet.
        while self._service.connections or len(asyncio.all_tasks()) > 1:
            self._drop()
            await asyncio.sleep(0)
        await asyncio.get_running_loop().shutdown_asyncgens()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _on_loop(self, work: Callable[[], T]) -> T:
        async def call() -> T:
            return work()

        return self._run(call())
