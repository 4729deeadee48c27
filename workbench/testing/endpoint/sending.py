"""How an answer goes out, and how it breaks where a fault says so.

Knows HTTP (through h11) and how to violate it; what is answered and which faults are due, it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11

from workbench.testing.endpoint.events import DONE, cut_in_character, encoded, manner
from workbench.testing.endpoint.faults import Fault, Met

_JSON = "application/json"
_SSE = "text/event-stream"
_PAGE = b"<html><head><title>Sign in</title></head><body>Sign in to the network first.</body></html>"
_BREAKS = ("stall", "drip", "half_close", "reset", "bad_chunk", "error_event")
"""Faults that end an answer in its middle; where several are due, the first of these happens."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answers.

    Attributes:
        status: HTTP status.
        body: JSON of an answer in one piece.
        events: of a stream, each to be sent when it comes; in place of ``body``.
    """

    status: int = 200
    body: Any = None
    events: AsyncIterator[dict[str, Any]] | None = None


class Broken(Exception):
    """The answer ended where a fault wanted it to; the connection serves no other request."""


class Sender:
    """Sends the answers of one connection.

    Args:
        transport: of the connection.
        http: its state.

    Attributes:
        room: set while the client takes what is sent.
        unframed: the answer ends where the connection does.
    """

    def __init__(self, transport: asyncio.Transport, http: h11.Connection) -> None:
        self._transport, self._http = transport, http
        self.room = asyncio.Event()
        self.room.set()
        self.unframed = False
        self._sent = 0

    def taken_bytes(self) -> int:
        """Bytes sent since this was last asked."""
        sent, self._sent = self._sent, 0
        return sent

    # -- answers ------------------------------------------------------------------------------------------------------

    async def status(self, fault: Fault) -> None:
        """An error, as ordered."""
        headers = dict(fault.headers)
        if fault.retry_after is not None:
            headers["Retry-After"] = fault.retry_after
        words = fault.message or f"{HTTPStatus(fault.status).phrase}, as ordered"
        body = {"error": {"message": words, "type": "mock_error", "code": fault.status}}
        await self._send_whole(fault.status, json.dumps(body).encode(), headers)

    async def _send_whole(
        self, status: int, body: bytes, headers: dict[str, str], *, content_type: str = _JSON
    ) -> None:
        self._head(status, {"Content-Type": content_type, "Content-Length": str(len(body)), **headers})
        await self._data(body)
        self._end()

    async def page(self) -> None:
        """A page of HTML, as a captive portal sends it in place of anything."""
        await self._send_whole(200, _PAGE, {}, content_type="text/html")

    async def reply(self, reply: Reply, met: Met) -> None:
        """An answer, with what is wrong with it.

        Raises:
            Broken: it broke off.
        """
        if reply.events is not None:
            await self._send_events(reply.events, met)
            return
        body = json.dumps(reply.body, ensure_ascii=False).encode()
        if "garbage" in met:
            body = body[: len(body) // 2] + b"}{"
        if "error_event" in met:
            body = json.dumps(_error(met["error_event"])).encode()
        fault = _break_of(met)
        if fault is None or fault.kind == "error_event":
            await self._send_whole(reply.status, body, {})
        else:
            await self._send_broken(reply.status, body, fault)

    async def _send_broken(self, status: int, body: bytes, fault: Fault) -> None:
        """An answer in one piece that breaks after ``after`` quarters."""
        sent = min(len(body) - 1, len(body) * fault.after // 4)
        if fault.kind == "bad_chunk":
            self._head(status, {"Content-Type": _JSON, "Transfer-Encoding": "chunked"})
        else:
            self._head(status, {"Content-Type": _JSON, "Content-Length": str(len(body))})
        await self._data(body[:sent])
        await self._break(fault, body[sent:])

    async def _send_events(self, events: AsyncIterator[dict[str, Any]], met: Met) -> None:
        fault, number = _break_of(met), 0
        self._head(200, {"Content-Type": _SSE, "Cache-Control": "no-cache"}, close=_unframed(fault, met))
        async for event in events:
            data = encoded(event, met)
            if fault is not None and number >= fault.after and _can_cut(fault, data):
                await self._break(fault, data)
                return
            for kind in ("garbage", "huge"):
                if kind in met and number == met[kind].after:
                    await self._write(_intruder(met[kind], event, met), met)
            await self._write(data, met)
            number += 1
        if fault is not None:  # the answer was over sooner
            await self._break(fault, manner(DONE, met))
        if "no_done" not in met:
            await self._write(manner(DONE, met), met)
        self._end()

    async def _write(self, data: bytes, met: Met) -> None:
        if "pieces" not in met:
            await self._data(data)
            return
        for place in range(len(data)):
            await self._data(data[place : place + 1])
            await asyncio.sleep(0)

    # -- how answers break --------------------------------------------------------------------------------------------

    async def _break(self, fault: Fault, rest: bytes) -> None:
        """End an answer in its middle; ``rest``: what would have come next.

        Raises:
            Broken: always, but for an error in the stream, which ends in good order.
        """
        if fault.kind == "error_event":
            await self._data(b"data: " + json.dumps(_error(fault)).encode() + b"\n\n" + DONE)
            self._end()
            return
        if fault.kind == "stall":
            await asyncio.sleep(fault.seconds or math.inf)
        elif fault.kind == "drip":
            await self._drip(rest, fault.seconds)
        elif fault.kind == "reset":
            self.reset()
        elif fault.kind == "bad_chunk":
            self._send(b"zz\r\nno chunk\r\n")
            self._transport.close()
        else:
            await self._half_close(rest, fault)
        raise Broken

    async def _drip(self, rest: bytes, seconds: float) -> None:
        if not rest.startswith(b"data:"):
            rest = b" "  # white space between the parts of one JSON body never ends either
        while True:
            for place in range(len(rest)):
                await self._data(rest[place : place + 1])
                await asyncio.sleep(seconds)

    async def _half_close(self, rest: bytes, fault: Fault) -> None:
        """FIN after a part of ``rest``; goes on reading until the client closes."""
        within = cut_in_character(rest) if fault.cut == "character" else len(rest) // 2
        await self._data(rest[: 0 if fault.cut == "between" else within])
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        await asyncio.sleep(math.inf)

    def reset(self) -> None:
        """RST in place of FIN: closing with a linger of zero seconds."""
        connection: socket.socket = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    # -- bytes --------------------------------------------------------------------------------------------------------

    def _head(self, status: int, headers: dict[str, str], *, close: bool = False) -> None:
        self.unframed = close
        reason = HTTPStatus(status).phrase.encode()
        if close:  # by hand: h11 would chunk
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self._send(b"HTTP/1.1 200 OK\r\n" + lines.encode() + b"Connection: close\r\n\r\n")
            return
        self._emit(h11.Response(status_code=status, reason=reason, headers=list(headers.items())))

    async def _data(self, data: bytes) -> None:
        if data and self.unframed:
            self._send(data)
        elif data:
            self._emit(h11.Data(data=data))
        await self.room.wait()

    def _end(self) -> None:
        if not self.unframed:
            self._emit(h11.EndOfMessage())

    def _emit(self, event: h11.Event) -> None:
        self._send(self._http.send(event) or b"")

    def _send(self, data: bytes) -> None:
        self._sent += len(data)
        if data:
            self._transport.write(data)


def _break_of(met: Met) -> Fault | None:
    return next((met[kind] for kind in _BREAKS if kind in met), None)


def _unframed(fault: Fault | None, met: Met) -> bool:
    faults = [fault, met.get("no_done"), met.get("no_finish")]
    return any(fault is not None and fault.framing == "close" for fault in faults)


def _can_cut(fault: Fault, data: bytes) -> bool:
    return fault.kind != "half_close" or fault.cut != "character" or cut_in_character(data) is not None


def _error(fault: Fault) -> dict[str, Any]:
    words = fault.message or "The model gave up, as ordered."
    return {"error": {"message": words, "type": "server_error", "code": 500}}


def _intruder(fault: Fault, event: dict[str, Any], met: Met) -> bytes:
    """An event that does not belong: no JSON, or far too long."""
    if fault.kind == "garbage":
        return manner(b'data: {"choices": [{"delta": {"cont\n\n', met)
    choice = dict(event["choices"][0]) if event["choices"] else {"index": 0, "finish_reason": None}
    text = "x" * fault.size
    choice.update({"delta": {"content": text}} if "chunk" in event["object"] else {"text": text})
    return encoded({**event, "choices": [choice]}, met)
