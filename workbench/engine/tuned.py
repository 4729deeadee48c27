"""The tuned engine: llama.cpp's low-level bindings, and one thread that owns the model and its context."""

from __future__ import annotations

import os
import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from workbench.engine.base import LocalEngine
from workbench.engine.budget import memory_for
from workbench.engine.scheduler import Scheduler
from workbench.engine.scoring import score_tokens
from workbench.engine.ticket import Listener, Ticket
from workbench.engine.weights import Weights
from workbench.errors import ContextOverflow, EngineClosed, StreamIncomplete
from workbench.interfaces import EngineStats, Request, Scores
from workbench.models import ModelFile, check_fits, resolve
from workbench.settings import EngineSettings

T = TypeVar("T")


class TunedEngine(LocalEngine):
    """The tuned engine. Implements :class:`workbench.interfaces.Engine`.

    The weights are loaded when it is made; the context comes with the first request.

    Args:
        model: a model, its name, or the path of a GGUF.
        settings: ``None``: all chosen by the engine.
        chat_template: Jinja source to use instead of the model's own.

    Raises:
        UnknownName, ModelFileError: there is no such model, or its file is not whole.
        OutOfMemory: an ``n_ctx`` this machine cannot hold.
        ModelLoadError: llama.cpp refused; quotes what it said.
    """

    def __init__(
        self,
        model: ModelFile | str | Path,
        settings: EngineSettings | None = None,
        *,
        chat_template: str | None = None,
    ) -> None:
        file = resolve(model)
        settings = settings or EngineSettings()
        if settings.n_ctx is not None:
            check_fits(file, settings, settings.n_ctx, available_bytes=memory_for(settings))
        self.name = file.name
        self._core = _Core(file, settings)
        # Also runs at interpreter exit: a thread inside llama_decode must not outlive Python.
        self._finalizer = weakref.finalize(self, self._core.stop)
        vocabulary = self._core.weights.vocabulary
        self._set_template(chat_template, file, vocabulary.text_of(vocabulary.bos), vocabulary.end_text)

    @property
    def settings(self) -> EngineSettings:
        """Effective settings; what only a context decides is open (``None``) until the first request."""
        return self._core.scheduler.effective

    @property
    def stats(self) -> EngineStats:
        """A snapshot; never blocks on a running request."""
        return self._core.stats()

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Text → token ids."""
        return self._core.using_weights(
            lambda weights: weights.vocabulary.tokenize(text, add_special=add_special, parse_special=parse_special)
        )

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Token ids → text; invalid bytes become U+FFFD."""
        return self._core.using_weights(lambda weights: weights.vocabulary.detokenize(tokens))

    def score(self, text: str | Sequence[int], *, context: str | Sequence[int] = "") -> Scores:
        """Log-probabilities of the tokens of ``text`` after ``context`` (after BOS, if the model has one)."""
        before = self._ids(context, add_special=True)
        tokens = self._ids(text, add_special=False)
        self._check_length(len(before) + len(tokens), "Score it in pieces, or raise n_ctx.")
        values = self._core.score(before + tokens, len(before))
        return Scores(tuple(tokens), values)

    def close(self) -> None:
        """Free everything; running streams break off with :class:`StreamIncomplete`. Idempotent."""
        self._finalizer()

    def _submit(self, request: Request, listener: Listener | None = None) -> Ticket:
        prompt = self._prompt_tokens(request.prompt)
        self._check_length(len(prompt))
        ticket = Ticket(request, prompt, listener)
        self._core.send(lambda: self._core.scheduler.submit(ticket), ticket)
        return ticket

    def _checked(self, tokens: list[int]) -> list[int]:
        self._core.using_weights(lambda weights: weights.vocabulary.check(tokens))
        return tokens

    def _check_length(self, tokens: int, remedy: str = "") -> None:
        limit = self._core.scheduler.limit
        if tokens > limit:
            raise ContextOverflow(tokens, limit, remedy)


class _Core:
    """The owning thread and what it owns. Holds no reference to the engine, so that a forgotten engine can go."""

    def __init__(self, file: ModelFile, settings: EngineSettings) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._closing = False
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._live: weakref.WeakSet[Ticket] = weakref.WeakSet()
        self.scheduler: Scheduler
        self.weights: Weights
        started: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(file, settings, started), name="engine", daemon=True)
        self._thread.start()
        try:
            failure = started.get()
        except BaseException:  # Ctrl-C while the model loads: nobody will ever stop the thread
            self._closing = True
            self._inbox.put(lambda: None)
            raise
        if failure is not None:
            raise failure

    def send(self, command: Callable[[], None], ticket: Ticket | None = None) -> None:
        """Hand a command to the owning thread.

        Raises:
            EngineClosed: there is no such thread any more.
        """
        with self._guard:
            self._check_open()
            if ticket is not None:
                self._live.add(ticket)
            self._inbox.put(command)

    def using_weights(self, use: Callable[[Weights], T]) -> T:
        """Call ``use`` while the weights are sure to stay."""
        with self._guard:
            self._check_open()
            return use(self.weights)

    def _check_open(self) -> None:
        if os.getpid() != self._pid:
            raise EngineClosed(
                "This process was forked; an engine's thread stays with the parent. Load the engine in this process, "
                "or start processes with the 'spawn' method."
            )
        if self._closing:
            raise EngineClosed

    def score(self, tokens: list[int], first: int) -> Any:
        """Log-probabilities, computed on the owning thread when nothing else runs."""
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def job() -> None:
            try:
                context, slot = self.scheduler.borrow_slot(len(tokens))
                try:
                    answer.put(score_tokens(context, slot.index, tokens, first))
                finally:
                    context.drop(slot.index)
            except Exception as error:
                answer.put(error)

        self.send(lambda: self.scheduler.exclusively(job, lambda: answer.put(EngineClosed())))
        result = answer.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def stats(self) -> EngineStats:
        """A snapshot."""
        return self.scheduler.stats(self._state())

    def stop(self) -> None:
        """End the thread and free what it owns; waits for the decode in progress."""
        if os.getpid() != self._pid:
            return
        with self._guard:
            already, self._closing = self._closing, True
        if not already:
            self._inbox.put(lambda: None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _state(self) -> Literal["lazy", "idle", "busy", "closed"]:
        if self._closing:
            return "closed"
        if self.scheduler.busy:
            return "busy"
        return "lazy" if self.scheduler.context is None else "idle"

    def _run(self, file: ModelFile, settings: EngineSettings, started: queue.SimpleQueue[BaseException | None]) -> None:
        try:
            self.weights = Weights(file, settings)
            self.scheduler = Scheduler(self.weights, settings)
        except BaseException as error:
            started.put(error)
            return
        started.put(None)
        try:
            while not self._closing:
                self._obey(block=not self.scheduler.busy)
                self.scheduler.step()
        finally:
            with self._guard:
                self._closing = True  # nobody may queue for a thread that is gone
            self._break_off()
            self.scheduler.free()
            with self._guard:
                self.weights.free()

    def _obey(self, *, block: bool) -> None:
        """Run the commands that have arrived; waits for the first one if there is nothing else to do."""
        while True:
            try:
                self._inbox.get(block)()
            except queue.Empty:
                return
            block = False

    def _break_off(self) -> None:
        """Tell everybody who still waits."""
        self._obey(block=False)
        self.scheduler.abandon()
        for ticket in list(self._live):
            if not ticket.ended:
                ticket.end(StreamIncomplete(ticket.text, "the engine was closed."))
