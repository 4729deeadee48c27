"""The scorecard of a memory: every figure with its formula, made from what each question brought back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.evaluation.datasets.records import CATEGORIES
from workbench.evaluation.retrieval import Estimate, clustered_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one question brought back.

    Attributes:
        conversation: its id.
        question: the question's id.
        category: 1 to 5.
        found: indices of the recalled messages, best first.
        recall: of its evidence, see :func:`workbench.evaluation.retrieval.recall_at_k`.
        ndcg: of its evidence, every piece graded 1.
        hit: 1 if any evidence came back.
        recall_ms: time the recall took.
        notes: recollections that are no message.
        relevant: recalled messages that are evidence.
        repeated: recalled messages that nearly repeat an older one of the same recall.
        junk: recalled messages that say nothing and are evidence for no question of the conversation.
        prompt_tokens: of everything recalled, notes included; ``None``: not counted.
    """

    conversation: str
    question: str
    category: int
    found: tuple[int, ...]
    recall: float
    ndcg: float
    hit: float
    recall_ms: float
    notes: int
    relevant: int
    repeated: int
    junk: int
    prompt_tokens: int | None


DEFINITIONS: Mapping[str, str] = {
    "recall_at_k": "mean over all questions with labelled evidence, all five categories, of "
    "|recalled messages that are evidence| / |evidence|; every question weighs the same",
    "recall_at_k_low": "lower end of its 95 % interval, questions clustered by conversation",
    "recall_at_k_high": "upper end of its 95 % interval, questions clustered by conversation",
    "ndcg_at_k": "mean over questions of DCG / ideal DCG, evidence graded 1, messages ranked by score",
    "hit_rate": "share of questions of which any evidence was recalled",
    "precision": "recalled messages that are evidence for the question / recalled messages",
    "recall_p50_ms": "median time of a recall, query embedding included, after one recall to warm up",
    "recall_p99_ms": "99th percentile of the same",
    "first_recall_ms": "median over conversations of the first recall after the history was added",
    "add_p50_ms": "median time of a call that adds (one sitting, or one message where not batched)",
    "add_p99_ms": "99th percentile of the same",
    "add_per_message_ms": "time of all calls that add / messages",
    "flush_ms": "time of flush() after everything was added: background work that was still to be done",
    "prompt_tokens": "mean over questions of the tokens of everything recalled",
    "prompt_share": "prompt_tokens / tokens of the whole conversation",
    "store_bytes": "bytes of all files in the memory's folder once the questions were asked",
    "duplicate_rate": "recalled messages whose words overlap by 80 % or more (Jaccard) with an older one of the same "
    "recall / recalled messages",
    "junk_rate": "recalled messages with fewer than two content words that are evidence for no question / "
    "recalled messages",
    "embedded_texts": "texts embedded, from the first message to the last question",
    "questions": "questions scored",
    "unlabelled": "questions left out because nobody has labelled their evidence",
}
"""Figure → its formula in words; travels with recorded results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """How well a memory did, and what it cost. Formulas: :data:`DEFINITIONS`.

    Attributes:
        k: messages asked for; ``None``: all.
        answered: question by question.
        unlabelled: questions that could not be scored.
        messages: told in all.
        add_ms: time of each call that adds.
        batched: whether such a call adds a whole sitting.
        flush_ms: time of ``flush()`` once everything was added.
        first_recall_ms: median over the conversations.
        history_tokens: tokens of a whole conversation, averaged over questions; ``None``: not counted.
        embedded_texts: texts embedded in all; ``None``: no counting embedder was given.
        store_bytes: on disk; ``None``: no folder was given.
    """

    k: int | None
    answered: tuple[Answered, ...]
    unlabelled: int
    messages: int
    add_ms: tuple[float, ...]
    batched: bool
    flush_ms: float
    first_recall_ms: float
    history_tokens: float | None
    embedded_texts: int | None
    store_bytes: int | None

    @property
    def recall(self) -> Estimate:
        """Recall@k over all questions; interval clustered by conversation."""
        return self._mean([one.recall for one in self.answered])

    @property
    def ndcg(self) -> Estimate:
        """NDCG@k over all questions; interval clustered by conversation."""
        return self._mean([one.ndcg for one in self.answered])

    @property
    def hit_rate(self) -> Estimate:
        """Share of questions of which any evidence came back."""
        return self._mean([one.hit for one in self.answered])

    def by_category(self) -> dict[int, tuple[Estimate, Estimate]]:
        """Category → recall@k and nDCG@k; categories nobody asked about are left out."""
        groups: dict[int, list[Answered]] = defaultdict(list)
        for one in self.answered:
            groups[one.category].append(one)
        return {
            category: (_mean(group, [one.recall for one in group]), _mean(group, [one.ndcg for one in group]))
            for category, group in sorted(groups.items())
        }

    def by_conversation(self) -> dict[str, float]:
        """Conversation → mean recall@k of its questions."""
        groups: dict[str, list[float]] = defaultdict(list)
        for one in self.answered:
            groups[one.conversation].append(one.recall)
        return {name: float(np.mean(values)) for name, values in groups.items()}

    def metrics(self) -> dict[str, float | None]:
        """Every figure by name, ready for ``wb.record``; what was not measured is ``None``."""
        recall, tokens = self.recall, self._prompt_tokens()
        categories = {
            f"recall_{CATEGORIES[category].replace('-', '_')}": both[0].value
            for category, both in self.by_category().items()
        }
        return {
            "recall_at_k": recall.value,
            "recall_at_k_low": recall.low,
            "recall_at_k_high": recall.high,
            "ndcg_at_k": self.ndcg.value,
            "hit_rate": self.hit_rate.value,
            **categories,
            "precision": self._per_message("relevant"),
            "duplicate_rate": self._per_message("repeated"),
            "junk_rate": self._per_message("junk"),
            "recall_p50_ms": _percentile([one.recall_ms for one in self.answered], 50),
            "recall_p99_ms": _percentile([one.recall_ms for one in self.answered], 99),
            "first_recall_ms": self.first_recall_ms,
            "add_p50_ms": _percentile(self.add_ms, 50),
            "add_p99_ms": _percentile(self.add_ms, 99),
            "add_per_message_ms": sum(self.add_ms) / self.messages,
            "flush_ms": self.flush_ms,
            "prompt_tokens": tokens,
            "prompt_share": None if tokens is None or not self.history_tokens else tokens / self.history_tokens,
            "store_bytes": self.store_bytes,
            "embedded_texts": self.embedded_texts,
            "questions": len(self.answered),
            "unlabelled": self.unlabelled,
        }

    def __str__(self) -> str:
        k = "all" if self.k is None else str(self.k)
        head = [f"recall@{k} {self.recall}", f"nDCG@{k} {self.ndcg}", f"hit rate {self.hit_rate}"]
        rows = [
            f"  {CATEGORIES[category]:<12} recall {recall}  nDCG {ndcg.value:.3f}"
            for category, (recall, ndcg) in self.by_category().items()
        ]
        costs = [
            f"  {name} {value:,.4g}" for name, value in self.metrics().items() if name in _COSTS and value is not None
        ]
        return "\n".join([*head, *rows, *costs])

    def _mean(self, values: Sequence[float]) -> Estimate:
        return _mean(self.answered, values)

    def _per_message(self, what: str) -> float | None:
        """A count per recalled message; ``None`` where nothing was recalled."""
        recalled = sum(len(one.found) for one in self.answered)
        return sum(getattr(one, what) for one in self.answered) / recalled if recalled else None

    def _prompt_tokens(self) -> float | None:
        counted = [one.prompt_tokens for one in self.answered if one.prompt_tokens is not None]
        return float(np.mean(counted)) if counted else None


_COSTS = (
    "recall_p50_ms",
    "recall_p99_ms",
    "first_recall_ms",
    "add_p50_ms",
    "add_p99_ms",
    "flush_ms",
    "prompt_tokens",
    "store_bytes",
    "duplicate_rate",
    "junk_rate",
    "embedded_texts",
)


def _mean(answered: Sequence[Answered], values: Sequence[float]) -> Estimate:
    return clustered_mean(values, [one.conversation for one in answered])


def _percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that at least ``percent`` of them do not exceed; of few values the 99th is the largest."""
    return float(np.percentile(values, percent, method="inverted_cdf")) if len(values) else None
