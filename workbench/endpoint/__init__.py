"""Engines elsewhere: servers that speak OpenAI's protocol, behind the same ``Engine`` as the local ones.

Knows HTTP, limits and failures; never llama.cpp, conversations or memory. httpx is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.endpoint.balancing import InstanceHealth
    from workbench.endpoint.breaker import BreakerSettings
    from workbench.endpoint.client import close_client
    from workbench.endpoint.engine import EndpointEngine
    from workbench.endpoint.limits import Limits
    from workbench.endpoint.providers import PROVIDERS, Provider
    from workbench.endpoint.retrying import RetryPolicy

_HOME = {
    "PROVIDERS": "providers",
    "BreakerSettings": "breaker",
    "EndpointEngine": "engine",
    "InstanceHealth": "balancing",
    "Limits": "limits",
    "Provider": "providers",
    "RetryPolicy": "retrying",
    "close_client": "client",
}

__all__ = [
    "PROVIDERS",
    "BreakerSettings",
    "EndpointEngine",
    "InstanceHealth",
    "Limits",
    "Provider",
    "RetryPolicy",
    "close_client",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
