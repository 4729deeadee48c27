"""Making one call: arguments checked, errors and time caught, results kept for the turns that follow.

Knows tools and turn numbers; never engines or prompts.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import to_json

from workbench.conversation.tools.definition import Tool

log = logging.getLogger(__name__)


class Wanted(NamedTuple):
    """A call somebody wants made.

    Attributes:
        tool: which; ``None``: there is none of that name.
        name: as it was asked for.
        arguments: as they were asked for.
        error: why it cannot be made; empty: nothing is known against it.
    """

    tool: Tool | None
    name: str
    arguments: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was made, or could not be.

    Attributes:
        name: of the tool; "(plan)" where a model's plan could not be read.
        arguments: as they were asked for: JSON values.
        result: what the function returned; ``None`` with an error.
        ms: time it took; 0 when it was kept from an earlier turn.
        cached: the result was kept from an earlier turn, or from the same one.
        error: what went wrong, for a person and for the model; empty: nothing.
        kind: "read" or "write".
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    ms: float = 0.0
    cached: bool = False
    error: str = ""
    kind: str = "read"

    @property
    def text(self) -> str:
        """The result, or the error, as a model is shown it."""
        if self.error:
            return f"ERROR: {self.error}"
        return self.result if isinstance(self.result, str) else to_json(self.result, serialize_unknown=True).decode()

    @property
    def asked(self) -> str:
        """The call on one line: 'get_character(name="Mira")'."""
        given = ", ".join(
            f"{name}={json.dumps(value, ensure_ascii=False, default=str)}" for name, value in self.arguments.items()
        )
        return f"{self.name}({given})"


def why_not(error: ValidationError) -> str:
    """What is wrong with arguments, on one line."""
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors())


class Running:
    """A call that has begun, in a thread of its own.

    A thread cannot be stopped: a call that takes too long is given up, not ended. It is a daemon, so that it does not
    keep the process alive.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted, self._began = wanted, time.perf_counter()
        self._call: Call | None = None
        context = contextvars.copy_context()  # spans and counts inside a tool belong to the turn's trace
        self._thread = threading.Thread(target=lambda: context.run(self._work), name=f"tool-{wanted.name}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the function has not come back."""
        return self._thread.is_alive()

    def wait(self, timeout_s: float | None) -> Call:
        """The call as it ended, or one with an error when ``timeout_s`` since its start are over."""
        left = None if timeout_s is None else max(0.0, self._began + timeout_s - time.perf_counter())
        self._thread.join(left)
        if self._call is not None:
            return self._call
        ms = 1e3 * (time.perf_counter() - self._began)
        log.warning("Tool %s has not come back after %.1f s.", self._wanted.name, ms / 1e3)
        why = f"no answer within {timeout_s:g} s; it may still be running"
        return _failed(self._wanted, why, ms)

    def _work(self) -> None:
        self._call = make(self._wanted)


def make(wanted: Wanted) -> Call:
    """Check the arguments and call the function, here and now. An exception of the function is the call's error."""
    if wanted.tool is None or wanted.error:
        return _failed(wanted, wanted.error or f"there is no tool {wanted.name!r}", 0.0)
    started = time.perf_counter()
    try:
        arguments = wanted.tool.check(wanted.arguments)
    except ValidationError as error:
        return _failed(wanted, why_not(error), 0.0)
    try:
        result = wanted.tool.function(**arguments)
    except Exception as error:
        log.warning("Tool %s failed.", wanted.name, exc_info=True)
        return _failed(wanted, f"{type(error).__name__}: {error}", 1e3 * (time.perf_counter() - started))
    ms = 1e3 * (time.perf_counter() - started)
    return Call(wanted.name, wanted.arguments, result, ms, kind=wanted.tool.kind)


def _failed(wanted: Wanted, why: str, ms: float) -> Call:
    kind = wanted.tool.kind if wanted.tool is not None else "read"
    return Call(wanted.name, wanted.arguments, ms=ms, error=why, kind=kind)


class StateCache:
    """Results of reads, kept for a number of turns or until a write makes them stale. For one turn at a time.

    Args:
        turns: how many turns after the one it was made in a result is served; 0: in that turn only.
    """

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self._kept: dict[tuple[str, str], tuple[int, Call]] = {}

    def get(self, wanted: Wanted, turn: int) -> Call | None:
        """The kept result of the same call; ``None``: there is none, or it is too old, or of a turn still to come."""
        made, call = self._kept.get(_key(wanted), (None, None))
        if made is None or call is None or not 0 <= turn - made <= self._turns:
            return None
        return replace(call, ms=0.0, cached=True)

    def put(self, wanted: Wanted, turn: int, call: Call) -> None:
        """Keep a result, if it is one and may be kept; what is too old by now goes."""
        if wanted.tool is not None and wanted.tool.cached and not call.error:
            self._kept[_key(wanted)] = (turn, call)
        self._kept = {key: kept for key, kept in self._kept.items() if 0 <= turn - kept[0] <= self._turns}

    def invalidate(self, names: Sequence[str] | None) -> None:
        """Forget the results of these reads; ``None``: of all."""
        self._kept = {} if names is None else {key: kept for key, kept in self._kept.items() if key[0] not in names}


def _key(wanted: Wanted) -> tuple[str, str]:
    return wanted.name, json.dumps(wanted.arguments, sort_keys=True, default=str)
