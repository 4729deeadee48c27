"""What the mock endpoint says to a request: its script, caps and stop strings, and JSON that fits a schema.

Knows no HTTP: a request's JSON body goes in, the tokens of an answer come out.
"""

from __future__ import annotations

import functools
import itertools
import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.testing.endpoint.minimal_json import minimal
from workbench.testing.words import WordTokenizer

_WORDS = (
    "the",
    "river",
    "ran",
    "past",
    "a",
    "mill",
    "and",
    "over",
    "stones",
    "until",
    "it",
    "met",
    "an",
    "older",
    "one",
)
_DEFAULT_TOKENS = (16, 48)


@dataclass(frozen=True, slots=True)
class Answer:
    """A line of the script.

    Attributes:
        text: what is said.
        tool_calls: (name, arguments) of tools that are called after it.
        reasoning: said before it, as ``reasoning_content``.
        finish_reason: sent if neither cap nor tools gave another.
    """

    text: str = ""
    tool_calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    reasoning: str = ""
    finish_reason: str = "stop"


Line = str | Answer
Script = Line | Sequence[Line] | Callable[[dict[str, Any]], Line] | None


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, cut to what was asked for.

    Attributes:
        pieces: texts of its tokens.
        tokens: their ids.
        answer: the line it came from.
        finish_reason: why it ended.
        prompt_tokens: tokens of the prompt.
    """

    pieces: tuple[str, ...]
    tokens: tuple[int, ...]
    answer: Answer
    finish_reason: str
    prompt_tokens: int

    @property
    def text(self) -> str:
        """The whole."""
        return "".join(self.pieces)


class Speaker:
    """Finds the answer to a request. Any thread.

    Args:
        script: a line said to everybody, lines said in turn (over again at their end), a function of the request's
            body, or ``None``: words drawn from the prompt, the same for the same prompt and seed.
        seed: of those words.
    """

    def __init__(self, script: Script, seed: int) -> None:
        self.words = WordTokenizer()
        self._seed = seed
        self._script = script if script is None or callable(script) else _in_turn(script)
        self._lock = threading.Lock()
        self._tokens = functools.lru_cache(64)(self.words.tokenize)  # the same few lines, over and over

    def prompt_tokens(self, body: Mapping[str, Any]) -> list[int]:
        """Token ids of a request's prompt, with the beginning and what the chat template adds."""
        prompt = body.get("prompt", "")
        if "messages" in body:
            prompt = templated(body["messages"])
        elif isinstance(prompt, list):
            return [int(token) for token in prompt]
        special = bool(body.get("add_special_tokens", True))
        return self.words.tokenize(prompt, add_special=special, parse_special=True)

    def answer(self, body: dict[str, Any], prompt_tokens: int) -> Said:
        """What is said to a request whose prompt has that many tokens."""
        answer = self._line(body)
        ids = self._tokens(answer.text)
        cap = body.get("max_completion_tokens") or body.get("max_tokens")
        if body.get("ignore_eos") and ids and cap:
            ids = list(itertools.islice(itertools.cycle(ids), cap))
        reached = cap is not None and len(ids) >= cap
        pieces = [self.words.piece(token) for token in ids[: cap if reached else None]]
        pieces, stopped = _cut_at(pieces, _stops(body))
        reason = "stop" if stopped else "length" if reached else "tool_calls" if answer.tool_calls else ""
        return Said(tuple(pieces), tuple(ids[: len(pieces)]), answer, reason or answer.finish_reason, prompt_tokens)

    def _line(self, body: dict[str, Any]) -> Answer:
        wanted = _format(body)
        if wanted is not None:
            return Answer(json.dumps(wanted, ensure_ascii=False))
        if self._script is None:
            return Answer(self._drawn(body))
        if callable(self._script):
            line = self._script(body)
        else:
            with self._lock:
                line = next(self._script)
        return Answer(line) if isinstance(line, str) else line

    def _drawn(self, body: Mapping[str, Any]) -> str:
        seed = None if body.get("temperature") == 0 else body.get("seed")
        asked = json.dumps([body.get("messages"), body.get("prompt")], sort_keys=True)
        draw = random.Random(f"{self._seed} {seed} {asked}")  # noqa: S311 - an answer that looks like one
        return " ".join(draw.choices(_WORDS, k=draw.randint(*_DEFAULT_TOKENS))) + "."


def templated(messages: Sequence[Mapping[str, Any]]) -> str:
    """Messages as one text: the mock's chat template."""
    return "".join(f"{message['role']}: {_content(message)}</s>" for message in messages) + "assistant:"


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _in_turn(script: Line | Sequence[Line]) -> Iterator[Line]:
    return itertools.repeat(script) if isinstance(script, str | Answer) else itertools.cycle(script)


def _stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop") or ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _cut_at(pieces: list[str], stops: Sequence[str]) -> tuple[list[str], bool]:
    """The pieces up to the first stop string."""
    text = "".join(pieces)
    found = [text.index(stop) for stop in stops if stop in text]
    if not found:
        return pieces, False
    room, kept = min(found), []
    for piece in pieces:
        if room <= 0:
            break
        kept.append(piece[:room])
        room -= len(piece)
    return kept, True


def _format(body: Mapping[str, Any]) -> Any:
    """A value of the form asked for; ``None``: none was."""
    form = body.get("response_format") or {}
    if form.get("type") == "json_object":
        return minimal(form["schema"]) if "schema" in form else {}  # llama-server takes a schema here, too
    schema = form.get("json_schema", {}).get("schema") if form.get("type") == "json_schema" else body.get("json_schema")
    return None if schema is None else minimal(schema)
