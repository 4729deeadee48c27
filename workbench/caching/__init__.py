"""Caches of answers, one strategy a file, and the engine that looks into them before it computes.

:class:`ExactCache` and :class:`SemanticCache` implement :class:`workbench.interfaces.Cache`; they never know where the
answers come from. :class:`CachedEngine` puts them in front of any engine. Strategies are found by name in
:data:`workbench.caches`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.caching.cached_engine import CachedEngine
    from workbench.caching.calibration import Calibration, at_threshold, binomial_interval, calibrate_threshold
    from workbench.caching.exact import ExactCache
    from workbench.caching.keys import context_key, request_key
    from workbench.caching.memo import CountingMemo, TtlValue
    from workbench.caching.semantic import Found, SemanticCache

_HOME = {
    "CachedEngine": "cached_engine",
    "Calibration": "calibration",
    "CountingMemo": "memo",
    "ExactCache": "exact",
    "Found": "semantic",
    "SemanticCache": "semantic",
    "TtlValue": "memo",
    "at_threshold": "calibration",
    "binomial_interval": "calibration",
    "calibrate_threshold": "calibration",
    "context_key": "keys",
    "request_key": "keys",
}

__all__ = [
    "CachedEngine",
    "Calibration",
    "CountingMemo",
    "ExactCache",
    "Found",
    "SemanticCache",
    "TtlValue",
    "at_threshold",
    "binomial_interval",
    "calibrate_threshold",
    "context_key",
    "request_key",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
