"""What a failed exchange means: an error of :mod:`workbench.errors`, and whether the request may be sent again.

Refusals that another try cannot mend are final. Those for want of money or quota (402, 429 "insufficient_quota")
leave it to the fallbacks, which have accounts of their own. A wrong key (401, 403) and a wrong model or address (404)
do not: a fallback that steps in would hide a mistake of configuration for good.

The errors made here carry no exception of the HTTP library: their tracebacks hold request objects, and with them keys.
"""

from __future__ import annotations

import json
import re
from typing import Any

from workbench.endpoint.providers import Provider
from workbench.endpoint.retrying import RETRIED, Retryable, parse_retry_after
from workbench.endpoint.secrets import Key
from workbench.endpoint.wire import error_text
from workbench.errors import (
    AuthenticationFailed,
    ContextOverflow,
    EndpointError,
    EndpointUnavailable,
    EngineError,
    RateLimited,
)

_OVERFLOW = re.compile(
    r"(?:context|model)[ _-](?:length|size|window)|context_length_exceeded|exceed_context", re.IGNORECASE
)
_HAVE = re.compile(
    r"(?:context length|model length|context size)(?: is| of)?(?: only)? \(?(\d[\d,]*)"
    r"|(\d[\d,]*)(?: tokens)? maximum context"
)
_NEED = re.compile(
    r"(?:requested|has|passed|contains|resulted in|request \(|\(length|is too large:) ?(?:about )?(\d[\d,]*)"
)
"""How OpenAI, vLLM, Mistral and llama-server word it. Several needs in one sentence (prompt and answer) add up."""
_NO_RETRY = re.compile(r"insufficient_quota|billing", re.IGNORECASE)


def refusal(
    status: int, headers: Any, body: bytes, *, provider: Provider, key: Key, model: str, url: str
) -> EngineError:
    """What an answer that is no success means."""
    said = key.quote(_words(body))
    name = provider.name
    if status in (401, 403):
        return AuthenticationFailed(f"{name} refused the key ({status}: {said}). {key.remedy}", **_data(name, status))
    overflow = _overflow(status, body, said)
    if overflow is not None:
        return overflow
    if status == 404:
        what = f"Is there a model {model!r}, and does base_url end where the API begins ({url})?"
        return EndpointError(f"{name} knows no such thing (404: {said}). {what}", **_data(name, status))
    if status == 402:
        unpaid = EndpointError(f"{name} wants to be paid (402: {said}). Look at the account.", **_data(name, status))
        return Retryable(unpaid, struck=False, final=True)
    if status not in RETRIED:
        return EndpointError(f"{name} refused the request ({status}: {said}).", **_data(name, status))
    retry_after = parse_retry_after(headers.get("retry-after"))
    if status == 429:
        limited = RateLimited(
            f"{name} asks for fewer requests (429: {said}). Lower limits=Limits(…), or send fewer at once.",
            **_data(name, status, retry_after),
        )
        return Retryable(limited, struck=False, final=_NO_RETRY.search(_head(body)) is not None)
    kind = EndpointUnavailable if status in (502, 503, 504, 529) else EndpointError
    failed = kind(f"{name} failed ({status}: {said}). Look at the server's log.", **_data(name, status, retry_after))
    return Retryable(failed, struck=status >= 500)


def no_answer(reason: str, *, provider: Provider, url: str) -> Retryable:
    """Nothing came back, or what came broke off before the first token."""
    message = f"{provider.name} at {url} does not answer: {reason}. Does the server run there?"
    return Retryable(EndpointUnavailable(message, provider=provider.name), struck=True)


def reported(said: str, status: int | None, *, provider: Provider, key: Key) -> EngineError:
    """An error event before the first token."""
    said = key.quote(said)
    overflow = _overflow(400, said.encode(), said) if status in (None, 400) else None
    if overflow is not None:
        return overflow
    error = EndpointError(f"{provider.name} reports: {said}", **_data(provider.name, status))
    return Retryable(error, struck=True) if status is None or status in RETRIED else error


def foreign(content_type: str, *, provider: Provider, url: str) -> EndpointError:
    """An answer that is neither a stream nor JSON."""
    return EndpointError(
        f"{url} answered with {content_type!r}, not with a stream of events. Does base_url end where the API begins "
        "(most often /v1), and is a proxy in between?",
        **_data(provider.name, 200),
    )


def _data(provider: str, status: int | None, retry_after: float | None = None) -> dict[str, Any]:
    return {"provider": provider, "status": status, "retry_after": retry_after}


def _words(body: bytes) -> str:
    try:
        return error_text(json.loads(body)) or "no reason given"
    except ValueError:
        text = body.decode("utf-8", "replace")
        return "a page of HTML" if text.lstrip()[:1] == "<" else text.rstrip() or "no reason given"


def _head(body: bytes) -> str:
    """The beginning of a body, with the words for machines beside those for people."""
    return body[:4096].decode("utf-8", "replace")


def _overflow(status: int, body: bytes, said: str) -> ContextOverflow | None:
    """Servers tell a prompt that is too long in words; llama-server adds the numbers by name.

    ``None``: it is something else, or the numbers are not plain from the words.
    """
    if status not in (400, 413, 500) or not _OVERFLOW.search(_head(body)):
        return None
    named = [re.search(rb'"%s":\s*(\d+)' % field, body) for field in (b"n_prompt_tokens", b"n_ctx")]
    if all(named):
        need, have = (int(found[1]) for found in named if found)
        return ContextOverflow(max(need, have + 1), have)
    need, have = sum(_numbers(_NEED, said)), next(iter(_numbers(_HAVE, said)), 0)
    return ContextOverflow(need, have) if need > have > 0 else None


def _numbers(pattern: re.Pattern[str], said: str) -> list[int]:
    """What the groups of a pattern find, of which one a time matches."""
    return [int(found[found.lastindex or 0].replace(",", "")) for found in pattern.finditer(said)]
