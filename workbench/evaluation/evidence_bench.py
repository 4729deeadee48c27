"""What the extractive compressor keeps of labelled evidence, beside random dropping, in figures for a record.

Knows data sets by name and the two compressors it compares; the counting is :mod:`workbench.evaluation.evidence`'s.

The extractive compressor's weights were set by hand while looking at these very data sets, all of them, so that no part
of them is unseen and no split would make one so: what it keeps here is in-sample.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from workbench.compression.budget import CountTokens, TokenCounter
from workbench.embedding.cache import CachedEmbedder
from workbench.evaluation.datasets import Conversation, locomo, qmsum, small
from workbench.evaluation.evidence import RATES, EvidenceScore, score_compressor
from workbench.evaluation.retrieval import Estimate
from workbench.interfaces import Embedder, Engine, Message
from workbench.registry import compressors

SETS: Mapping[str, Callable[[], tuple[Conversation, ...]]] = {
    "small": lambda: small().conversations,
    "locomo": locomo,
    "qmsum": qmsum,
}
"""Name → what reads the conversations; all but the first need WORKBENCH_DATA."""

IN_SAMPLE = "in-sample: the weights were set by hand on these data"

FIGURES: Mapping[str, str] = {
    "kept": f"share of a question's evidence that is there whole, turn by turn; mean over questions; {IN_SAMPLE}",
    "kept_low": "lower end of its 95 % interval, questions clustered by conversation",
    "kept_high": "upper end",
    "words": f"share of the evidence's words that is there; {IN_SAMPLE}",
    "ratio": f"kept over random dropping's; {IN_SAMPLE}",
    "ratio_low": "lower end of its 95 % interval",
    "ratio_high": "upper end",
    "filled": "smallest share of a budget that was used",
    "ms": "median time of a further compression: vectors, readings and token counts of the conversation are remembered",
    "first_ms": "median time of a first one: a new compressor, exact counts, no vector kept; once a conversation",
    "alone_kept": f"kept, where the compressor is told no query; {IN_SAMPLE}",
    "alone_ahead": f"alone_kept less random dropping's, question by question; {IN_SAMPLE}",
    "alone_ahead_low": "lower end of its 95 % interval",
    "alone_ahead_high": "upper end",
    "alone_words": f"words, without a query; {IN_SAMPLE}",
    "alone_words_ahead": f"alone_words less random dropping's, question by question; {IN_SAMPLE}",
    "alone_words_ahead_low": "lower end of its 95 % interval",
    "alone_words_ahead_high": "upper end",
    "alone_ms": "as ms, without a query",
}
"""Last part of a metric's name → what it is; before it stand the data set, the rank and the rate in percent."""


def definitions(data: str, ranks: Sequence[str], rates: Sequence[float] = RATES) -> dict[str, str]:
    """Name of each metric, such as "locomo_hybrid_50_kept" → what it is."""
    return {
        f"{_stem(data, rank, rate)}_{figure}": meaning
        for rank in ranks
        for rate in rates
        for figure, meaning in FIGURES.items()
    }


def message_by_message(engine: Engine) -> CountTokens:
    """An engine's count as the sum over the messages, each counted once: thousands of compressions in minutes.

    Equals the whole's where the chat template puts the same around every message.
    """
    counter = TokenCounter(engine)
    return lambda messages: sum(map(counter.cost, messages))


def evidence_figures(
    data: str,
    count_tokens: CountTokens,
    embedder: Embedder,
    *,
    ranks: Sequence[str] = ("hybrid", "words"),
    rates: Sequence[float] = RATES,
    seeds: int = 5,
    conversations: int | None = None,
) -> dict[str, float | None]:
    """Every figure of :data:`FIGURES` but ``first_ms``, for every rank and rate, named as in :func:`definitions`.

    Args:
        data: one of :data:`SETS`.
        count_tokens: tokens a conversation takes.
        embedder: stays its owner's.
        ranks: of the extractive compressor.
        rates: budget over the tokens of the whole.
        seeds: random dropping is scored with so many, and their mean counts.
        conversations: only so many; ``None``: all.

    Raises:
        UsageError: WORKBENCH_DATA has no such data.
    """
    told = SETS[data]()[:conversations]
    chance = [
        score_compressor(compressors.create("random", count_tokens, seed=seed), told, rates=rates, with_query=False)
        for seed in range(seeds)
    ]
    found: dict[str, float | None] = {}
    for rank in ranks:
        compressor = compressors.create("extractive", count_tokens, embedder=embedder, rank=rank)
        asked = score_compressor(compressor, told, rates=rates)
        alone = score_compressor(compressor, told, rates=rates, with_query=False)
        for rate in rates:
            for name, value in {**_asked(asked, chance, rate), **_alone(alone, chance, rate)}.items():
                found[f"{_stem(data, rank, rate)}_{name}"] = value
    return found


def first_times(
    data: str,
    engine: Engine,
    embedder: Embedder,
    *,
    ranks: Sequence[str] = ("hybrid", "words"),
    rates: Sequence[float] = RATES,
    conversations: int | None = 10,
) -> dict[str, float | None]:
    """``first_ms`` of every rank and rate: what shortening a conversation takes that was never seen before.

    Each time a new compressor, which reads, counts and embeds all of it; only the models are loaded and warm.

    Args:
        data: one of :data:`SETS`.
        engine: counts, exactly and whenever it is asked.
        embedder: stays its owner's; what is kept in front of one is passed by.
        ranks: of the extractive compressor.
        rates: budget over the tokens of the whole.
        conversations: only so many; ``None``: all.

    Raises:
        UsageError: WORKBENCH_DATA has no such data.
    """
    plain = embedder.embedder if isinstance(embedder, CachedEmbedder) else embedder
    plain.embed(["Warm up."])
    asked = [
        ([*one.messages, Message.user(question.text)], question.text)
        for one in SETS[data]()[:conversations]
        for question in [question for question in one.questions if question.evidence][:1]
    ]
    found: dict[str, float | None] = {}
    for rank in ranks:
        for rate in rates:
            took = [_first_ms(engine, plain, rank, rate, messages, query) for messages, query in asked]
            found[f"{_stem(data, rank, rate)}_first_ms"] = median(took)
    return found


def _first_ms(
    engine: Engine, embedder: Embedder, rank: str, rate: float, messages: Sequence[Message], query: str
) -> float:
    budget = math.floor(rate * engine.count_tokens(messages))
    compressor = compressors.create("extractive", engine, embedder=embedder, rank=rank)
    started = time.perf_counter()
    compressor.compress(messages, budget, query)
    return 1e3 * (time.perf_counter() - started)


def _stem(data: str, rank: str, rate: float) -> str:
    return f"{data}_{rank}_{100 * rate:.0f}"


def _asked(score: EvidenceScore, chance: Sequence[EvidenceScore], rate: float) -> dict[str, float | None]:
    return {
        **_with_ends("kept", score.kept(rate)),
        "words": score.kept(rate, "words").value,
        **_with_ends("ratio", score.ratio(chance, rate)),
        "filled": score.filled(rate),
        "ms": score.ms(rate),
    }


def _alone(score: EvidenceScore, chance: Sequence[EvidenceScore], rate: float) -> dict[str, float | None]:
    return {
        "alone_kept": score.kept(rate).value,
        **_with_ends("alone_ahead", score.ahead(chance, rate)),
        "alone_words": score.kept(rate, "words").value,
        **_with_ends("alone_words_ahead", score.ahead(chance, rate, "words")),
        "alone_ms": score.ms(rate),
    }


def _with_ends(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
