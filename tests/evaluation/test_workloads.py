"""The prompts of the benches are the same everywhere, and no two share what they must not share."""

from __future__ import annotations

import itertools
from pathlib import Path

from workbench.evaluation import workloads


def words(text: str) -> list[int]:
    """A tokenizer of words: equal words have equal ids."""
    return [sum(ord(letter) * 31**place for place, letter in enumerate(word)) % 49152 for word in text.split()]


def shared(one: list[int], other: list[int]) -> int:
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def test_prose_is_the_same_for_the_same_seed_and_varied() -> None:
    first, again, other = ("".join(itertools.islice(workloads.prose(seed), 40)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first.split(". "))) >= 40, "no sentence twice"


def test_lengths_are_exact() -> None:
    assert len(workloads.text_tokens(words, 333, seed="x")) == 333
    assert len(workloads.agent_system(words, 2, 480)) == 480
    assert {len(prompt) for prompt in workloads.distinct_prompts(words, 24, 48)} == {48}


def test_agents_share_no_beginning_worth_reusing() -> None:
    systems = [workloads.agent_system(words, agent, 480) for agent in range(4)]
    for one, other in itertools.combinations(systems, 2):
        assert shared(one, other) <= 3
    assert workloads.agent_system(words, 1, 480) == systems[1]
    assert workloads.agent_task(words, 0, 0) != workloads.agent_task(words, 0, 1)


def test_distinct_prompts_differ_from_the_first_words() -> None:
    prompts = workloads.distinct_prompts(words, 24, 48)
    assert max(shared(one, other) for one, other in itertools.combinations(prompts, 2)) <= 2


def test_the_answers_of_copy_tasks_stand_in_their_prompts_mostly() -> None:
    tasks = workloads.copy_tasks()
    assert len({task.name for task in tasks}) == len(tasks) == 4
    for task in tasks:
        question = task.prompt.rsplit("Input:\n", 1)[1]
        assert task.answer not in task.prompt or task.name.startswith("quote")
        known = set(question.split())
        copied = sum(word in known for word in task.answer.split()) / len(task.answer.split())
        assert copied >= 0.6, f"{task.name}: {copied:.0%} of the answer can be looked up"


def test_nothing_here_needs_an_engine(tmp_path: Path) -> None:
    assert "import" not in "".join(workloads.FREE_PROMPTS)
    assert workloads.text_tokens(words, 8, seed=1) == workloads.text_tokens(words, 8, seed="1")
