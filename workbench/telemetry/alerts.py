"""What is slow or missing too often, told as it happens: to the log, and to whoever listens.

Knows traces and thresholds; never what the stages do.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from workbench.errors import InvalidSettings
from workbench.telemetry.trace import Trace

_LOG = logging.getLogger("workbench.alerts")

_KEPT = 100

Level = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """When to say something. ``None``: never about this.

    Attributes:
        turn_warning_ms: a turn took longer, up to the end of its answer.
        turn_critical_ms: a turn took much longer.
        hit_rate: the caches answered a smaller share of the look-ups of the last ``window`` turns.
        database_ms: a turn spent longer in databases.
        window: turns that count for the hit rate.
        least_lookups: with fewer look-ups in the window the hit rate says nothing yet.
    """

    turn_warning_ms: float | None = 5_000.0
    turn_critical_ms: float | None = 10_000.0
    hit_rate: float | None = 0.70
    database_ms: float | None = 500.0
    window: int = 50
    least_lookups: int = 20

    def __post_init__(self) -> None:
        for name in ("turn_warning_ms", "turn_critical_ms", "database_ms"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InvalidSettings(f"{name} must be above 0 ms, or None for no alert; not {value!r}.")
        if self.hit_rate is not None and not 0 <= self.hit_rate <= 1:
            raise InvalidSettings(f"hit_rate must lie between 0 and 1, or be None; not {self.hit_rate!r}.")
        if self.window < 1 or self.least_lookups < 1:
            raise InvalidSettings(
                f"window and least_lookups must be at least 1; not {self.window}, {self.least_lookups}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something a person should know.

    Attributes:
        level: "warning" or "critical".
        what: "turn", "hit_rate" or "database".
        value: as it was: milliseconds, or a share.
        threshold: as it should be.
        trace_id: the turn it was noticed in.
        labels: what is known of that turn: session, model.
    """

    level: Level
    what: str
    value: float
    threshold: float
    trace_id: str
    labels: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """For a log or a banner."""
        whose = f" (session {self.labels['session']!r})" if "session" in self.labels else ""
        if self.what == "hit_rate":
            return f"The caches answered {self.value:.0%} of the look-ups lately, {self.threshold:.0%} expected{whose}."
        subject = "A turn took" if self.what == "turn" else "A turn spent in databases"
        return f"{subject} {self.value / 1e3:.1f} s, at most {self.threshold / 1e3:.1f} s expected{whose}."


class Alerts:
    """Looks at each turn that ends. Threads: any.

    Say ``with subscribe(alerts): …``, or call it with a trace.

    Args:
        settings: the thresholds.
        listeners: called with each alert, beside the log "workbench.alerts"; must return at once.

    Attributes:
        recent: the last hundred alerts, oldest first.
    """

    def __init__(self, settings: AlertSettings | None = None, *listeners: Callable[[Alert], None]) -> None:
        self.settings = settings or AlertSettings()
        self.recent: deque[Alert] = deque(maxlen=_KEPT)
        self._listeners = listeners
        self._lookups: deque[tuple[float, float]] = deque(maxlen=self.settings.window)
        self._below = False
        self._lock = threading.Lock()

    def __call__(self, trace: Trace) -> None:
        """Check one trace; those that are no turns are passed over."""
        if trace.kind != "turn":
            return
        for alert in self.check(trace):
            self.recent.append(alert)
            _LOG.log(logging.ERROR if alert.level == "critical" else logging.WARNING, "%s", alert)
            for listener in self._listeners:
                try:
                    listener(alert)
                except Exception:  # whoever is watching must not break what is watched
                    _LOG.exception("a listener of alerts failed")

    def check(self, trace: Trace) -> list[Alert]:
        """What is to be said about a turn; it counts for the hit rate from now on."""
        return [
            Alert(level=level, what=what, value=value, threshold=least, trace_id=trace.id, labels=dict(trace.labels))
            for level, what, value, least in (*self._slow(trace), *self._missed(trace))
        ]

    def _slow(self, trace: Trace) -> Iterator[tuple[Level, str, float, float]]:
        warning, critical = self.settings.turn_warning_ms, self.settings.turn_critical_ms
        took = trace.total_ms - trace.stages.get("background", 0.0)
        if critical is not None and took > critical:
            yield "critical", "turn", took, critical
        elif warning is not None and took > warning:
            yield "warning", "turn", took, warning
        database, most = trace.counts.get("db_ms", 0.0), self.settings.database_ms
        if most is not None and database > most:
            yield "warning", "database", database, most

    def _missed(self, trace: Trace) -> Iterator[tuple[Level, str, float, float]]:
        """Once when the rate falls below, and again only after it has recovered: no alert a turn."""
        hits, misses = trace.counts.get("cache_hits", 0.0), trace.counts.get("cache_misses", 0.0)
        if self.settings.hit_rate is None or not hits + misses:
            return
        with self._lock:
            self._lookups.append((hits, hits + misses))
            hits, looked = (sum(values) for values in zip(*self._lookups, strict=True))
            was = self._below
            self._below = looked >= self.settings.least_lookups and hits / looked < self.settings.hit_rate
            fell = self._below and not was
        if fell:
            yield "warning", "hit_rate", hits / looked, self.settings.hit_rate
