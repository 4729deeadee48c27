"""Bodies of answers, read up to a bound: a server may send for ever."""

from __future__ import annotations

import httpx

ERROR_BYTES = 65_536
WHOLE_BYTES = 64 * 2**20
"""An answer larger than this is no answer of a model."""


async def read_some(response: httpx.Response, most: int) -> bytes:
    """The beginning of a body, ``most`` bytes of it."""
    parts, size = [], 0
    async for chunk in response.aiter_bytes():
        parts.append(chunk)
        size += len(chunk)
        if size >= most:
            break
    return b"".join(parts)[:most]
