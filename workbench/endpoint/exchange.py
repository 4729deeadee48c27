"""One attempt: a request goes out, events come back into its call. What follows a failure is decided elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx

from workbench.endpoint import failures
from workbench.endpoint.balancing import Instance
from workbench.endpoint.bodies import ERROR_BYTES, WHOLE_BYTES, read_some
from workbench.endpoint.call import Call
from workbench.endpoint.sse import EventReader, EventTooLarge
from workbench.endpoint.wire import BadEvent, ServerError, read_event
from workbench.errors import EngineError, StreamIncomplete

_HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
_DONE = b"[DONE]"
_DRAIN_S = 0.25


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent, the same at every attempt.

    Attributes:
        model: its name, for messages.
        chat: it goes to the chat endpoint.
        body: JSON.
        timeout: of connecting, and of silence between bytes.
    """

    model: str
    chat: bool
    body: bytes
    timeout: httpx.Timeout


async def exchange(
    http: httpx.AsyncClient, instance: Instance, parcel: Parcel, call: Call, speaks: Callable[[], None] | None
) -> None:
    """Send, and read the answer to its end. ``speaks`` is called at the first token.

    Raises:
        Retryable: it failed before the first token, in a way that may pass.
        StreamIncomplete: it broke off after the first token.
        EngineError: it was refused.
    """
    problem = await _attempt(http, instance, parcel, call, speaks)
    if problem is not None:  # raised here, where the library's exception is not its context
        raise problem
    call.reason = instance.key.quote(call.reason or "")  # one that nobody has heard of is shown


async def _attempt(
    http: httpx.AsyncClient, instance: Instance, parcel: Parcel, call: Call, speaks: Callable[[], None] | None
) -> EngineError | None:
    """What went wrong; ``None``: nothing."""
    url = instance.chat if parcel.chat else instance.completions
    request = http.build_request("POST", url, content=parcel.body, headers=_HEADERS, timeout=parcel.timeout)
    call.sent(speaks)
    try:
        response = await http.send(request, auth=instance.auth, stream=True)
        try:
            return await _receive(response, instance, parcel, call)
        finally:
            await response.aclose()
    except httpx.TimeoutException as error:
        return _broke(f"no sign of it for too long ({type(error).__name__})", instance, call)
    except (httpx.HTTPError, httpx.StreamError) as error:
        return _broke(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, instance, call)
    except (BadEvent, EventTooLarge) as error:
        return _broke(str(error), instance, call)
    except ServerError as error:
        return _reported(error, instance, call)


async def _receive(response: httpx.Response, instance: Instance, parcel: Parcel, call: Call) -> EngineError | None:
    if response.status_code != 200:
        body = await read_some(response, ERROR_BYTES)
        return failures.refusal(
            response.status_code,
            response.headers,
            body,
            provider=instance.provider,
            key=instance.key,
            model=parcel.model,
            url=instance.url,
        )
    kind = response.headers.get("content-type", "text/event-stream").partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return await _read_stream(response, instance, call)
    if kind == "application/json":
        return await _read_whole(response, instance, call)
    return failures.foreign(instance.key.quote(kind), provider=instance.provider, url=instance.url)


async def _read_stream(response: httpx.Response, instance: Instance, call: Call) -> EngineError | None:
    reader, chunks, done = EventReader(), response.aiter_bytes(), False
    async for chunk in chunks:
        done = _take(reader.feed(chunk), call, time.perf_counter())
        if done:
            await _drain(chunks)
            break
    done = done or _take(reader.finish(), call, time.perf_counter())
    if call.reason is None:
        return _broke("the stream ended without a finish_reason", instance, call)
    if not done and instance.provider.sends_done:
        return _broke("the stream ended without [DONE]", instance, call)
    return None


def _take(events: list[bytes], call: Call, at: float) -> bool:
    """Put events into the call. True: the stream says that it is done."""
    for data in events:
        if data == _DONE:
            return True
        call.take(read_event(data), at)
    return False


async def _read_whole(response: httpx.Response, instance: Instance, call: Call) -> EngineError | None:
    """A server that does not stream."""
    call.take(read_event(await read_some(response, WHOLE_BYTES)), time.perf_counter())
    if call.reason is None:
        return _broke("the answer has no finish_reason", instance, call)
    return None


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read to the end of the body, so that the connection can be used again; a server may leave it open, though."""
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in chunks:
                pass


def _broke(reason: str, instance: Instance, call: Call) -> EngineError:
    """The connection, or what came over it, is broken."""
    if call.began:
        reason = f"{instance.provider.name} at {instance.url}: {instance.key.quote(reason)}. Send the request again."
        return StreamIncomplete(call.text, reason)
    return failures.no_answer(instance.key.quote(reason), provider=instance.provider, url=instance.url)


def _reported(error: ServerError, instance: Instance, call: Call) -> EngineError:
    if call.began:
        return StreamIncomplete(call.text, f"{instance.provider.name} reports: {instance.key.quote(str(error))}")
    return failures.reported(str(error), error.status, provider=instance.provider, key=instance.key)
