"""An engine whose computing is real and whose words are scripted.

It lets a real model read every prompt, and write as many tokens as the script says, so that tokens, reuse of KV and
times are those of that model, while what is said does not depend on how clever it is. Grammar constraints are not put
to the model: their cost is not in the figures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from workbench.interfaces import Chunk, Completion, Engine, EngineStats, Prompt, Request, Stream, Timings
from workbench.settings import EngineSettings


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A request that was made.

    Attributes:
        request: what was asked.
        said: what the script answered.
        timings: of the model's work on it.
    """

    request: Request
    said: str
    timings: Timings


class PuppetStream(Iterator[Chunk]):
    """The model's chunks with the script's words in them. Implements :class:`workbench.interfaces.Stream`."""

    def __init__(self, stream: Stream, request: Request, said: str, asked: list[Asked]) -> None:
        self._stream, self._request, self._said, self._asked = stream, request, said, asked
        self._words, self._blank = iter(said.split(" ")), ""
        self._completion: Completion | None = None

    def __next__(self) -> Chunk:
        if self._completion is not None:
            raise StopIteration
        chunk = next(self._stream)
        if chunk.finish_reason is None:
            return dataclasses.replace(chunk, text=self._word(), tokens=())
        self._completion = dataclasses.replace(self._stream.completion, text=self._said, finish_reason="stop")
        self._asked.append(Asked(self._request, self._said, self._completion.timings))
        rest = self._word() + "".join(f" {word}" for word in self._words)
        return Chunk(rest, (), chunk.at_ms, "stop")

    def cancel(self) -> None:
        """Ask the model for the end; what is left of the script comes with it."""
        self._stream.cancel()

    @property
    def completion(self) -> Completion:
        """What the script says, with the model's timings."""
        return self._stream.completion if self._completion is None else self._completion

    def _word(self) -> str:
        word = next(self._words, None)
        if word is None:
            return ""
        blank, self._blank = self._blank, " "
        return blank + word


class PuppetEngine:
    """What a turn with tools needs of an :class:`workbench.interfaces.Engine`, no more.

    Args:
        engine: computes; stays the caller's.
        line: the request → what is said.
        decodes: let the model write as many tokens as what is said has; otherwise one.

    Attributes:
        asked: every request, in the order of their ends.
    """

    def __init__(self, engine: Engine, line: Callable[[Request], str], *, decodes: bool = True) -> None:
        self.asked: list[Asked] = []
        self.name = engine.name
        self._engine, self._line, self._decodes = engine, line, decodes

    @property
    def settings(self) -> EngineSettings:
        """The computing engine's."""
        return self._engine.settings

    @property
    def stats(self) -> EngineStats:
        """The computing engine's."""
        return self._engine.stats

    def complete(self, prompt: Prompt | Request, **options: Any) -> Completion:
        """What the script says, when the model has computed as much."""
        request, said, given = self._begin(prompt, options)
        completion = self._engine.complete(request.prompt, **given)
        self.asked.append(Asked(request, said, completion.timings))
        return dataclasses.replace(completion, text=said)

    def stream(self, prompt: Prompt | Request, **options: Any) -> PuppetStream:
        """The script word by word: the first when the model has its first token, what is left when it ends."""
        request, said, given = self._begin(prompt, options)
        return PuppetStream(self._engine.stream(request.prompt, **given), request, said, self.asked)

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """The computing engine's."""
        return self._engine.tokenize(text, add_special=add_special, parse_special=parse_special)

    def count_tokens(self, prompt: str | Sequence[Any]) -> int:
        """The computing engine's."""
        return self._engine.count_tokens(prompt)

    def _begin(self, prompt: Prompt | Request, options: dict[str, Any]) -> tuple[Request, str, dict[str, Any]]:
        request = Request.of(prompt, **options)
        said = self._line(request)
        tokens = max(1, len(self._engine.tokenize(said))) if self._decodes else 1
        return request, said, {"max_tokens": tokens, "temperature": 0.0, "ignore_eos": True}
