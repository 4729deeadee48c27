"""A conversation that is exact to the token: each turn is put behind the tokens the model has seen and said.

Nothing is tokenised twice, so an engine's prefix cache finds all of it, and forks of a conversation share what they
have in common. Knows engines by their Protocol; never memory, compression or widgets.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.engine.sessions.difference import SessionDiff, compare
from workbench.engine.sessions.tokens import Part, TokenWriter
from workbench.engine.sessions.turn import Ended, Turn, chain, messages_of, tokens_of, turn_from_dict, turn_to_dict
from workbench.errors import InvalidSettings, StoreCorrupt, StreamIncomplete, UsageError
from workbench.interfaces import Chunk, Completion, Engine, Message, Prompt, Stream
from workbench.interfaces.messages import as_prompt
from workbench.storage import read_json, write_json

Saying = str | Message | Mapping[str, Any] | Sequence[Message | Mapping[str, Any]]
"""What is said: a text, a message, or several; dictionaries in OpenAI's shape are messages."""

FORMAT = 1

_NO_TEMPLATE = "This engine shows no chat template: each turn sends the messages, and what is reused is its own affair."


class Session:
    """One conversation with one engine.

    An answer that breaks off, is cancelled or abandoned is kept as far as it came, its turn marked by ``ended``
    ("broken", "cancelled"); one that broke off before its first text leaves the conversation as it was, as do a request
    that is refused and an :meth:`asend` whose task is cancelled.

    Threads: any, but one turn at a time; :meth:`fork` for several at once. With an engine that has no ``chat_template``
    the messages are sent instead of tokens, and :attr:`tokens` is empty.

    Args:
        engine: whom to talk to; it is not closed with the session.
        system: a system message, or the messages the conversation opens with.

    Attributes:
        engine: whom this session talks to.
        notes: what did not go the exact way, in sentences.
    """

    def __init__(self, engine: Engine, system: Saying | None = None) -> None:
        self.engine = engine
        template = getattr(engine, "chat_template", None)
        self._writer = None if template is None else TokenWriter(engine, template)
        self.notes: list[str] = [] if self._writer else [_NO_TEMPLATE]
        self._opening = () if system is None else _messages(system, "system")
        self._last: Turn | None = None
        self._draft: _Draft | None = None
        self._lock = threading.RLock()

    # -- talking ---------------------------------------------------------------------------------------------------

    def send(self, message: Saying, **options: Any) -> Completion:
        """Say something and wait for the answer.

        Args:
            message: what the user says, or messages (a tool's answer, say).
            options: as :meth:`workbench.interfaces.Engine.complete` takes them.

        Raises:
            UsageError: a turn is under way.
            StreamIncomplete: the engine went away; what it had said is kept.
        """
        stream = self.stream(message, **options)
        for _ in stream:
            pass
        return stream.completion

    def stream(self, message: Saying, **options: Any) -> SessionStream:
        """As :meth:`send`, chunk by chunk. The turn is part of the conversation when the stream has ended."""
        stream = SessionStream(self._settle)
        draft, prompt = self._begin(_messages(message, "user"), stream)
        try:
            stream.start(self.engine.stream(prompt, **options), draft)
        except BaseException:
            self._drop(draft)
            raise
        return stream

    async def asend(self, message: Saying, **options: Any) -> Completion:
        """As :meth:`send`, without blocking the event loop."""
        owner = _Owner()  # gone with this call, however it ends: a draft without an owner is over
        try:
            draft, prompt = await asyncio.to_thread(self._begin, _messages(message, "user"), owner)
            return await self._complete(draft, prompt, options)
        finally:
            del owner  # a traceback somebody keeps would keep it too

    async def _complete(self, draft: _Draft, prompt: Prompt, options: Mapping[str, Any]) -> Completion:
        try:
            completion = await self.engine.acomplete(prompt, **options)
        except StreamIncomplete as error:
            draft.texts.append(error.partial)
            self._settle(draft, "broken")
            raise
        except BaseException:
            self._drop(draft)
            raise
        draft.texts.append(completion.text)
        draft.tokens.extend(completion.tokens)
        await asyncio.to_thread(self._settle, draft, completion.finish_reason)
        return completion

    def cancel(self) -> None:
        """End the turn under way, if there is one, with what has come so far. Any thread.

        For a stream that is not at hand any more: its own ``cancel`` lets it be read to its end.
        """
        with self._lock:
            if self._draft is not None:
                owner = self._draft.owner()
                if isinstance(owner, SessionStream):
                    owner.cancel()
                self._settle(self._draft, "cancelled")

    # -- what was said ---------------------------------------------------------------------------------------------

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns that have ended, oldest first."""
        return tuple(chain(self._now()))

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation, opening messages included."""
        last = self._now()
        return self._opening if last is None else messages_of(last)

    @property
    def tokens(self) -> tuple[int, ...]:
        """What the next prompt begins with. Empty before the first turn, or where the engine shows no tokens."""
        return tuple(tokens_of(self._now()))

    @property
    def n_tokens(self) -> int:
        """Tokens the conversation takes in the context."""
        if self._writer is None:
            return self.engine.count_tokens(self.messages) if self.messages else 0
        return len(self.tokens)

    def diff(self, other: Session) -> SessionDiff:
        """What this conversation and another have in common, and how each goes on."""
        return compare(self.messages, other.messages, self.tokens, other.tokens)

    # -- going back, and two ways at once --------------------------------------------------------------------------

    def fork(self) -> Session:
        """Another conversation with the same past; both go on on their own. Costs the same however long the past is.

        While a turn is under way the fork begins before it.
        """
        other = Session(self.engine)
        other._opening, other._last, other.notes = self._opening, self._now(), list(self.notes)
        return other

    def rewind(self, turns: int = 1, *, to: int | None = None) -> None:
        """Forget the last turns.

        Args:
            turns: how many.
            to: how many to keep, in place of ``turns``.

        Raises:
            InvalidSettings: there are not so many.
            UsageError: a turn is under way.
        """
        with self._lock:
            self._check_free()
            present = chain(self._last)
            keep = len(present) - turns if to is None else to
            if not 0 <= keep <= len(present):
                raise InvalidSettings(f"There are {len(present)} turns; {keep} cannot be kept. Give 0 to all of them.")
            self._last = present[keep - 1] if keep else None

    # -- keeping it ------------------------------------------------------------------------------------------------

    def record(self) -> dict[str, Any]:
        """The conversation as JSON values: messages, tokens, and the model they belong to."""
        return {
            "workbench_session": FORMAT,
            "model": self.engine.name,
            "n_vocab": getattr(self.engine, "n_vocab", None),
            "opening": [message.to_dict() for message in self._opening],
            "turns": [turn_to_dict(turn) for turn in self.turns],
            "notes": list(self.notes),
        }

    def save(self, path: Path | str) -> None:
        """Write :meth:`record` to a file, atomically.

        Raises:
            StorageFull: there is no room; a file that was there is as it was.
        """
        write_json(path, self.record())

    @classmethod
    def resume(cls, engine: Engine, source: Path | str | Mapping[str, Any], *, retokenise: bool = False) -> Session:
        """A conversation from a file or a record.

        Args:
            engine: whom to go on with.
            source: what :meth:`save` wrote or :meth:`record` returned.
            retokenise: make the tokens anew from the messages, so that another model can go on.

        Raises:
            StoreCorrupt: it is no session.
            InvalidSettings: it is of another model.
        """
        named = source if isinstance(source, Path | str) else "the record"
        record = read_json(source) if isinstance(source, Path | str) else source
        session = cls(engine)
        try:
            if record["workbench_session"] != FORMAT:
                raise ValueError(f"its format is {record['workbench_session']}, this workbench reads {FORMAT}")
            session._load(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreCorrupt(named, f"it is no session ({error!r})") from error
        session._check_model(record, retokenise)
        if retokenise:
            session._retokenise()
        return session

    def _load(self, record: Mapping[str, Any]) -> None:
        self._opening = tuple(Message.from_mapping(message) for message in record["opening"])
        for values in record["turns"]:
            self._last = turn_from_dict(values, self._last)
        self.notes = [*dict.fromkeys([*map(str, record["notes"]), *self.notes])]

    def _check_model(self, record: Mapping[str, Any], retokenise: bool) -> None:
        theirs = (record.get("model"), record.get("n_vocab"))
        mine = (self.engine.name, getattr(self.engine, "n_vocab", None))
        if theirs != mine and not retokenise:
            raise InvalidSettings(
                f"The session is of {theirs[0]!r} with {theirs[1]} tokens in its vocabulary; this engine runs "
                f"{mine[0]!r} with {mine[1]}. Load the other model, or pass retokenise=True to keep the messages only."
            )

    def _retokenise(self) -> None:
        """Make every turn again from its messages."""
        turns, self._last = chain(self._last), None
        for turn in turns:
            draft = self._drafted(turn.asked)
            draft.texts.append(turn.answer.content)
            self._last = self._finished(draft, turn.ended)
        self.notes.append("The tokens were made anew from the messages.")

    # -- a turn under way ------------------------------------------------------------------------------------------

    def _begin(self, asked: tuple[Message, ...], owner: object) -> tuple[_Draft, Prompt]:
        """Make the prompt; from now on the turn is under way, as long as its owner lives."""
        with self._lock:
            self._check_free()
            asked = asked if self._last else (*self._opening, *asked)
            draft = self._drafted(asked)
            draft.owner = weakref.ref(owner)
            self._draft = draft
            if draft.part is None:
                return draft, (*messages_of(self._last), *asked)
            return draft, (*(() if draft.part.whole else tokens_of(self._last)), *draft.part.tokens)

    def _drafted(self, asked: tuple[Message, ...]) -> _Draft:
        part = None if self._writer is None else self._writer.next_part(self._last, asked)
        if part is not None and part.note:
            self.notes.append(f"Turn {len(chain(self._last)) + 1}: all was tokenised again, for {part.note}.")
        return _Draft(asked, part)

    def _check_free(self) -> None:
        self._now()
        if self._draft is not None:
            raise UsageError(
                "A turn of this session is under way. Read its stream to the end, cancel() the session, or fork() it."
            )

    def _now(self) -> Turn | None:
        """The last turn that has ended; one whose stream was abandoned ends here."""
        with self._lock:
            if self._draft is not None and self._draft.owner() is None:
                self._settle(self._draft, "cancelled")
            return self._last

    def _settle(self, draft: _Draft, ended: Ended) -> None:
        """Make a draft a turn of the conversation, if it came to anything."""
        with self._lock:
            if self._draft is not draft:
                return
            self._draft = None
            if draft.text or ended in ("stop", "length"):
                self._last = self._finished(draft, ended)

    def _drop(self, draft: _Draft) -> None:
        with self._lock:
            if self._draft is draft:
                self._draft = None

    def _finished(self, draft: _Draft, ended: Ended) -> Turn:
        answer, part = Message.assistant(draft.text), draft.part
        if part is None or self._writer is None:
            return Turn(before=self._last, asked=draft.asked, answer=answer, ended=ended)
        output = self._writer.said(draft.text, draft.tokens, stopped=ended == "stop", after=part.tokens[-1])
        return Turn(
            before=self._last,
            asked=draft.asked,
            answer=answer,
            ended=ended,
            prompt=part.tokens,
            output=output,
            rendered=part.rendered,
            whole=part.whole,
        )


class SessionStream(Iterator[Chunk]):
    """The chunks of one turn. Implements :class:`workbench.interfaces.Stream`; made by :meth:`Session.stream`."""

    def __init__(self, settle: Callable[[_Draft, Ended], None]) -> None:
        self._settle = settle

    def start(self, stream: Stream, draft: _Draft) -> None:
        """Take over the engine's stream."""
        self._stream, self._draft = stream, draft

    def __next__(self) -> Chunk:
        try:
            chunk = next(self._stream)
        except StopIteration:
            raise
        except Exception:
            self._settle(self._draft, "broken")
            raise
        except BaseException:  # Ctrl-C
            self._stream.cancel()
            self._settle(self._draft, "cancelled")
            raise
        self._draft.texts.append(chunk.text)
        self._draft.tokens.extend(chunk.tokens)
        if chunk.finish_reason is not None:
            self._settle(self._draft, chunk.finish_reason)
        return chunk

    def cancel(self) -> None:
        """Ask for the end; the stream then ends with ``finish_reason="cancelled"``."""
        self._stream.cancel()

    @property
    def completion(self) -> Completion:
        """The whole, once the stream is exhausted."""
        return self._stream.completion


class _Owner:
    """Somebody a draft belongs to; weakly referred to."""


@dataclass(slots=True, eq=False)
class _Draft:
    """A turn under way: what was asked, and what has come so far."""

    asked: tuple[Message, ...]
    part: Part | None
    texts: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    owner: Callable[[], object | None] = field(default=lambda: None)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def _messages(given: Saying, role: str) -> tuple[Message, ...]:
    """Messages from what a person gives: a plain text is one of ``role``."""
    if isinstance(given, str):
        return (Message(role, given),)
    given = (given,) if isinstance(given, Mapping) else given
    messages = tuple(part for part in as_prompt(given) if isinstance(part, Message))
    if not messages:
        raise InvalidSettings("Say something: a text, a message or several. A session takes no tokens.")
    return messages
