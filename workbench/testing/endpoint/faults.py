"""What can go wrong, and when it does: faults to order for the mock endpoint.

Knows neither sockets nor answers; it says which faults a request meets.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from workbench.errors import InvalidSettings, UnknownName

Kind = Literal[
    "status",
    "slow",
    "refuse",
    "content_type",
    "stall",
    "drip",
    "half_close",
    "reset",
    "bad_chunk",
    "no_done",
    "no_finish",
    "garbage",
    "error_event",
    "huge",
    "comments",
    "crlf",
    "multiline",
    "pieces",
    "close_idle",
]
Cut = Literal["between", "event", "character"]
Framing = Literal["chunked", "close"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with some requests.

    In place of an answer: ``status`` (with ``message``, ``retry_after``, ``headers``), ``refuse`` (connections are
    reset and new ones refused for ``seconds``), ``content_type`` (a page of HTML with status 200). Before it: ``slow``
    (``seconds`` before the status line). In the middle, once ``after`` events are sent: ``stall`` (silence), ``drip``
    (one byte every ``seconds``, for ever), ``half_close`` (FIN, cut as ``cut`` says), ``reset`` (RST), ``bad_chunk``
    (broken chunked framing), ``garbage`` (an event that is no JSON; the answer goes on), ``error_event`` (an error
    object, then ``[DONE]``), ``huge`` (an event with ``size`` more characters; the answer goes on). At its end:
    ``no_done``, ``no_finish``, ``close_idle`` (the kept connection is closed after ``seconds``). All along, and within
    the standard, so that a client has to bear it: ``comments``, ``crlf``, ``multiline``, ``pieces`` (byte by byte).

    Attributes:
        kind: what happens.
        at: the requests it happens to, counted from 0 among those whose path contains ``path``; ``None``: all.
        probability: of happening to such a request; drawn from the endpoint's seed.
        path: requests whose path contains this.
        status: HTTP status.
        message: words of a ``status`` or an ``error_event``; empty: some that say it was ordered.
        retry_after: value of the ``Retry-After`` header, sent as it is.
        headers: more headers of a ``status``.
        after: events (of an answer in one piece: quarters of it) sent before.
        seconds: how long; 0 for ``stall``: until the client goes.
        size: characters of a ``huge`` event.
        cut: where ``half_close`` stops: between two events, within one, within a character of several bytes.
        framing: ``close``: the answer has no length and is not chunked, so that its end cannot be told from a break.
    """

    kind: Kind
    at: Sequence[int] | None = None
    probability: float = 1.0
    path: str = "completions"
    status: int = 500
    message: str = ""
    retry_after: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after: int = 2
    seconds: float = 0.0
    size: int = 1_000_000
    cut: Cut = "event"
    framing: Framing = "chunked"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UnknownName("fault", self.kind, get_args(Kind))
        if self.at is not None:
            object.__setattr__(self, "at", tuple(self.at))
        if not 0.0 <= self.probability <= 1.0:
            raise InvalidSettings(f"probability lies between 0 and 1, not {self.probability!r}.")
        if self.seconds < 0 or self.after < 0:
            raise InvalidSettings("seconds and after cannot be negative.")


Met = dict[str, Fault]
"""The faults one request meets, by kind."""


class FaultPlan:
    """Which request meets which faults. One thread at a time.

    Args:
        faults: in order; of two of one kind that would meet the same request, the first does.
        seed: of the probabilities. A request's draw depends on its number only, not on what ran beside it.
    """

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self.faults = tuple(faults)
        self._seed = seed
        self._seen = [0] * len(self.faults)

    def meet(self, path: str) -> Met:
        """The faults of the next request to ``path``."""
        met: Met = {}
        for place, fault in enumerate(self.faults):
            if fault.path not in path:
                continue
            number = self._seen[place]
            self._seen[place] += 1
            if self._happens(fault, place, number):
                met.setdefault(fault.kind, fault)
        return met

    def _happens(self, fault: Fault, place: int, number: int) -> bool:
        if fault.at is not None and number not in fault.at:
            return False
        draw = random.Random(f"{self._seed} {place} {number}").random()  # noqa: S311 - a fault to order
        return draw < fault.probability


def fault_from(plain: Mapping[str, Any]) -> Fault:
    """A fault from plain values, as :func:`dataclasses.asdict` makes them."""
    return Fault(**plain)
