"""Training the bundled ranker on LoCoMo, and saying how well it does on conversations it has not seen.

``python -m workbench.evaluation.ranker_training`` prints the leave-one-conversation-out table; with ``--save PATH`` the
weights, trained on all conversations, are written with the table's figures. Needs ``WORKBENCH_DATA``; only weights come
out of it, nothing that anybody said.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from workbench.embedding.cache import CachedEmbedder
from workbench.evaluation.datasets import CATEGORIES, Conversation, locomo
from workbench.interfaces import Embedder
from workbench.memory.ranking.features import FEATURES
from workbench.memory.ranking.model import Ranker
from workbench.memory.ranking.training import PENALTY, Labelled, Lesson, lessons_of, recall_at, train_on
from workbench.registry import embedders

EMBEDDERS = ("all-minilm-l6-v2", "paraphrase-minilm-l3-v2")


@dataclass(frozen=True, slots=True)
class Scored:
    """Recall@k of one question by a ranker that has not seen its conversation."""

    conversation: str
    category: int
    recall: float


def labelled(conversation: Conversation) -> Labelled:
    """A conversation as the trainer takes it."""
    questions = [(one.text, conversation.evidence_of(one)) for one in conversation.questions]
    return Labelled(conversation.messages, conversation.times, questions)


def lessons(conversations: Sequence[Conversation], made: Sequence[Embedder]) -> dict[str, list[tuple[int, Lesson]]]:
    """Conversation → its questions with evidence, each with its category."""
    found = {}
    for one in conversations:
        categories = [question.category for question in one.questions if question.evidence]
        found[one.id] = list(zip(categories, lessons_of(labelled(one), made), strict=True))
    return found


def leave_one_out(
    taught: Mapping[str, Sequence[tuple[int, Lesson]]], *, k: int = 10, penalty: float = PENALTY
) -> list[Scored]:
    """Every question, ranked by weights that were trained on the other conversations."""
    scored = []
    for name in taught:
        others = [lesson for other, pairs in taught.items() if other != name for _, lesson in pairs]
        ranker = train_on(others, penalty=penalty)
        scored += [Scored(name, category, recall_at(ranker, lesson, k)) for category, lesson in taught[name]]
    return scored


def summary(scored: Sequence[Scored]) -> dict[str, object]:
    """Means over questions: overall, by category and by conversation, with the interval over conversations."""
    by_category, by_conversation = defaultdict(list), defaultdict(list)
    for one in scored:
        by_category[CATEGORIES[one.category]].append(one.recall)
        by_conversation[one.conversation].append(one.recall)
    means = [fmean(values) for values in by_conversation.values()]
    return {
        "recall_at_10": round(fmean(one.recall for one in scored), 4),
        "questions": len(scored),
        "interval_95_over_conversations": _interval(means),
        "by_category": {name: round(fmean(values), 4) for name, values in sorted(by_category.items())},
        "by_conversation": {name: round(fmean(values), 4) for name, values in sorted(by_conversation.items())},
    }


def _interval(means: Sequence[float]) -> list[float] | None:
    """Student's t interval of the mean over conversations; ``None`` for fewer than two."""
    from scipy.stats import t

    if len(means) < 2:
        return None
    half = float(t.ppf(0.975, len(means) - 1)) * stdev(means) / len(means) ** 0.5
    return [round(fmean(means) - half, 4), round(fmean(means) + half, 4)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print, and write if asked."""
    parser = argparse.ArgumentParser(prog="python -m workbench.evaluation.ranker_training", description=__doc__)
    parser.add_argument("--save", type=Path, help="where to write the weights")
    parser.add_argument("--penalty", type=float, default=PENALTY, help="on the squared weights")
    parser.add_argument("--vectors", type=Path, help="folder in which vectors are kept for the next time")
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        made = []
        for name in EMBEDDERS:
            path = None if given.vectors is None else given.vectors / "vectors.sqlite"
            cache = CachedEmbedder(embedders.create(name), path, owns=True)
            stack.callback(cache.close)
            made.append(cache)
        taught = lessons(locomo(), made)
    facts = {
        "data": f"LoCoMo (Maharana et al. 2024, CC BY-NC 4.0), corrected: {', '.join(sorted(taught))}",
        "embedders": list(EMBEDDERS),
        "features": len(FEATURES),
        "penalty": given.penalty,
        "leave_one_conversation_out": summary(leave_one_out(taught, penalty=given.penalty)),
    }
    print(facts)  # noqa: T201 - a command's answer
    if given.save is not None:
        everything = [lesson for pairs in taught.values() for _, lesson in pairs]
        Ranker(train_on(everything, penalty=given.penalty).weights, facts).save(given.save)


if __name__ == "__main__":
    main()
