"""What every local engine shares: the public calls, made of one hook that takes a ticket."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from workbench.engine.scheduling.ticket import Listener, Ticket, TicketStream, stream_async
from workbench.engine.sessions.session import Saying, Session
from workbench.engine.template import ChatTemplate
from workbench.errors import InvalidSettings
from workbench.interfaces import Chunk, Completion, Engine, Message, Prompt, Request
from workbench.interfaces.presets import presets
from workbench.interfaces.schema import read_json
from workbench.models import ModelFile
from workbench.models.profiles import Profile


class LocalEngine(abc.ABC):
    """The calls of :class:`workbench.interfaces.Engine` in terms of :meth:`_submit`."""

    profile: Profile | None = None
    """The tuned profile it was loaded with (:func:`workbench.load`); ``None``: defaults and explicit settings only."""

    model_file: ModelFile | None = None
    """The file it runs; ``None`` before it is known."""

    @abc.abstractmethod
    def _submit(self, request: Request, listener: Listener | None = None) -> Ticket:
        """Tokenise, check and queue a request. Raises what can be known before it runs."""

    @abc.abstractmethod
    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Text → token ids."""

    @abc.abstractmethod
    def close(self) -> None:
        """Free everything; running streams break off. Idempotent."""

    def complete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """Generate and return the whole; an interrupt (Ctrl-C) cancels the request."""
        ticket = self._submit(self._request(prompt, options))
        try:
            return ticket.wait()
        except KeyboardInterrupt:
            ticket.cancel()
            raise

    def complete_json(self, prompt: Prompt | Request, schema: Any, **options: Any) -> Any:
        """Generate a value that meets a JSON schema.

        Args:
            prompt: say in it what is asked for: the schema constrains the answer, the model does not see it.
            schema: a mapping, its JSON text, or a pydantic model class.
            options: as :meth:`complete`.

        Returns:
            The parsed value; an instance, if ``schema`` is a class.

        Raises:
            InvalidGrammar: the schema asks for what cannot be promised.
            ConstraintUnmet: the token cap came first.
            pydantic.ValidationError: a validator of the class that its schema does not show.
        """
        return read_json(self.complete(prompt, json_schema=schema, **options).text, schema)

    def stream(self, prompt: Prompt | Request, **options: Any) -> TicketStream:
        """Generate chunk by chunk."""
        return TicketStream(self._submitter(prompt, options))

    async def acomplete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """As :meth:`complete`, without blocking the event loop."""
        ticket: Ticket | None = None
        submit = self._submitter(prompt, options)

        def keep(listener: Listener) -> Ticket:
            nonlocal ticket
            ticket = submit(listener)
            return ticket

        async for _ in stream_async(keep):
            pass
        assert ticket is not None  # noqa: S101 - stream_async submits before it yields
        return ticket.result()

    def astream(self, prompt: Prompt | Request, **options: Any) -> AsyncIterator[Chunk]:
        """As :meth:`stream`, without blocking the event loop."""
        return stream_async(self._submitter(prompt, options))

    def complete_many(self, prompts: Sequence[Prompt | Request], **options: Any) -> list[Completion]:
        """Complete several, as many at once as ``n_seq_max``; answers in the order of the prompts."""
        requests = [self._request(prompt, options) for prompt in prompts]
        tickets: list[Ticket] = []
        try:
            for request in requests:
                tickets.append(self._submit(request))  # noqa: PERF401 - those made so far are cancelled on an error
            return [ticket.wait() for ticket in tickets]
        except BaseException:
            for ticket in tickets:
                ticket.cancel()
            raise

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens the prompt takes in the context, chat template and special tokens included."""
        return len(self._prompt_tokens(Request.of(prompt).prompt))

    def session(
        self,
        system: Saying | None = None,
        *,
        resume: Path | str | Mapping[str, Any] | None = None,
        retokenise: bool = False,
    ) -> Session:
        """A conversation that is exact to the token; see :class:`workbench.engine.sessions.session.Session`.

        Args:
            system: what a new one opens with.
            resume: a saved one to go on with instead.
            retokenise: go on even if it is another model's.

        Raises:
            InvalidSettings: both were given, or the saved one is another model's.
            StoreCorrupt: what was saved is no session.
        """
        engine = cast(Engine, self)
        if resume is None:
            return Session(engine, system)
        if system is not None:
            raise InvalidSettings("A resumed session has its own opening. Leave system= out, or start a new one.")
        return Session.resume(engine, resume, retokenise=retokenise)

    def _set_template(self, own: str | None, file: ModelFile, bos: str, eos: str) -> None:
        self.model_file, self._bos_text, self.n_vocab = file, bos, file.n_vocab
        self.chat_template = ChatTemplate(file.chat_template if own is None else own, bos=bos, eos=eos, model=file.name)

    def _prompt_tokens(self, prompt: Prompt) -> list[int]:
        """The tokens of a prompt: messages through the chat template, text with the model's special tokens.

        Raises:
            InvalidSettings: no tokens at all, or ids that are no tokens of the model.
        """
        tokens = self._tokens_of(prompt)
        if not tokens:
            raise InvalidSettings("The prompt comes to no tokens at all. Give some text.")
        return tokens

    def _tokens_of(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str):
            return self.tokenize(prompt, add_special=True)
        messages = [part for part in prompt if isinstance(part, Message)]
        if not messages:
            return self._checked([part for part in prompt if isinstance(part, int)])
        text = self.chat_template.render(messages)
        has_bos = bool(self._bos_text) and text.startswith(self._bos_text)
        return self.tokenize(text, add_special=not has_bos, parse_special=True)

    @abc.abstractmethod
    def _checked(self, tokens: list[int]) -> list[int]:
        """The tokens, if they are the model's; llama.cpp aborts the process over others."""

    def _ids(self, text: str | Sequence[int], *, add_special: bool) -> list[int]:
        if isinstance(text, str):
            return self.tokenize(text, add_special=add_special)
        return self._checked([int(token) for token in text])

    def _request(self, prompt: Prompt | Request, options: dict[str, Any]) -> Request:
        return Request.of(prompt, presets=presets, **options)

    def _submitter(self, prompt: Prompt | Request, options: dict[str, Any]) -> Callable[[Listener], Ticket]:
        request = self._request(prompt, options)
        return lambda listener: self._submit(request, listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
