"""How well the learned ranker does on a conversation it has not seen, through the memory as it is used.

For every conversation a ranker is trained on all the others, given to a new :class:`RankedMemory`, and scored there:
leave-one-out cross-validation with the conversation as the unit (Stone 1974), since questions of one conversation share
its turns and a split between them would let the answers through.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import InvalidSettings
from workbench.evaluation.datasets import Conversation
from workbench.evaluation.memory_score import score_memory
from workbench.evaluation.ranker_training import lessons
from workbench.evaluation.retrieval import Estimate, clustered_mean
from workbench.evaluation.scorecard import Answered
from workbench.interfaces import Embedder
from workbench.memory.ranking.training import train_on
from workbench.registry import memories

PLAIN: Mapping[str, Any] = {"speaker_weight": 0.0, "neighbour_weight": 0.0}
BASELINES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "random": ("random", {}),
    "buffer": ("buffer", {}),
    "bm25": ("hybrid", {**PLAIN, "dense_weight": 0.0}),
    "dense": ("hybrid", {**PLAIN, "dense_weight": 1.0}),
    "rrf": ("hybrid", {**PLAIN, "fusion": "rrf"}),
    "hybrid": ("hybrid", {}),
}
"""Name → the memory and its options: words alone, meaning alone, reciprocal ranks of both, and all of hybrid."""


def ranked_held_out(
    conversations: Sequence[Conversation], embedders: Sequence[Embedder], *, k: int = 10, penalty: float = 2e-3
) -> list[Answered]:
    """Every question, answered by a ``ranked`` memory whose weights were trained on the other conversations.

    Args:
        conversations: two or more, with labelled evidence.
        embedders: one or two, for training and for recall; stay their owner's.
        k: messages recalled.
        penalty: of the training.

    Raises:
        InvalidSettings: fewer than two conversations.
    """
    if len(conversations) < 2:
        raise InvalidSettings(
            f"Leaving one conversation out takes at least 2 with questions, not {len(conversations)}."
        )
    taught = lessons(conversations, embedders)
    answered: list[Answered] = []
    with tempfile.TemporaryDirectory() as folder:
        for left_out in conversations:
            others = [lesson for name, pairs in taught.items() if name != left_out.id for _, lesson in pairs]
            weights = Path(folder) / "weights.json"
            train_on(others, penalty=penalty).save(weights)
            answered += _scored(left_out, embedders, weights, k)
    return answered


def baseline(
    name: str, conversations: Sequence[Conversation], embedder: Embedder, *, k: int = 10
) -> tuple[Answered, ...]:
    """Every question, answered by one of :data:`BASELINES`."""
    strategy, options = BASELINES[name]
    given = {"embedder": embedder} if strategy == "hybrid" else {}
    memory = memories.create(strategy, **given, **options)
    try:
        return score_memory(memory, conversations, k=k).answered
    finally:
        memory.close()


def recall_of(answered: Sequence[Answered]) -> Estimate:
    """Recall@k over all questions, each weighing the same; the interval is clustered by conversation."""
    return clustered_mean([one.recall for one in answered], [one.conversation for one in answered])


def _scored(conversation: Conversation, embedders: Sequence[Embedder], weights: Path, k: int) -> tuple[Answered, ...]:
    first, *rest = embedders
    memory = memories.create("ranked", embedder=first, second_embedder=rest[0] if rest else None, weights=weights)
    try:
        return score_memory(memory, [conversation], k=k).answered
    finally:
        memory.close()
