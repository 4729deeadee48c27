"""Counters over several processes: what those before had done is added to what the present one says of itself."""

from __future__ import annotations

import dataclasses
from typing import Any

from workbench.interfaces import EngineStats

_COUNTERS = (
    *("requests", "prompt_tokens", "cached_tokens", "output_tokens", "steps", "compute_ms", "host_ms"),
    *("shared_tokens", "restored_tokens", "drafted_tokens", "accepted_tokens", "grown", "released"),
)

NOTHING_YET = EngineStats(
    state="lazy",
    n_ctx=None,
    kv_used_tokens=None,
    kv_bytes=None,
    weights_bytes=None,
    load_ms=None,
    context_ms=None,
    requests=0,
    waiting=0,
    prompt_tokens=0,
    cached_tokens=0,
    output_tokens=0,
)


def added(before: EngineStats, now: EngineStats) -> EngineStats:
    """The counters of processes before on top of the present one's."""
    sums: dict[str, Any] = {name: getattr(before, name) + getattr(now, name) for name in _COUNTERS}
    return dataclasses.replace(now, grow_ms=max(before.grow_ms, now.grow_ms), **sums)
