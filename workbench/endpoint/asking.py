"""Small questions to a server besides completions: its models, its tokenizer, scores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from workbench.endpoint import failures
from workbench.endpoint.balancing import Instance
from workbench.endpoint.bodies import WHOLE_BYTES, read_some
from workbench.endpoint.retrying import Retryable
from workbench.errors import EndpointError, EngineError

_NO_BODY = object()


@dataclass(frozen=True, slots=True)
class Manner:
    """How a question is put.

    Attributes:
        timeout: of connecting and of silence.
        total_s: from the question to the end of the answer.
        model: its name, for messages.
    """

    timeout: httpx.Timeout
    total_s: float
    model: str


async def ask(
    http: httpx.AsyncClient, instances: Sequence[Instance], path: str, body: Any = _NO_BODY, *, manner: Manner
) -> Any:
    """The JSON a path answers with; a body is posted.

    Args:
        http: the client.
        instances: servers; the least loaded is asked.
        path: beginning with "/": from the server's root; else from its base address.
        body: JSON values.
        manner: how long, and for which model.

    Raises:
        EngineError: it was refused, or there is no answer.
    """
    instance = min(instances, key=lambda one: (not one.breaker.admits, one.running))
    url = instance.root + path if path.startswith("/") else f"{instance.url}/{path}"
    try:
        async with asyncio.timeout(manner.total_s):
            answer = await _exchange(http, instance, url, body, manner)
    except TimeoutError:
        reason = f"it took more than {manner.total_s:g} s"
        answer = failures.no_answer(reason, provider=instance.provider, url=instance.url)
    if isinstance(answer, Retryable):
        raise answer.error
    if isinstance(answer, EngineError):
        raise answer
    return answer


async def _twice_if_hung_up(
    http: httpx.AsyncClient, instance: Instance, url: str, body: Any, manner: Manner
) -> tuple[httpx.Response, bytes]:
    """The answer and its body. A question changes nothing at the server, so it may be put again.

    A server closes a kept connection when it has been idle for long enough; a request that is sent at that very moment
    finds nobody (RFC 9112, section 9.3.1).
    """
    content = {} if body is _NO_BODY else {"json": body}
    method = "POST" if content else "GET"
    for again in (True, False):
        try:
            async with http.stream(method, url, auth=instance.auth, timeout=manner.timeout, **content) as answer:
                return answer, await read_some(answer, WHOLE_BYTES)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            if not again:
                raise
    raise AssertionError("a question is put at most twice")  # pragma: no cover - the second time raises or returns


async def _exchange(http: httpx.AsyncClient, instance: Instance, url: str, body: Any, manner: Manner) -> Any:
    """The answer, or the error it means."""
    try:
        answer, told = await _twice_if_hung_up(http, instance, url, body, manner)
    except httpx.HTTPError as error:
        reason = instance.key.quote(f"{type(error).__name__}: {error}")
        return failures.no_answer(reason, provider=instance.provider, url=instance.url)
    if answer.status_code != 200:
        return failures.refusal(
            answer.status_code,
            answer.headers,
            told,
            provider=instance.provider,
            key=instance.key,
            model=manner.model,
            url=url,
        )
    try:
        return json.loads(told)
    except ValueError:
        return EndpointError(f"{url} answered with something that is no JSON.", provider=instance.provider.name)
