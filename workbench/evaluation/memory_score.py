"""How well a memory remembers, and what that costs: a scorecard without a judge.

Labelled evidence says which messages answer a question; whether they come back is counted, not judged by a model. Knows
the ``Memory`` protocol and labelled conversations; never a strategy, and it asks no engine anything.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from workbench.errors import InvalidSettings
from workbench.evaluation.counting import CountingEmbedder
from workbench.evaluation.datasets.records import Conversation, Question
from workbench.evaluation.retrieval import hit_at_k, ndcg_at_k, recall_at_k
from workbench.evaluation.scorecard import Answered, Scorecard
from workbench.evaluation.waste import repeats, says_nothing
from workbench.interfaces import Memory, Message, Recollection

CountTokens = Callable[[str], int]

_WARM_UP = "What was said?"


def score_memory(
    memory: Memory,
    conversations: Sequence[Conversation],
    *,
    k: int | None = 10,
    count_tokens: CountTokens | None = None,
    embedder: CountingEmbedder | None = None,
    folder: Path | str | None = None,
    batched: bool = True,
) -> Scorecard:
    """Tell a memory the conversations, ask their questions, and score what comes back.

    Each conversation is a session of the memory; every question is asked after the last turn, by nothing but
    :meth:`Memory.recall`. Questions without labelled evidence cannot be scored and are only counted; the adversarial
    ones have evidence and count like all others. For nDCG the recalled messages are ranked by their score; of equal
    scores the older message comes first.

    Args:
        memory: one that nobody has told anything; it is not closed.
        conversations: with questions; their ids are the sessions' names.
        k: messages asked for, and the k of every figure; ``None``: as many as the conversation has, which is the
            baseline "full context".
        count_tokens: text → tokens, of the model that would read the prompt; ``None``: tokens are not counted.
        embedder: the one the memory was given, to tell how much it computed.
        folder: the memory's, to tell its size on disk.
        batched: one ``add_many`` for each sitting; else one ``add`` for each message, to time the hot path.

    Raises:
        InvalidSettings: no question has evidence, the memory knows one of the sessions already, or ``k`` is below 1.
    """
    _check(memory, conversations, k)
    embedded = embedder.passages if embedder else 0
    add_ms = [took for conversation in conversations for took in _tell(memory, conversation, batched)]
    flush_ms = _timed(memory.flush)
    first_ms, answered = [], []
    for conversation in conversations:
        first_ms.append(_timed(lambda: memory.recall(_WARM_UP, session=conversation.id, k=1)))  # noqa: B023
        answered += [
            _answered(memory, conversation, question, k or len(conversation.turns), count_tokens)
            for question in conversation.questions
            if question.evidence
        ]
    return Scorecard(
        k=k,
        answered=tuple(answered),
        unlabelled=sum(not question.evidence for one in conversations for question in one.questions),
        messages=sum(len(conversation.turns) for conversation in conversations),
        add_ms=tuple(add_ms),
        batched=batched,
        flush_ms=flush_ms,
        first_recall_ms=statistics.median(first_ms),
        history_tokens=_history_tokens(conversations, count_tokens),
        embedded_texts=None if embedder is None else embedder.passages - embedded,
        store_bytes=None if folder is None else size_on_disk(folder),
    )


def size_on_disk(folder: Path | str) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def prompt_text(message: Message) -> str:
    """A recalled message as it stands in a prompt: who said it, and what."""
    return f"{message.name}: {message.content}" if message.name else message.content


def _check(memory: Memory, conversations: Sequence[Conversation], k: int | None) -> None:
    if k is not None and k < 1:
        raise InvalidSettings(f"k must be at least 1 message, not {k}; None asks for all of them.")
    if not any(question.evidence for conversation in conversations for question in conversation.questions):
        raise InvalidSettings(
            "No question has labelled evidence, so nothing can be scored. Give conversations with some."
        )
    known = set(memory.sessions()).intersection(conversation.id for conversation in conversations)
    if known:
        raise InvalidSettings(
            f"The memory knows {sorted(known)[0]!r} already. Score one that nobody has told anything."
        )


def _tell(memory: Memory, conversation: Conversation, batched: bool) -> list[float]:
    """Milliseconds of each call."""
    messages, times, took = conversation.messages, conversation.times, []
    groups = conversation.sittings if batched else [range(place, place + 1) for place in range(len(messages))]
    for group in groups:
        part, at = messages[group.start : group.stop], times[group.start : group.stop]
        started = time.perf_counter()
        if batched:
            memory.add_many(part, session=conversation.id, at=at)
        else:
            memory.add(part[0], session=conversation.id, at=at[0])
        took.append(1e3 * (time.perf_counter() - started))
    return took


def _answered(
    memory: Memory, conversation: Conversation, question: Question, k: int, count_tokens: CountTokens | None
) -> Answered:
    started = time.perf_counter()
    found = memory.recall(question.text, session=conversation.id, k=k)
    recall_ms = 1e3 * (time.perf_counter() - started)
    messages = [one for one in found if one.index is not None]
    evidence, ranked = conversation.evidence_of(question), _ranked(messages)
    texts = [one.message.content for one in messages]
    return Answered(
        conversation=conversation.id,
        question=question.id,
        category=question.category,
        found=tuple(ranked),
        recall=recall_at_k(ranked, evidence, k),
        ndcg=ndcg_at_k(ranked, dict.fromkeys(evidence, 1.0), k),
        hit=hit_at_k(ranked, evidence, k),
        recall_ms=recall_ms,
        notes=len(found) - len(messages),
        relevant=len(evidence.intersection(ranked)),
        repeated=sum(repeats(texts)),
        junk=sum(one.index not in conversation.labelled and says_nothing(one.message.content) for one in messages),
        prompt_tokens=None if count_tokens is None else sum(count_tokens(prompt_text(one.message)) for one in found),
    )


def _ranked(messages: Sequence[Recollection]) -> list[int]:
    best_first = sorted(messages, key=lambda one: -one.score)
    return [one.index for one in best_first if one.index is not None]


def _history_tokens(conversations: Sequence[Conversation], count_tokens: CountTokens | None) -> float | None:
    """Tokens of a conversation as a whole, averaged over the questions that are asked of it."""
    if count_tokens is None:
        return None
    sizes = [sum(count_tokens(prompt_text(message)) for message in one.messages) for one in conversations]
    asked = [sum(bool(question.evidence) for question in one.questions) for one in conversations]
    return float(np.average(sizes, weights=asked))


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - started)
