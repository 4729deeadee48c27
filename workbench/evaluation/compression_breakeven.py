"""From which length on compressing a conversation saves time: what it takes against the prefill it spares.

    it pays  ⟺  time to compress + prefill of what is left  <  prefill of the conversation as it is

Measured twice, because a conversation that goes on is rarely new to the engine:

* *cold*: nothing of it is in the KV cache, neither before nor after.
* *hot*: all but the last message is there. As it is, only the last message has to be computed; compressed, everything
  after the first message that changed has to be computed again. A compressor that runs on the same engine may push
  the cached prefix out, and pays for that too.

What a shorter context saves while the answer is written, and in memory, is left out, and so is what it costs in
quality. Knows the protocols of engine and compressor, no strategy.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from workbench.compression.budget import most_that_fits
from workbench.errors import InvalidSettings
from workbench.evaluation.datasets.own import small
from workbench.interfaces import Compression, Compressor, Engine, Message

MakeCompressor = Callable[[], Compressor]
State = Literal["cold", "hot"]
_QUESTION = Message.user("Before we go on: what did we agree on last time?")
_SHORTEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One strategy at one length. Times are medians over the rounds, in milliseconds.

    Attributes:
        strategy: its name.
        tokens: of the conversation as it is.
        tokens_after: of what is left.
        invalidated_tokens: of the conversation after the kept prefix.
        compress_ms: time to compress.
        before_ms: cold prefill of the conversation as it is.
        after_ms: cold prefill of what is left.
        hot_before_ms: prefill of the conversation as it is, all but the last message cached.
        hot_after_ms: prefill of what is left, all but the last message of the conversation as it was cached.
    """

    strategy: str
    tokens: int
    tokens_after: int
    invalidated_tokens: int
    compress_ms: float
    before_ms: float
    after_ms: float
    hot_before_ms: float
    hot_after_ms: float

    def saved_ms(self, state: State) -> float:
        """Time that compressing saves; negative: it costs as much more."""
        before, after = (self.before_ms, self.after_ms) if state == "cold" else (self.hot_before_ms, self.hot_after_ms)
        return before - after - self.compress_ms


@dataclass(frozen=True)
class BreakEven:
    """All strategies at all lengths."""

    trials: tuple[Trial, ...]

    def length(self, strategy: str, state: State = "cold") -> int | None:
        """Shortest conversation (tokens) from which on compressing pays at every length tried.

        ``None``: never within the lengths tried.

        Raises:
            InvalidSettings: that strategy was not tried.
        """
        tried = sorted((one for one in self.trials if one.strategy == strategy), key=lambda one: -one.tokens)
        if not tried:
            raise InvalidSettings(f"{strategy} was not tried. Known: {sorted({one.strategy for one in self.trials})}.")
        paid = list(itertools.takewhile(lambda one: one.saved_ms(state) > 0, tried))
        return paid[-1].tokens if paid else None

    def rows(self) -> list[dict[str, Any]]:
        """Plain dictionaries, for a table."""
        return [
            {
                **dataclasses.asdict(one),
                "saved_cold_ms": one.saved_ms("cold"),
                "saved_hot_ms": one.saved_ms("hot"),
            }
            for one in self.trials
        ]


def break_even(
    engine: Engine,
    compressors: Mapping[str, MakeCompressor],
    *,
    lengths: Sequence[int] = (256, 512, 1024, 2048),
    rate: float = 0.5,
    rounds: int = 1,
) -> BreakEven:
    """Measure every strategy at every length.

    Args:
        engine: whose prefill is compared; its context must hold the longest conversation.
        compressors: name → makes a new one. One is made for every measurement, so that none remembers the last.
        lengths: about so many tokens each, 64 or more; conversations of the small set, one after the other.
        rate: budget over the tokens of the conversation.
        rounds: measurements of each; the medians count.

    Raises:
        InvalidSettings: no lengths, one that is too short, or a rate or number of rounds out of its range.
        ContextOverflow: a conversation is longer than the engine's context.
    """
    if not lengths or min(lengths) < _SHORTEST or not 0 < rate < 1 or rounds < 1:
        raise InvalidSettings(
            f"Give lengths of {_SHORTEST} tokens or more, a rate between 0 and 1 and a round at least; got "
            f"{list(lengths)}, {rate} and {rounds}."
        )
    prefill_ms(engine, [_QUESTION])  # the first request pays for the context
    return BreakEven(
        tuple(
            trial
            for length in sorted(set(lengths))
            for trial in _at_length(engine, compressors, conversation_of(engine, length), rate, rounds)
        )
    )


def conversation_of(engine: Engine, tokens: int) -> list[Message]:
    """The longest conversation of at most so many tokens; its last message asks something."""
    told = list(itertools.islice(_told(), tokens))  # a message takes one token at least

    def first(count: int) -> list[Message]:
        return [*told[:count], _QUESTION]

    return first(most_that_fits(len(told), lambda count: engine.count_tokens(first(count)) <= tokens, tokens // 25))


def prefill_ms(engine: Engine, messages: Sequence[Message], *, cached: bool = False) -> float:
    """Time to compute a prompt up to the logits of the first new token."""
    answer = engine.complete(messages, max_tokens=1, temperature=0.0, cache_prompt=cached)
    return answer.timings.prefill_ms


def _at_length(
    engine: Engine, compressors: Mapping[str, MakeCompressor], messages: list[Message], rate: float, rounds: int
) -> Iterator[Trial]:
    before = median(prefill_ms(engine, messages) for _ in range(rounds))
    hot_before = median(_after_warming(engine, messages, lambda: messages) for _ in range(rounds))
    budget = math.floor(rate * engine.count_tokens(messages))
    for name, make in compressors.items():
        runs = [_once(engine, make, messages, budget) for _ in range(rounds)]
        last = runs[-1][0]
        yield Trial(
            strategy=name,
            tokens=last.tokens_before,
            tokens_after=last.tokens_after,
            invalidated_tokens=last.invalidated_tokens,
            compress_ms=median(one.elapsed_ms for one, _, _ in runs),
            before_ms=before,
            after_ms=median(cold for _, cold, _ in runs),
            hot_before_ms=hot_before,
            hot_after_ms=median(hot for _, _, hot in runs),
        )


def _once(
    engine: Engine, make: MakeCompressor, messages: list[Message], budget: int
) -> tuple[Compression, float, float]:
    """A compression, the cold prefill of what it left, and the hot one."""
    done: list[Compression] = []

    def compress() -> Sequence[Message]:
        done.append(make().compress(messages, budget, _QUESTION.content))
        return done[0].messages

    hot = _after_warming(engine, messages, compress)
    return done[0], prefill_ms(engine, done[0].messages), hot


def _after_warming(engine: Engine, messages: Sequence[Message], prompt: Callable[[], Sequence[Message]]) -> float:
    """Prefill of a prompt that is made once all but the last message of the conversation is cached."""
    prefill_ms(engine, messages[:-1] or messages, cached=True)
    return prefill_ms(engine, prompt(), cached=True)


def _told() -> Iterator[Message]:
    """The small set's messages; from the second time on they are numbered, so that nothing is said twice."""
    told = [message for one in small().conversations for message in one.messages]
    for turn in itertools.count(1):
        for message in told:
            yield message if turn == 1 else dataclasses.replace(message, content=f"{turn}. {message.content}")
