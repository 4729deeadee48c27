"""One connection to the mock endpoint: requests come in, are handed on and answered one after the other.

Knows HTTP (through h11); what is answered comes from the :class:`Service` it is given, how from :mod:`.sending`.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

import h11

from workbench.testing.endpoint.faults import Met
from workbench.testing.endpoint.sending import Broken, Reply, Sender


class Service(Protocol):
    """What a connection asks of the endpoint behind it."""

    def opened(self, connection: Connection) -> None:
        """A client has connected."""

    def closed(self, connection: Connection) -> None:
        """It has gone."""

    def asked(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Met:
        """A request has come in whole; gives the faults it meets."""

    async def reply(self, method: str, path: str, headers: dict[str, str], body: bytes, met: Met) -> Reply:
        """The answer to it."""

    def answered(self, *, whole: bool, sent_bytes: int) -> None:
        """The answer is out, or was broken off."""

    def refuse(self, seconds: float) -> None:
        """Refuse new connections for a while."""


class Connection(asyncio.Protocol):
    """Serves requests one after the other, until one breaks or the client goes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._sender: Sender

    # -- what asyncio calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP server makes no other
        self._transport = transport
        # asyncio does so itself only for sockets that were made with a protocol number
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sender = Sender(transport, self._http)
        self._service.opened(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """It has gone: whoever still answers stops."""
        self._sender.room.set()
        if self._task is not None:
            self._task.cancel()
        self._service.closed(self)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._sender.room.clear()

    def resume_writing(self) -> None:
        """It reads again."""
        self._sender.room.set()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self._http.receive_data(data)
        self._advance()

    def reset(self) -> None:
        """Break off, whatever is running."""
        self._sender.reset()

    # -- requests -----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Go through what has come in, up to a whole request."""
        while self._task is None or self._task.done():
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                self._transport.close()
                return
            if isinstance(event, h11.Request):
                self._request, self._body = event, bytearray()
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._task = asyncio.get_running_loop().create_task(self._serve())
            elif isinstance(event, h11.ConnectionClosed):
                self._transport.close()
                return
            else:  # NEED_DATA, PAUSED
                return

    async def _serve(self) -> None:
        request = self._request
        assert request is not None  # noqa: S101 - a message ended, so one has begun
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        asked = request.method.decode(), request.target.decode(), headers, bytes(self._body)
        met = self._service.asked(*asked)
        whole = False
        try:
            await self._answer(asked, met)
            whole = True
        except Broken:
            return
        finally:
            self._service.answered(whole=whole, sent_bytes=self._sender.taken_bytes())
        await self._next_request(met)

    async def _next_request(self, met: Met) -> None:
        if self._sender.unframed:
            self._transport.close()
        elif "close_idle" in met:
            await asyncio.sleep(met["close_idle"].seconds)
            self._transport.close()
        elif self._http.our_state is h11.MUST_CLOSE:
            self._transport.close()
        else:
            self._http.start_next_cycle()
            self._task = None
            self._advance()

    async def _answer(self, asked: tuple[str, str, dict[str, str], bytes], met: Met) -> None:
        if "slow" in met:
            await asyncio.sleep(met["slow"].seconds)
        if "refuse" in met:
            self._service.refuse(met["refuse"].seconds)
            raise Broken
        if "status" in met:
            await self._sender.status(met["status"])
        elif "content_type" in met:
            await self._sender.page()
        else:
            await self._sender.reply(await self._service.reply(*asked, met), met)
