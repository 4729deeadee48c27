"""The tuned engine in a process of its own: llama.cpp may abort, hang or run out of memory there, the kernel lives."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.engine.base import LocalEngine
from workbench.engine.native.vocabulary import check_tokens
from workbench.engine.scheduling.ticket import Listener, Ticket
from workbench.engine.worker import protocol
from workbench.engine.worker.process import Limits
from workbench.engine.worker.pulse import patience_s
from workbench.engine.worker.supervisor import Load, Supervisor
from workbench.errors import InvalidSettings
from workbench.interfaces import Completion, EngineStats, Message, Prompt, Request, Scores
from workbench.models import ModelFile, resolve
from workbench.settings import EngineSettings

HANG_AFTER_S = 30.0
_LOAD_BASE_S, _SLOWEST_DISK = 120.0, 20e6
"""Until a model is loaded: for the interpreter, and for bytes per second of the slowest disk worth waiting for."""


class ProcessEngine(LocalEngine):
    """The tuned engine in a worker process. Implements :class:`workbench.interfaces.Engine`.

    The process has the weights and the context; this side holds neither, and no call into llama.cpp ever holds its
    interpreter up. When the process dies, a request whose answer had begun ends with :class:`WorkerDied` and its
    partial text, one still waiting does not notice, and the next one starts a new process. Prompts are whole, so a
    conversation goes on from its history.

    Args:
        model: a model, its name, or the path of a GGUF.
        settings: ``None``: all chosen by the engine.
        chat_template: Jinja source to use instead of the model's own.
        memory_limit_bytes: private memory the process may take (weights that are mapped do not count).
        hang_after_s: seconds without a sign of life, while requests run, after which the process is killed.
        load_deadline_s: seconds until the model has to be loaded; ``None``: by the size of its file.
        resume_streams: go on with an answer in a new process, from its tokens so far, instead of ending it; at most
            twice an answer. Greedy answers come out the same; drawn ones go on with new draws; those with a grammar
            or schema end. The receipt says so.

    Raises:
        UnknownName, ModelFileError: there is no such model, or its file is not whole.
        OutOfMemory: an ``n_ctx`` this machine cannot hold.
        ModelLoadError: llama.cpp refused; quotes what it said.
        WorkerDied: the process died over the model; has the signal and a hint.
        InvalidSettings: a limit out of its range.
    """

    def __init__(
        self,
        model: ModelFile | str | Path,
        settings: EngineSettings | None = None,
        *,
        chat_template: str | None = None,
        memory_limit_bytes: int | None = None,
        hang_after_s: float = HANG_AFTER_S,
        load_deadline_s: float | None = None,
        resume_streams: bool = False,
    ) -> None:
        for name, value in (
            ("memory_limit_bytes", memory_limit_bytes),
            ("hang_after_s", hang_after_s),
            ("load_deadline_s", load_deadline_s),
        ):
            _check_positive(name, value)
        file = resolve(model)
        settings = settings or EngineSettings()
        limits = Limits(
            load_deadline_s=load_deadline_s or _LOAD_BASE_S + file.size_bytes / _SLOWEST_DISK,
            hang_after_s=hang_after_s,
            patience_s=patience_s(hang_after_s, file.parameters, settings.n_batch),
            memory_limit_bytes=memory_limit_bytes,
        )
        self.name = file.name
        self._supervisor = Supervisor(Load(str(file.path), file.name, settings), limits, resume=resume_streams)
        self._finalizer = weakref.finalize(self, self._supervisor.stop)
        try:
            self._supervisor.start()
        except BaseException:
            self._finalizer()
            raise
        facts = self._supervisor.facts
        self._n_vocab = int(facts["n_vocab"])
        self._set_template(chat_template, file, facts["bos"], facts["eos"])

    @property
    def settings(self) -> EngineSettings:
        """Effective settings, as last told by the process."""
        return self._supervisor.settings

    @property
    def stats(self) -> EngineStats:
        """A snapshot, as last told by the process; counters go on when it is replaced. Never blocks."""
        return self._supervisor.stats()

    @property
    def pid(self) -> int | None:
        """Process id of the worker; ``None``: there is none just now."""
        return self._supervisor.pid

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Text → token ids."""
        found = self._supervisor.call("tokenize", text=text, add_special=add_special, parse_special=parse_special)
        return list(found)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Token ids → text; invalid bytes become U+FFFD."""
        return str(self._supervisor.call("detokenize", tokens=[int(token) for token in tokens]))

    def score(self, text: str | Sequence[int], *, context: str | Sequence[int] = "") -> Scores:
        """Log-probabilities of the tokens of ``text`` after ``context`` (after BOS, if the model has one)."""
        tokens, logprobs = self._supervisor.call("score", text=_plain(text), context=_plain(context))
        return Scores(tuple(tokens), protocol.array_from(logprobs))

    def restart(self) -> None:
        """Let the next request load the model at once after that failed twice in the same way, without the pause."""
        self._supervisor.restart()

    def close(self) -> None:
        """End the process; running streams break off with :class:`StreamIncomplete`. Idempotent."""
        self._finalizer()

    def _submit(self, request: Request, listener: Listener | None = None) -> Ticket:
        made_at = time.perf_counter()
        ticket = self._supervisor.ticket(request, self._spelling(request.prompt), listener)
        ticket.made_at = made_at  # the template's time is the request's
        self._supervisor.submit([ticket])
        return ticket

    def complete_many(self, prompts: Sequence[Prompt | Request], **options: Any) -> list[Completion]:
        """Complete several, as many at once as ``n_seq_max``; answers in the order of the prompts.

        What prompts have in common is computed once, as by :meth:`TunedEngine.complete_many`: they travel together.

        Raises:
            QueueFull: more of them than ``queue_limit`` allows; nothing was started.
        """
        requests = [self._request(prompt, options) for prompt in prompts]
        tickets = [self._supervisor.ticket(request, self._spelling(request.prompt)) for request in requests]
        try:
            self._supervisor.submit(list(tickets))
            return [ticket.wait() for ticket in tickets]
        except BaseException:
            for ticket in tickets:
                ticket.cancel()
            raise

    def _spelling(self, prompt: Prompt) -> Mapping[str, Any]:
        """The prompt as the process takes it; the chat template is rendered by the process that has that job."""
        self._supervisor.check_open()
        if isinstance(prompt, str):
            return {"text": prompt, "add_special": True, "parse_special": False}
        messages = [part for part in prompt if isinstance(part, Message)]
        if not messages:
            return {"tokens": [part for part in prompt if isinstance(part, int)]}
        text = self.chat_template.render(messages)
        has_bos = bool(self._bos_text) and text.startswith(self._bos_text)
        return {"text": text, "add_special": not has_bos, "parse_special": True}

    def _checked(self, tokens: list[int]) -> list[int]:
        self._supervisor.check_open()
        check_tokens(tokens, self._n_vocab)
        return tokens


def _plain(text: str | Sequence[int]) -> str | list[int]:
    return text if isinstance(text, str) else [int(token) for token in text]


def _check_positive(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InvalidSettings(f"{name} must be a number above 0, not {value!r}.")
