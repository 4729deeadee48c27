"""The trace of one turn or request: what it did, when, for how long, and how often.

Whoever begins a piece of work opens a :class:`Trace` and makes it current; whatever is called meanwhile adds its spans
and counts without being handed anything. Where no trace is open that costs one look at a context variable.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Span:
    """A stage: its name, when it began after the trace did, and how long it took.

    Attributes:
        name: "recall", "prefill", …; a stage may come several times.
        start_ms: since the trace began; below 0 for what had begun before.
        elapsed_ms: 0 while it runs.
        within: the span it is part of; ``None``: it is a stage of its own.
        fields: what there is to say about it.
    """

    name: str
    start_ms: float
    elapsed_ms: float = 0.0
    within: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


class Trace:
    """What one piece of work did. Threads: any.

    Args:
        kind: of the work: "turn", "request", "background".
        labels: what there is to say about it: session, model.

    Attributes:
        id: of this trace: 32 hexadecimal digits, as OpenTelemetry wants them.
        started_at: in seconds since 1970.
        spans: in the order in which they began.
        counts: name → how often, or how much.
        labels: name → what.
    """

    def __init__(self, kind: str = "turn", **labels: Any) -> None:
        self.id, self.kind = uuid.uuid4().hex, kind
        self.labels: dict[str, Any] = labels
        self.spans: list[Span] = []
        self.counts: dict[str, float] = {}
        self.started_at = time.time()
        self._began = time.perf_counter()
        self._total_ms: float | None = None
        self._lock = threading.Lock()

    def now_ms(self) -> float:
        """Milliseconds since it began."""
        return 1e3 * (time.perf_counter() - self._began)

    @contextmanager
    def span(self, name: str, **fields: Any) -> Iterator[Span]:
        """A stage that lasts as long as the block; inside another stage's block it is a part of that."""
        outer = _SPAN.get()
        inside = outer[1].name if outer is not None and outer[0] is self else None
        one = Span(name, self.now_ms(), within=inside, fields=fields)
        with self._lock:
            self.spans.append(one)
        token = _SPAN.set((self, one))
        try:
            yield one
        finally:
            one.elapsed_ms = self.now_ms() - one.start_ms
            _SPAN.reset(token)

    def place(self, name: str, start_ms: float, elapsed_ms: float, *, within: str | None = None, **fields: Any) -> None:
        """A stage that somebody else has timed."""
        with self._lock:
            self.spans.append(Span(name, start_ms, elapsed_ms, within, fields))

    def count(self, name: str, value: float = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self.counts[name] = self.counts.get(name, 0) + value

    @property
    def stages(self) -> dict[str, float]:
        """Stage → milliseconds, in the order of their beginnings. Parts of a stage are not added to it again."""
        return self._sums(inner=False)

    @property
    def parts(self) -> dict[str, float]:
        """As :attr:`stages`, but only what is part of another."""
        return self._sums(inner=True)

    def _sums(self, *, inner: bool) -> dict[str, float]:
        sums: dict[str, float] = {}
        with self._lock:
            for one in self.spans:
                if (one.within is not None) == inner:
                    sums[one.name] = sums.get(one.name, 0.0) + one.elapsed_ms
        return sums

    @property
    def total_ms(self) -> float:
        """From beginning to end, or so far."""
        return self.now_ms() if self._total_ms is None else self._total_ms

    @property
    def ended(self) -> bool:
        """Whether :meth:`end` was called."""
        return self._total_ms is not None

    def end(self, *, total_ms: float | None = None) -> None:
        """It is done: tell everybody who subscribed. Idempotent; what comes later is added, but told to nobody.

        Args:
            total_ms: how long it took, where somebody else has timed it; its end then is now.
        """
        with self._lock:
            if self._total_ms is not None:
                return
            self._total_ms = self.now_ms() if total_ms is None else total_ms
        if total_ms is not None:
            self.started_at = time.time() - total_ms / 1e3
        for listener in tuple(_LISTENERS):
            try:
                listener(self)
            except Exception:  # whoever is watching must not break what is watched
                _LOG.exception("a listener of traces failed")

    def to_dict(self) -> Mapping[str, Any]:
        """JSON values, as far as labels and fields are."""
        with self._lock:
            spans = [
                {"name": s.name, "start_ms": s.start_ms, "elapsed_ms": s.elapsed_ms, "within": s.within, **s.fields}
                for s in self.spans
            ]
            counts = dict(self.counts)
        return {
            "id": self.id,
            "kind": self.kind,
            "at": self.started_at,
            "total_ms": self.total_ms,
            "labels": dict(self.labels),
            "counts": counts,
            "spans": spans,
        }


Listener = Callable[[Trace], None]

_CURRENT: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("trace", default=None)
_SPAN: contextvars.ContextVar[tuple[Trace, Span] | None] = contextvars.ContextVar("span", default=None)
_LISTENERS: dict[Listener, None] = {}


def listened_to() -> bool:
    """Whether anybody would be told of a trace that ends."""
    return bool(_LISTENERS)


def current() -> Trace | None:
    """The trace that is open here, in this thread or task."""
    return _CURRENT.get()


@contextmanager
def tracing(trace: Trace) -> Iterator[Trace]:
    """Make a trace current inside the block. It is not ended with it: a turn goes on in the background."""
    token = _CURRENT.set(trace)
    try:
        yield trace
    finally:
        _CURRENT.reset(token)


@contextmanager
def span(name: str, **fields: Any) -> Iterator[Span | None]:
    """A stage of the current trace; without one, nothing."""
    trace = _CURRENT.get()
    if trace is None:
        yield None
        return
    with trace.span(name, **fields) as one:
        yield one


def count(name: str, value: float = 1) -> None:
    """Add to a counter of the current trace, if there is one."""
    trace = _CURRENT.get()
    if trace is not None:
        trace.count(name, value)


def label(**labels: Any) -> None:
    """Say something about the current trace, if there is one."""
    trace = _CURRENT.get()
    if trace is not None:
        trace.labels.update(labels)


@contextmanager
def subscribe(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of every trace that ends inside the block, in whichever thread; it must return at once."""
    _LISTENERS[listener] = None
    try:
        yield
    finally:
        _LISTENERS.pop(listener, None)
