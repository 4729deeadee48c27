"""Several voices on one engine: a narrator and characters who tell one story and share almost all of its KV.

A prompt's KV can be shared only up to the first token that differs. So what all know comes first (the rules, then the
story so far), what changes from turn to turn after it (the scene), and what is one voice's own last (who it is, what
it is asked). The usual layout, each role's own system prompt in front, makes an engine compute the whole story once
for every voice. "own-first" is that layout, to compare with.

Knows engines through their Protocol; never tools, memories or sessions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from workbench.conversation.context import UNKNOWN_CONTEXT
from workbench.errors import ContextOverflow, InvalidSettings, UnknownName
from workbench.interfaces import Chunk, Completion, Engine, Message, Stream

Layout = Literal["shared", "own-first"]
Scene = str | Callable[[], str]


class Cast:
    """Voices that speak in one story. Threads: any; the lines of the story stand in the order in which they were ended.

    >>> cast = Cast(engine, "A story by the sea, told in short lines.", {
    ...     "narrator": "You tell what happens.", "Mira": "You are Mira, who mends clocks."})
    >>> cast.say("narrator", "Begin.").text
    >>> [line.text for line in cast.round(["Mira", "narrator"], "The bell rings.")]

    Every prompt is a system message and one message of the user's: all chat templates take that, and a story that only
    grows at its end keeps the beginning of its tokens.

    Args:
        engine: says everything.
        rules: what all know and what does not change.
        roles: name → who that is; may be changed later, it stands last.
        scene: what all know and what does change: a text, or a function that is asked each time.
        layout: "shared" as said above, or "own-first".
        max_tokens: of a line, and what is left free for it when the story gets too long for the context. Where nobody
            knows that (a remote engine without ``n_ctx``), it is taken to have 4,096 tokens.
        options: of every request: fields of sampling, ``stop`` and so on.

    Attributes:
        forgotten: lines at the beginning that no longer fit. Half of the story goes at once then, so that what is left
            keeps its KV for long.

    Raises:
        InvalidSettings: no roles, or an unknown layout.
    """

    def __init__(
        self,
        engine: Engine,
        rules: str,
        roles: Mapping[str, str],
        *,
        scene: Scene = "",
        layout: Layout = "shared",
        max_tokens: int = 160,
        **options: Any,
    ) -> None:
        if not roles or not all(roles):
            raise InvalidSettings("A cast needs roles, like {'narrator': 'You tell what happens.'}.")
        if layout not in ("shared", "own-first"):
            raise InvalidSettings(f"layout must be 'shared' or 'own-first', not {layout!r}.")
        self.roles = dict(roles)
        self.forgotten = 0
        self._engine, self._rules, self._scene, self._layout = engine, rules, scene, layout
        self._options = {**options, "max_tokens": max_tokens}
        self._lines: list[tuple[str, str]] = []
        self._lock = threading.RLock()

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The story so far: who, and what was said."""
        with self._lock:
            return tuple(self._lines)

    def tell(self, who: str, text: str) -> None:
        """Add a line without asking anybody: the player's, or one from elsewhere."""
        with self._lock:
            self._lines.append((who, text.strip()))

    def say(self, role: str, cue: str = "", **options: Any) -> Completion:
        """Let a role speak; its line joins the story.

        Args:
            role: who.
            cue: what it is to speak about; it is not part of the story.
            options: of this request.

        Raises:
            UnknownName: nobody of that name; lists the others.
            ContextOverflow: rules, scene and role alone do not fit.
        """
        options = self._options | options
        completion = self._engine.complete(self.prompt(role, cue, options["max_tokens"]), **options)
        self.tell(role, completion.text)
        return completion

    def stream(self, role: str, cue: str = "", **options: Any) -> Iterator[Chunk]:
        """As :meth:`say`, chunk by chunk. What was said joins the story at the end, a line broken off included."""
        options = self._options | options
        return self._told(role, self._engine.stream(self.prompt(role, cue, options["max_tokens"]), **options))

    def round(self, roles: Sequence[str], cue: str = "", **options: Any) -> list[Completion]:
        """Let several speak at once: none hears the others of this round. Their lines join the story in order.

        As many at once as the engine can, one KV for all that they share.

        Raises:
            UnknownName: nobody of that name; then nobody speaks.
        """
        options = self._options | options
        prompts = [self.prompt(role, cue, options["max_tokens"]) for role in roles]
        completions = self._engine.complete_many(prompts, **options) if prompts else []
        with self._lock:
            for role, completion in zip(roles, completions, strict=True):
                self.tell(role, completion.text)
        return completions

    def prompt(self, role: str, cue: str = "", max_tokens: int | None = None) -> list[Message]:
        """What a role is asked, as messages; forgets the beginning of the story if there is no room for it.

        ``max_tokens``: of the line it is for; ``None``: the cast's own.
        """
        if role not in self.roles:
            raise UnknownName("role", role, self.roles)
        scene = self._scene() if callable(self._scene) else self._scene
        room = max_tokens or self._options["max_tokens"]
        with self._lock:
            messages = self._arranged(role, cue, scene)
            while (excess := self._excess(messages, room)) is not None:
                left = len(self._lines) - self.forgotten
                if not left:
                    raise ContextOverflow(*excess, "Shorten the rules, the scene or the role, or raise n_ctx.")
                self.forgotten += (left + 1) // 2
                messages = self._arranged(role, cue, scene)
            return messages

    def _arranged(self, role: str, cue: str, scene: str) -> list[Message]:
        story = "\n".join(f"{who}: {text}" for who, text in self._lines[self.forgotten :])
        own = f"{self.roles[role]}\nSpeak as {role}, one line only."
        head, tail = ([self._rules], [own]) if self._layout == "shared" else ([own, self._rules], [])
        now = [f"The story so far:\n{story}" if story else "The story begins.", scene, *tail, cue]
        return [Message.system("\n\n".join(head)), Message.user("\n\n".join(part for part in now if part))]

    def _excess(self, messages: list[Message], room: int) -> tuple[int, int] | None:
        """Tokens needed and there, if that is too little; ``None``: it fits."""
        n_ctx = self._engine.settings.n_ctx or self._engine.stats.n_ctx or UNKNOWN_CONTEXT
        need = self._engine.count_tokens(messages) + room
        return (need, n_ctx) if need > n_ctx else None

    def _told(self, role: str, stream: Stream) -> Iterator[Chunk]:
        said: list[str] = []
        try:
            for chunk in stream:
                said.append(chunk.text)
                yield chunk
        finally:
            stream.cancel()
            if said:
                self.tell(role, "".join(said))
