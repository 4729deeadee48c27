"""Scorecards of memories: against rankings worked out by hand, and of real strategies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from workbench.embedding import HashingEmbedder
from workbench.errors import InvalidSettings
from workbench.evaluation import CountingEmbedder, score_memory, small
from workbench.evaluation.datasets import Conversation, Question, Turn
from workbench.evaluation.scorecard import DEFINITIONS
from workbench.interfaces import Message, Recollection
from workbench.memory import BufferMemory
from workbench.registry import memories

TEXTS = ["The key is red.", "Thanks!", "Bo lives in Rome.", "Bo lives in Rome!", "The boat sank in May."]


def conversation(name: str = "talk") -> Conversation:
    turns = [
        Turn(id=f"D1:{place}", speaker="Ann", text=text, sitting=1 + place // 3, at=1000.0 + 9000 * (place // 3))
        for place, text in enumerate(TEXTS)
    ]
    asked = [("What is red?", 4, ["D1:0"]), ("Where?", 1, ["D1:2", "D1:4"]), ("Why?", 3, []), ("Who?", 5, ["D1:4"])]
    questions = [
        Question(id=f"{name}/{number}", text=text, category=category, answer=None, evidence=tuple(evidence))
        for number, (text, category, evidence) in enumerate(asked)
    ]
    return Conversation(name, ("Ann", "Bo"), tuple(turns), tuple(questions))


class Scripted(BufferMemory):
    """Answers each question with the messages it is told to, best first, and a note."""

    answers: Mapping[str, Sequence[int]] = {"What is red?": [1, 0], "Where?": [3, 2], "Who?": []}

    def recall(self, query: str, **options: Any) -> list[Recollection]:
        told = self.answers.get(query, [])
        note = Recollection(message=Message.system("a note"), index=None, score=0, reason="note")
        found = [
            Recollection(message=Message("user", TEXTS[index], name="Ann"), index=index, score=-rank, reason="told")
            for rank, index in enumerate(told)
        ]
        return [note, *sorted(found, key=lambda one: one.index or 0)]


def test_figures_are_what_the_formulas_say() -> None:
    card = score_memory(Scripted(), [conversation()], k=2, count_tokens=lambda text: len(text.split()))
    figures = card.metrics()
    assert figures["recall_at_k"] == pytest.approx((1 + 0.5 + 0) / 3)
    ideal = 1 + 1 / 1.5849625
    assert figures["ndcg_at_k"] == pytest.approx((1 / 1.5849625 + (1 / 1.5849625) / ideal + 0) / 3)
    assert figures["hit_rate"] == pytest.approx(2 / 3)
    assert figures["precision"] == 2 / 4
    assert figures["duplicate_rate"] == 1 / 4
    assert figures["junk_rate"] == 1 / 4
    assert (figures["questions"], figures["unlabelled"]) == (3, 1)
    assert (figures["recall_single_hop"], figures["recall_multi_hop"], figures["recall_adversarial"]) == (1, 0.5, 0)
    assert "recall_open_domain" not in figures
    assert figures["recall_at_k_low"] is None
    # "a note"; "Ann:" before each message
    assert figures["prompt_tokens"] == pytest.approx((2 + 2 + 5 + 2 + 5 + 5 + 2) / 3)
    assert card.answered[0].found == (1, 0)
    assert card.by_conversation() == {"talk": 0.5}


def test_every_figure_is_defined() -> None:
    card = score_memory(BufferMemory(), small().conversations, k=3)
    undefined = {name for name in card.metrics() if name not in DEFINITIONS}
    assert undefined == {
        f"recall_{name}" for name in ("multi_hop", "temporal", "open_domain", "single_hop", "adversarial")
    }


def test_what_was_not_measured_is_absent() -> None:
    figures = score_memory(memories.create("none"), [conversation()], k=2).metrics()
    for name in ("prompt_tokens", "store_bytes", "embedded_texts", "precision", "junk_rate"):
        assert figures[name] is None
    assert figures["recall_at_k"] == 0


def test_messages_go_in_sitting_by_sitting_with_their_times() -> None:
    calls: list[tuple[int, Any]] = []

    class Noting(BufferMemory):
        def add_many(self, messages: Sequence[Message], **options: Any) -> range:
            calls.append((len(messages), options["at"]))
            return super().add_many(messages, **options)

    card = score_memory(Noting(), [conversation()])
    assert calls == [(3, (1000.0,) * 3), (2, (10000.0,) * 2)]
    assert len(card.add_ms) == 2
    assert len(score_memory(BufferMemory(), [conversation()], batched=False).add_ms) == 5


def test_the_baselines_lie_where_they_must(tmp_path: Path) -> None:
    told = small().conversations
    full = score_memory(memories.create("full"), told, k=None)
    assert full.recall.value == full.hit_rate.value == 1
    assert score_memory(memories.create("none"), told).recall.value == 0
    chance = 10 / (sum(len(one.turns) for one in told) / len(told))
    drawn = [score_memory(memories.create("random", seed=seed), told).recall.value for seed in range(8)]
    assert sum(drawn) / len(drawn) == pytest.approx(chance, abs=0.05)


def test_a_store_and_its_embeddings_are_counted(tmp_path: Path) -> None:
    embedder = CountingEmbedder(HashingEmbedder())
    embedder.embed(["something before"])
    with memories.create("hybrid", folder=tmp_path, embedder=embedder) as memory:  # type: ignore[attr-defined]
        card = score_memory(memory, small().conversations, embedder=embedder, folder=tmp_path)
    figures, distinct = card.metrics(), {one.content for talk in small().conversations for one in talk.messages}
    assert card.recall.value > 0.4
    assert len(distinct) <= (figures["embedded_texts"] or 0) <= 204, "No message is embedded twice."
    assert (figures["store_bytes"] or 0) > sum(len(text) for text in distinct)
    assert "recall@10" in str(card)


def test_scores_that_would_mean_nothing_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="k must be at least 1"):
        score_memory(BufferMemory(), [conversation()], k=0)
    unlabelled = Conversation("x", ("Ann", "Bo"), conversation().turns, conversation().questions[2:3])
    with pytest.raises(InvalidSettings, match="No question has labelled evidence"):
        score_memory(BufferMemory(), [unlabelled])
    memory = BufferMemory()
    memory.add(Message.user("before"), session="talk")
    with pytest.raises(InvalidSettings, match="knows 'talk' already"):
        score_memory(memory, [conversation()])
