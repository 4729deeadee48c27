"""The tuned engine: llama.cpp's low-level bindings, and one thread that owns the model and its context."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from workbench.engine.base import LocalEngine
from workbench.engine.budget import memory_for
from workbench.engine.native import kept
from workbench.engine.native.vocabulary import Vocabulary
from workbench.engine.sampling.grammar import compile_constraint
from workbench.engine.scheduling.core import Core
from workbench.engine.scheduling.ticket import Listener, Ticket
from workbench.errors import ContextOverflow
from workbench.interfaces import Completion, EngineStats, Prompt, Request, Scores
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
        loaded = kept.make_room(file, settings)
        if settings.n_ctx is not None:
            have = memory_for(settings)
            check_fits(file, settings, settings.n_ctx, available_bytes=have, weights_loaded=loaded)
        self.name = file.name
        self._core = Core(file, settings)
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
        ticket = self.ticket(request, listener)
        self.submit_all([ticket])
        return ticket

    def ticket(self, request: Request, listener: Listener | None = None) -> Ticket:
        """A request, tokenised and checked, for :meth:`submit_all`."""
        made_at = time.perf_counter()
        prompt = self._prompt_tokens(request.prompt)
        self._check_length(len(prompt))
        if request.grammar is not None or request.json_schema is not None:
            # compiled here, on the caller's thread, and kept for the engine's
            self._core.using_weights(lambda weights: compile_constraint(request, weights.vocabulary))
        return Ticket(request, prompt, listener, made_at=made_at)

    def submit_all(self, tickets: list[Ticket]) -> None:
        """Queue several at once, all or none: those with the longest common beginnings one after another.

        Raises:
            QueueFull: more than ``queue_limit`` would wait; nothing was started.
        """
        self._core.submit(sorted(tickets, key=lambda ticket: (ticket.request.priority, ticket.prompt)))

    def using_vocabulary(self, use: Callable[[Vocabulary], T]) -> T:
        """Call ``use`` while the vocabulary is sure to stay. Any thread; waits for no decode."""
        return self._core.using_weights(lambda weights: use(weights.vocabulary))

    def complete_many(self, prompts: Sequence[Prompt | Request], **options: Any) -> list[Completion]:
        """Complete several, as many at once as ``n_seq_max``; answers in the order of the prompts.

        What prompts have in common is computed once: those with the longest common beginnings run one after another
        (a walk over the tree of all prompts), each taking its trunk from the one before.

        Raises:
            QueueFull: more of them than ``queue_limit`` allows; nothing was started.
        """
        tickets = [self.ticket(self._request(prompt, options)) for prompt in prompts]
        self.submit_all(tickets)
        try:
            return [ticket.wait() for ticket in tickets]
        except BaseException:
            for ticket in tickets:
                ticket.cancel()
            raise

    def _checked(self, tokens: list[int]) -> list[int]:
        self._core.using_weights(lambda weights: weights.vocabulary.check(tokens))
        return tokens

    def _check_length(self, tokens: int, remedy: str = "") -> None:
        limit = self._core.scheduler.limit
        if tokens > limit:
            raise ContextOverflow(tokens, limit, remedy)
