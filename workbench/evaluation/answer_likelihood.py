"""How well a model can still answer once the conversation was compressed: the likelihood of the right answer.

    L = 1/n Σ ln P(token of the gold answer | conversation, question, the tokens before it)        nats per token

No answer is generated and none is judged. Compared are the whole conversation ("full"), none at all ("closed": what
the model knows or guesses anyway), and what each compressor leaves. Likelihood under a context as a measure of what
the context is good for: Jiang et al. 2023, LongLLMLingua (arXiv 2310.06839), section 4.

Long conversations do not fit a small model's context. What is measured then is an excerpt: consecutive messages of a
fixed number of tokens that hold as much of the question's evidence as any such excerpt can; which of several is drawn
by lot, so that the evidence is at no particular place. Knows the protocols of engine and compressor, no strategy.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from workbench.errors import InvalidSettings
from workbench.evaluation.datasets.records import Conversation, Question
from workbench.evaluation.retrieval import Estimate, clustered_mean
from workbench.interfaces import Compressor, Engine, Message

FULL, CLOSED = "full", "closed"
DEFAULT_EXCERPT = 768
_LEAD = "A conversation, and a question about it.\n\n"
_PER_MESSAGE = 4  # tokens of a line break and a speaker's name, about


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """Of one answer, given what one strategy left.

    Attributes:
        conversation: id.
        question: id.
        strategy: its name, "full" or "closed".
        rate: budget over the tokens of the excerpt; 1 for "full", 0 for "closed".
        nats: mean log-probability of the answer's tokens; at most 0.
        answer_tokens: of the gold answer.
        prompt_tokens: of what stood before it.
        ms: what compressing took; 0 for "full" and "closed".
    """

    conversation: str
    question: str
    strategy: str
    rate: float
    nats: float
    answer_tokens: int
    prompt_tokens: int
    ms: float


@dataclass(frozen=True)
class LikelihoodScore:
    """Every question under every strategy at every rate, and under "full" and "closed"."""

    rows: tuple[Likelihood, ...]

    def of(self, strategy: str, rate: float | None = None) -> list[Likelihood]:
        """The rows of one strategy; ``rate`` may be left out for "full" and "closed".

        Raises:
            InvalidSettings: there are none.
        """
        rate = {FULL: 1.0, CLOSED: 0.0}.get(strategy, rate)
        found = [row for row in self.rows if (row.strategy, row.rate) == (strategy, rate)]
        if not found:
            known = sorted({f"{row.strategy} at {row.rate:g}" for row in self.rows})
            raise InvalidSettings(f"{strategy} at {rate} was not scored. Known: {', '.join(known)}.")
        return found

    def mean(self, strategy: str, rate: float | None = None) -> Estimate:
        """Mean nats per token, every question weighing the same; the interval knows of conversations."""
        rows = self.of(strategy, rate)
        return clustered_mean([row.nats for row in rows], [row.conversation for row in rows], bounds=None)

    def gain(self, strategy: str, over: str, rate: float | None = None) -> Estimate:
        """Mean difference to another strategy at the same rate, question by question; above 0: likelier answers."""
        pairs = list(self._paired(strategy, over, rate))
        return clustered_mean([one - other for one, other, _ in pairs], [name for _, _, name in pairs], bounds=None)

    def recovered(self, strategy: str, rate: float | None = None) -> float | None:
        """``(mean - closed) / (full - closed)``: share of what the conversation is worth that is still there.

        ``None``: the whole conversation makes the answers no likelier than none.
        """
        closed, full = self.mean(CLOSED).value, self.mean(FULL).value
        return (self.mean(strategy, rate).value - closed) / (full - closed) if full > closed else None

    def prompt_tokens(self, strategy: str, rate: float | None = None) -> float:
        """Mean tokens before the answer."""
        return fmean(row.prompt_tokens for row in self.of(strategy, rate))

    def _paired(self, strategy: str, over: str, rate: float | None) -> Iterator[tuple[float, float, str]]:
        others = {row.question: row.nats for row in self.of(over, rate)}
        return ((row.nats, others[row.question], row.conversation) for row in self.of(strategy, rate))


def score_answers(
    engine: Engine,
    compressors: Mapping[str, Compressor],
    conversations: Sequence[Conversation],
    *,
    rates: Sequence[float] = (0.5, 0.25),
    with_query: bool = True,
    excerpt_tokens: int = DEFAULT_EXCERPT,
    questions: int | None = None,
    seed: int = 0,
) -> LikelihoodScore:
    """Score the gold answers of questions that have one, and evidence.

    Args:
        engine: whose likelihood it is; its context must hold an excerpt, a question and an answer.
        compressors: name → strategy; give a random one as well, as what the others are compared with.
        conversations: with questions and answers.
        rates: budget over the tokens of the excerpt and question, as each compressor counts them.
        with_query: whether the compressors are told the question. It is asked either way.
        excerpt_tokens: most tokens of a conversation that are used, by the engine's tokenizer.
        questions: at most so many of each conversation, drawn by ``seed``; ``None``: all.
        seed: of the questions and excerpts.

    Raises:
        InvalidSettings: no question has an answer and evidence, a rate is out of its range, or a name is taken.
        ContextOverflow: the excerpt is longer than the engine's context, or a question longer than the budget.
    """
    if not all(0 < rate < 1 for rate in rates) or excerpt_tokens < 1:
        raise InvalidSettings(f"Rates are shares between 0 and 1 and an excerpt has tokens; got {list(rates)}.")
    if taken := {FULL, CLOSED} & set(compressors):
        raise InvalidSettings(f"{taken} cannot be the name of a strategy: it is always compared.")
    rows: list[Likelihood] = []
    for conversation in conversations:
        for question in _asked(conversation, questions, seed):
            said = _excerpt(engine, conversation, question, excerpt_tokens, seed)
            score = _Scorer(engine, conversation, question)
            rows += [score(FULL, 1.0, said), score(CLOSED, 0.0, [])]
            for rate, (name, compressor) in itertools.product(rates, compressors.items()):
                rows.append(_compressed(score, name, compressor, rate, said, with_query))
    if not rows:
        raise InvalidSettings("No question has both an answer and labelled evidence. Give conversations with some.")
    return LikelihoodScore(tuple(rows))


@dataclass(frozen=True)
class _Scorer:
    """Scores the answer to one question."""

    engine: Engine
    conversation: Conversation
    question: Question

    def __call__(self, strategy: str, rate: float, said: Iterable[Message], ms: float = 0.0) -> Likelihood:
        context = self.engine.tokenize(prompt_of(said, self.question.text), add_special=True)
        answer = self.engine.tokenize(f" {self.question.answer}")
        return Likelihood(
            conversation=self.conversation.id,
            question=self.question.id,
            strategy=strategy,
            rate=rate,
            nats=float(self.engine.score(answer, context=context).logprobs.mean()),
            answer_tokens=len(answer),
            prompt_tokens=len(context),
            ms=ms,
        )


def prompt_of(said: Iterable[Message], question: str) -> str:
    """What stands before the answer: plain text, so that it means the same to a base model and to a chat model."""
    lines = "".join(f"{message.name or message.role}: {message.content}\n" for message in said)
    return f"{_LEAD}{lines}\nQuestion: {question}\nAnswer:"


def _asked(conversation: Conversation, most: int | None, seed: int) -> list[Question]:
    usable = [one for one in conversation.questions if one.answer and one.evidence]
    if most is None or most >= len(usable):
        return usable
    drawn = random.Random(f"{seed} {conversation.id}").sample(range(len(usable)), most)  # noqa: S311 - a sample
    return [usable[place] for place in sorted(drawn)]


def _excerpt(engine: Engine, conversation: Conversation, question: Question, most: int, seed: int) -> list[Message]:
    """Consecutive messages with as much of the evidence as possible, one of the best such stretches."""
    messages = conversation.messages
    lengths = [len(engine.tokenize(message.content)) + _PER_MESSAGE for message in messages]
    evidence = conversation.evidence_of(question)
    found: list[tuple[int, int, int]] = []
    end = total = 0
    for start in range(len(messages)):
        while end < len(messages) and total + lengths[end] <= most:
            total += lengths[end]
            end += 1
        found.append((sum(start <= place < end for place in evidence), start, end))
        if end == len(messages):
            break
        if end > start:
            total -= lengths[start]
        else:
            end = start + 1  # a message longer than the whole excerpt
    best = max(count for count, _, _ in found)
    choices = [(start, end) for count, start, end in found if count == best]
    start, end = random.Random(f"{seed} {question.id}").choice(choices)  # noqa: S311 - a sample
    return list(messages[start:end])


def _compressed(
    score: _Scorer, name: str, compressor: Compressor, rate: float, said: Sequence[Message], with_query: bool
) -> Likelihood:
    asked = Message.user(score.question.text)
    query = asked.content if with_query else None
    messages = [*said, asked]
    whole = compressor.compress(messages, sys.maxsize, query).tokens_before
    compression = compressor.compress(messages, math.floor(rate * whole), query)
    return score(name, rate, compression.messages[:-1], compression.elapsed_ms)
