"""Prompts to measure engines with: made here, the same everywhere, no two alike where that matters.

Texts are drawn from word lists by a seed: varied enough that no prefix is shared by accident and nothing is quoted from
anybody. Knows tokenizers through a function, and no engine.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Tokenize = Callable[[str], list[int]]

_WORDS = """
places: harbour library orchard railway observatory bakery lighthouse foundry quarry archive greenhouse market
  workshop hospital theatre vineyard mill ferry museum tower
people: keeper surveyor gardener clerk pilot baker engineer archivist nurse carpenter printer teacher astronomer
  tailor miller captain painter weaver chemist judge
things: ledger lantern map engine basket letter clock telescope bridge rope barrel compass drawing key seed bell
  wheel mirror kettle ladder
deeds: counted repaired carried measured sold hid cleaned sketched weighed opened borrowed painted lost found
  replaced delivered inspected traded moved labelled
when: before sunrise | after the storm | in the third week of March | during the long winter | on the day of the
  fair | twice a month | without being asked | as the rules demanded | while the others slept | long after midnight
why: because the old one had cracked | although nobody had paid for it | so that the count would be right | until
  the rain came back | and wrote the number in the margin | which surprised the whole council | as it had been
  agreed in spring | since the road to the north was closed
"""


def _words(name: str) -> list[str]:
    """One list of :data:`_WORDS`; phrases are divided by "|"."""
    (line,) = (part for part in _WORDS.replace("\n  ", " ").splitlines() if part.startswith(f"{name}: "))
    listed = line.removeprefix(f"{name}: ")
    return listed.split(" | ") if "|" in listed else listed.split()


_PLACES, _PEOPLE, _THINGS, _DEEDS = (_words(name) for name in ("places", "people", "things", "deeds"))
_WHEN, _WHY = _words("when"), _words("why")

AGENTS = ("planner", "researcher", "critic", "writer", "translator", "accountant", "tester", "librarian")
_ROLE = "You are the {agent} of a small team. Work only with what is in your notes, and answer in one short sentence."
_TASK = "Round {round}. The {person} at the {place} asks about the {thing}. What do your notes say?"


def prose(seed: int | str) -> Iterator[str]:
    """English sentences without end, the same for the same seed."""
    draw = random.Random(f"prose {seed}")  # noqa: S311 - text for a benchmark
    while True:
        sentence = (
            f"The {draw.choice(_PEOPLE)} of the {draw.choice(_PLACES)} {draw.choice(_DEEDS)} the "
            f"{draw.choice(_THINGS)} and {draw.randrange(2, 900)} others {draw.choice(_WHEN)}"
        )
        yield f"{sentence}, {draw.choice(_WHY)}. " if draw.random() < 0.6 else f"{sentence}. "


def text_tokens(tokenize: Tokenize, count: int, *, seed: int | str) -> list[int]:
    """Exactly ``count`` tokens of prose."""
    tokens: list[int] = []
    sentences = prose(seed)
    while len(tokens) < count:
        tokens += tokenize("".join(itertools.islice(sentences, 8)))
    return tokens[:count]


def agent_system(tokenize: Tokenize, agent: int, count: int) -> list[int]:
    """A system prompt of ``count`` tokens, another one for each agent from the first words on."""
    name = AGENTS[agent % len(AGENTS)]
    head = tokenize(f"<|im_start|>system\nAgent {agent}: {_ROLE.format(agent=name)}\nNotes: ")
    tail = tokenize("<|im_end|>\n")
    return head + text_tokens(tokenize, max(0, count - len(head) - len(tail)), seed=f"agent {agent}") + tail


def agent_task(tokenize: Tokenize, agent: int, number: int) -> list[int]:
    """What an agent is asked in a round, up to the opening of its answer."""
    draw = random.Random(f"task {agent} {number}")  # noqa: S311 - text for a benchmark
    asked = _TASK.format(
        round=number + 1, person=draw.choice(_PEOPLE), place=draw.choice(_PLACES), thing=draw.choice(_THINGS)
    )
    return tokenize(f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n")


def distinct_prompts(tokenize: Tokenize, count: int, tokens: int) -> list[list[int]]:
    """Prompts of equal length that share no beginning."""
    prompts = []
    for number in range(count):
        head = tokenize(f"{_PLACES[number % len(_PLACES)].title()} report {number}. ")
        prompts.append((head + text_tokens(tokenize, tokens, seed=f"distinct {number}"))[:tokens])
    return prompts


@dataclass(frozen=True, slots=True)
class CopyTask:
    """A text to give back with a small change.

    Attributes:
        name: what kind of change.
        prompt: two worked examples and the third without its answer; base models continue it.
        answer: the right answer; its length is how much is asked for.
    """

    name: str
    prompt: str
    answer: str


def copy_tasks() -> list[CopyTask]:
    """Quoting and editing: answers that mostly stand in the prompt already."""
    quoted = [[f'"{"".join(itertools.islice(prose(f"quote {number}"), 5)).strip()}"'] * 2 for number in range(3)]
    return [
        _task("quote a paragraph", "Quote the paragraph word for word.", quoted),
        _task("edit a record", "Copy the record and set its status to closed.", [_record(n) for n in range(3)]),
        _task("edit a table", "Copy the table and give every price in euro.", [_table(n) for n in range(3)]),
        _task("rename a variable", "Copy the function and rename total to result.", [_function(n) for n in range(3)]),
    ]


def _task(name: str, instruction: str, pairs: list[list[str]]) -> CopyTask:
    shown = "".join(f"Input:\n{before}\nOutput:\n{after}\n\n" for before, after in pairs[:-1])
    before, after = pairs[-1]
    return CopyTask(name, f"{instruction}\n\n{shown}Input:\n{before}\nOutput:\n", after)


def _record(number: int) -> list[str]:
    draw = random.Random(f"record {number}")  # noqa: S311 - text for a benchmark
    lines = [f'  "order": {draw.randrange(10**5, 10**6)},', '  "status": "open",']
    lines += [
        f'  "item {part + 1}": {{"name": "{draw.choice(_THINGS)}", "from": "{draw.choice(_PLACES)}", '
        f'"count": {draw.randrange(1, 99)}}},'
        for part in range(5)
    ]
    before = "{\n" + "\n".join(lines) + f'\n  "clerk": "{draw.choice(_PEOPLE)}"\n}}'
    return [before, before.replace('"open"', '"closed"')]


def _table(number: int) -> list[str]:
    draw = random.Random(f"table {number}")  # noqa: S311 - text for a benchmark
    rows = [
        f"| {draw.choice(_THINGS)} | {draw.choice(_PLACES)} | {draw.randrange(1, 99)} pieces | "
        f"{draw.randrange(2, 60)} dollar |"
        for _ in range(7)
    ]
    before = "\n".join(rows)
    return [before, before.replace("dollar", "euro")]


def _function(number: int) -> list[str]:
    draw = random.Random(f"function {number}")  # noqa: S311 - text for a benchmark
    thing, place = draw.choice(_THINGS), draw.choice(_PLACES)
    lines = [
        f"def count_{thing}s({place}, limit={draw.randrange(10, 99)}):",
        "    total = 0",
        f"    for {thing} in {place}.{thing}s:",
        f"        if {thing}.weight > limit:",
        f"            total = total + {thing}.count * {draw.randrange(2, 9)}",
        "        else:",
        f"            total = total + {thing}.count",
        f"        print('{thing}', {thing}.name, total)",
        f"    {place}.total = total",
        "    return total",
    ]
    before = "\n".join(lines)
    return [before, before.replace("total", "result")]


FREE_PROMPTS = (
    "The first winter on the island was harder than anyone had expected, and",
    "Dear sister, you asked me how the new house is. I must tell you that",
    "In the year the river changed its course, the people of the valley",
    "Why do some towns grow while others are forgotten? One answer is that",
)
"""Beginnings with nothing in them to copy."""
