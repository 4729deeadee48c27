"""What runs in the worker process: a tuned engine behind two pipes.

Three threads of its own beside the engine's: the main one reads and obeys, one gathers all there is to say and sends it
as one line, one sends a beat while there is work. The process ends with its parent, whatever happens to that: its
standard input ends, and on Linux the kernel kills it (``prctl(2)``, ``PR_SET_PDEATHSIG``).
"""

from __future__ import annotations

import ctypes
import dataclasses
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from workbench.engine.native.vocabulary import Vocabulary
from workbench.engine.scheduling.ticket import Ticket
from workbench.engine.tuned import TunedEngine
from workbench.engine.worker import protocol
from workbench.engine.worker.continuation import Continuation
from workbench.engine.worker.failures import error_values
from workbench.engine.worker.limits import limit_private_memory
from workbench.engine.worker.mouth import Mouth, Running, catch_warnings
from workbench.interfaces import Completion, FinishReason, Request, Timings
from workbench.models import read_model_file
from workbench.settings import EngineSettings

NOT_A_MESSAGE = 3
"""Exit code: the parent sent something that is no message."""

LOAD_FAILED = 4
"""Exit code: the engine could not be made; the parent has been told why."""

_PR_SET_PDEATHSIG = 1
_INLINE_CHARACTERS = 1 << 16


def main() -> None:
    """Serve the parent, whose process id is the first argument, until it closes the pipe."""
    inbox, outbox = _private_pipes()
    faulthandler.enable(all_threads=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal goes to every process of it
    parent = int(sys.argv[1])
    _die_with(parent)
    host = Host(outbox, parent)
    try:
        for message in protocol.read_messages(inbox):
            host.obey(message)
    except (protocol.NotAMessageError, KeyError, TypeError) as error:
        print(f"not a message: {error!r}", file=sys.stderr, flush=True)  # noqa: T201 - the parent quotes it
        host.leave(NOT_A_MESSAGE)
    os._exit(0)  # the parent is gone; nobody waits for what runs


def _private_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes under new numbers, so that nothing that prints or reads gets in between."""
    inbox, outbox = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(inbox, "rb"), os.fdopen(outbox, "wb")


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if _orphaned(parent):
        os._exit(0)


def _orphaned(parent: int) -> bool:
    return hasattr(os, "getppid") and os.getppid() != parent


class Host:
    """The engine and what is said about it.

    Args:
        outbox: the pipe to the parent.
        parent: its process id.
    """

    def __init__(self, outbox: IO[bytes], parent: int) -> None:
        self._engine: TunedEngine | None = None
        self._tickets: dict[int, Ticket] = {}
        self._calls: set[int] = set()
        self._parent = parent
        self._mouth = Mouth(outbox, self._state)
        catch_warnings(self._mouth)

    def obey(self, message: Mapping[str, Any]) -> None:
        """Carry out one message.

        Raises:
            KeyError, TypeError: it is none.
        """
        match message["op"]:
            case "load":
                self._load(message)
            case "submit":
                self._submit(message)
            case "cancel":
                self._cancel(message["id"])
            case "call":
                self._call(message)
            case "close":
                self._close()
            case other:
                raise KeyError(other)

    def leave(self, code: int) -> None:
        """End the process once all has been said."""
        self._mouth.finish()
        os._exit(code)

    # -- life ---------------------------------------------------------------------------------------------------------

    def _load(self, message: Mapping[str, Any]) -> None:
        if message["memory_limit_bytes"]:
            limit_private_memory(message["memory_limit_bytes"])
        settings = EngineSettings.from_mapping(message["settings"])
        try:
            file = dataclasses.replace(read_model_file(Path(message["path"])), name=message["name"])
            self._engine = TunedEngine(file, settings, chat_template="")
        except MemoryError:
            traceback.print_exc()  # the parent finds the word
            self.leave(LOAD_FAILED)
        except Exception as error:
            self._mouth.say("failed", error_values(error))
            self.leave(LOAD_FAILED)
        self._mouth.say("ready", self._facts())
        beat_s = float(message["beat_s"])
        threading.Thread(target=self._beat, args=(beat_s,), name="worker-beat", daemon=True).start()

    def _facts(self) -> dict[str, Any]:
        """What the parent has to know of the model to write its prompts."""

        def read(vocabulary: Vocabulary) -> dict[str, Any]:
            return {"bos": vocabulary.text_of(vocabulary.bos), "eos": vocabulary.end_text, "n_vocab": vocabulary.size}

        return self.engine.using_vocabulary(read)

    @property
    def engine(self) -> TunedEngine:
        """The engine.

        Raises:
            KeyError: there is none yet; the parent has to send "load" first.
        """
        if self._engine is None:
            raise KeyError("load")
        return self._engine

    def _close(self) -> None:
        self.engine.close()
        self.leave(0)

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        if self._engine is None:
            return None
        return dataclasses.asdict(self.engine.stats), self.engine.settings.to_dict()

    def _beat(self, every_s: float) -> None:
        while not _orphaned(self._parent):
            if self._tickets or self._calls:
                self._mouth.say("beat", [self.engine.stats.steps, time.process_time(), _pages_read()])
            else:
                self._mouth.say("beat", None)  # the stats only: an idle engine may have given its context back
            time.sleep(every_s)
        os._exit(0)

    # -- requests -----------------------------------------------------------------------------------------------------

    def _submit(self, message: Mapping[str, Any]) -> None:
        """Take several requests or none, those with common beginnings one after another, as the engine itself does."""
        numbers = [int(values["id"]) for values in message["requests"]]
        try:
            begun = [self._prepare(values) for values in message["requests"]]
            tickets = [ticket for _, ticket, _ in begun if ticket is not None]
            self.engine.submit_all(tickets)
        except Exception as error:
            for number in numbers:
                self._mouth.say("refused", [number, error_values(error)])
            return
        for number, (running, ticket, prompt) in zip(numbers, begun, strict=True):
            if ticket is not None:
                running.begin(ticket)
            self._mouth.say("taken", [number, prompt])

    def _prepare(self, values: Mapping[str, Any]) -> tuple[Running, Ticket | None, list[int] | None]:
        """What tells of a request, its ticket (``None``: it is over already), and its prompt if the parent lacks it."""
        running = Running(int(values["id"]), self._mouth, self._tickets)
        prompt = self._prompt(values)
        request = protocol.request_from(values["request"], prompt)
        if values.get("already"):
            return running, self._continued(request, values["already"], running), None
        return running, self.engine.ticket(request, running.listen), None if "tokens" in values else prompt

    def _prompt(self, message: Mapping[str, Any]) -> list[int]:
        if "tokens" in message:
            return list(message["tokens"])
        return self.engine.tokenize(
            message["text"], add_special=message["add_special"], parse_special=message["parse_special"]
        )

    def _continued(self, request: Request, already: list[int], running: Running) -> Ticket | None:
        rest = Continuation(request, already, self._piece, running.listen)
        if rest.over is not None:
            rest.listen(_complete_already(self.engine, rest.over))
            return None
        ticket = self.engine.ticket(rest.rest(), rest.listen)
        rest.cancel = ticket.cancel
        return ticket

    def _piece(self, token: int) -> bytes | None:
        """A token's bytes; ``None``: it ends generation."""
        word = self.engine.using_vocabulary(lambda vocabulary: vocabulary.say(token))
        return None if word is None else word[0]

    def _cancel(self, number: int) -> None:
        ticket = self._tickets.get(number)
        if ticket is not None:
            ticket.cancel()

    # -- calls --------------------------------------------------------------------------------------------------------

    def _call(self, message: Mapping[str, Any]) -> None:
        number, name, arguments = int(message["id"]), str(message["name"]), dict(message["arguments"])
        known: dict[str, Callable[..., Any]] = {
            "tokenize": self._tokenize,
            "detokenize": self._detokenize,
            "score": self._score,
        }
        work = known[name]
        if name != "score" and len(arguments.get("text", ())) < _INLINE_CHARACTERS:
            self._answer(number, work, arguments)
            return
        self._calls.add(number)
        threading.Thread(target=self._answer_aside, args=(number, work, arguments), daemon=True).start()

    def _answer_aside(self, number: int, work: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        try:
            self._answer(number, work, arguments)
        finally:
            self._calls.discard(number)

    def _answer(self, number: int, work: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        try:
            self._mouth.say("replies", [number, work(**arguments)])
        except Exception as error:
            self._mouth.say("errors", [number, error_values(error)])

    def _tokenize(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        return self.engine.tokenize(text, add_special=add_special, parse_special=parse_special)

    def _detokenize(self, tokens: list[int]) -> str:
        return self.engine.detokenize(tokens)

    def _score(self, text: str | list[int], context: str | list[int]) -> list[Any]:
        scores = self.engine.score(text, context=context)
        self._mouth.say("beat", None)  # it may have made the context
        return [list(scores.tokens), protocol.array_values(scores.logprobs)]


def _complete_already(engine: TunedEngine, reason: FinishReason) -> Completion:
    """The last word of an answer whose last token had come; its timings are the parent's to tell."""
    nothing = Timings(
        queue_ms=0.0,
        prefill_ms=0.0,
        ttft_ms=None,
        decode_ms=0.0,
        total_ms=0.0,
        prompt_tokens=0,
        cached_tokens=0,
        output_tokens=0,
    )
    return Completion(
        text="", tokens=(), finish_reason=reason, timings=nothing, model=engine.name, settings=engine.settings
    )


def _pages_read() -> int:
    """Pages of this process that had to come from disk: what a first pass over mapped weights does instead of work."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


if __name__ == "__main__":
    main()
