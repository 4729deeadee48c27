"""What the child says: everything there is at a moment, as one line.

The engine's thread only puts things into a queue; it is in llama.cpp again, without the interpreter, while the line is
written. So a step's tokens of all sequences are usually one line, and a slow reader never holds the engine up.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from typing import IO, Any, TextIO

from workbench.engine.scheduling.ticket import Event, Ticket
from workbench.engine.worker import protocol
from workbench.engine.worker.failures import error_values
from workbench.errors import WorkbenchWarning
from workbench.interfaces import Chunk, Completion

_ONE_OF_A_KIND = ("beat", "ready", "failed")
_WITH_STATE = {"ends", "fails", "beat", "ready"}
"""What changes the stats; they go along."""

_FINISH = "finish"

State = tuple[dict[str, Any], dict[str, Any]]


class Mouth:
    """The sender, a thread of its own.

    Args:
        outbox: the pipe.
        state: stats and settings, to go along with what changes them; ``None``: there are none yet.
    """

    def __init__(self, outbox: IO[bytes], state: Callable[[], State | None]) -> None:
        self._outbox, self._state = outbox, state
        self._items: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._told: list[dict[str, Any]] = [{}, {}]
        self._thread = threading.Thread(target=self._run, name="worker-mouth", daemon=True)
        self._thread.start()

    def say(self, kind: str, value: Any) -> None:
        """Queue something; any thread."""
        self._items.put((kind, value))

    def finish(self) -> None:
        """Say what there is and stop."""
        self._items.put((_FINISH, None))
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._speak(self._gather()):
                pass
        except OSError:
            os._exit(0)  # the parent is gone
        except BaseException:
            traceback.print_exc()  # the parent quotes it
            os._exit(1)

    def _gather(self) -> list[tuple[str, Any]]:
        items = [self._items.get()]
        while True:
            try:
                items.append(self._items.get_nowait())
            except queue.Empty:
                return items

    def _speak(self, items: list[tuple[str, Any]]) -> bool:
        """Send the items as one line; False: that was the last."""
        message: protocol.Message = {}
        for kind, value in items:
            if kind in _ONE_OF_A_KIND:
                message[kind] = value
            elif kind == "ends":
                message.setdefault(kind, []).append(value.last_word())
            elif kind != _FINISH:
                message.setdefault(kind, []).append(value)
        if not _WITH_STATE.isdisjoint(message):
            self._add_state(message)
        if message.get("beat", message) is None:
            del message["beat"]
        if message:
            self._outbox.write(protocol.pack(message))
            self._outbox.flush()
        return all(kind != _FINISH for kind, _ in items)  # the engine may have gone on talking behind it

    def _add_state(self, message: protocol.Message) -> None:
        for at, (name, values) in enumerate(zip(("stats", "settings"), self._state() or (), strict=False)):
            if values != self._told[at]:
                message[name] = self._told[at] = values


class Running:
    """One request in the child: listens to the engine and tells the parent.

    Args:
        number: what the parent calls it.
        mouth: where to say it.
        tickets: number → ticket of what runs; this one is in it until its end.
    """

    def __init__(self, number: int, mouth: Mouth, tickets: dict[int, Ticket]) -> None:
        self._number, self._mouth, self._tickets = number, mouth, tickets
        self._made_at = time.perf_counter()
        self._completion: Completion | None = None

    def begin(self, ticket: Ticket) -> None:
        """The engine has it; it may even have ended it."""
        self._made_at = ticket.made_at
        self._tickets[self._number] = ticket
        if ticket.ended:
            self._tickets.pop(self._number, None)

    def listen(self, event: Event) -> None:
        """On the engine's thread."""
        if isinstance(event, Chunk):
            self._mouth.say("chunks", (self._number, event.text, event.tokens))
            return
        self._tickets.pop(self._number, None)
        if isinstance(event, Completion):
            self._completion = event
            self._mouth.say("ends", self)
        else:
            self._mouth.say("fails", (self._number, error_values(event)))

    def last_word(self) -> list[Any]:
        """Number, moment it was made, and the completion's values."""
        assert self._completion is not None  # noqa: S101 - it is said after the end only
        return [self._number, self._made_at, protocol.completion_values(self._completion)]


def catch_warnings(mouth: Mouth) -> None:
    """Send this package's warnings to the parent, each time; its filters decide. Others go to standard error."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, WorkbenchWarning):
            mouth.say("warnings", [category.__name__, str(message)])
        else:
            usual(message, category, filename, lineno, file or sys.stderr, line)

    warnings.showwarning = show
    warnings.simplefilter("always", WorkbenchWarning)
