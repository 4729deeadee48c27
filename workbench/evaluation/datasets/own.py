"""The small data set that comes with the package, so that everything runs without ``WORKBENCH_DATA``.

Written for this package: invented people and places, no text from elsewhere. Enough to see a difference and to keep
tests honest, not to rank strategies. The same file format serves conversations of one's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workbench.evaluation.datasets.reading import Node, read_json
from workbench.evaluation.datasets.records import CATEGORIES, Collection, Conversation, Pair, Question, Turn

_FOLDER = Path(__file__).parents[1] / "sets"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallSet:
    """Conversations, sentence pairs and a collection, all small.

    Attributes:
        conversations: with questions of all five categories.
        pairs: scored 0 to 5.
        collection: short documents, queries and judgements.
    """

    conversations: tuple[Conversation, ...]
    pairs: tuple[Pair, ...]
    collection: Collection


@cache
def small() -> SmallSet:
    """The data set that comes with the package."""
    return SmallSet(
        conversations=read_conversations(_FOLDER / "conversations.json"),
        pairs=_pairs(read_json(_FOLDER / "pairs.json")),
        collection=_collection(read_json(_FOLDER / "collection.json")),
    )


def read_conversations(path: Path | str) -> tuple[Conversation, ...]:
    """Conversations from a file like ``evaluation/sets/conversations.json``.

    An object with ``version`` 1 and ``conversations``, each with ``id``, two ``speakers``, ``sittings`` (``at``, a time
    in ISO 8601, and ``turns``: speaker and text) and ``questions`` (``text``, ``category``, ``evidence``: turns like
    "D2:7", the seventh of the second sitting, and ``answer``, which an adversarial one lacks).

    Raises:
        UsageError: the file cannot be read.
        StoreCorrupt: it is not of that shape; names the place.
    """
    top = read_json(Path(path))
    top["version"].whole(1, 1)
    return tuple(_conversation(node) for node in top["conversations"])


def _conversation(node: Node) -> Conversation:
    name, speakers = node["id"].text(), [speaker.text() for speaker in node["speakers"]]
    if len(set(speakers)) != 2:
        raise node["speakers"].wrong("must be two different names")
    turns = tuple(
        turn for number, sitting in enumerate(node["sittings"], 1) for turn in _turns(sitting, number, speakers)
    )
    known = {turn.id for turn in turns}
    questions = tuple(_question(item, f"{name}/{number}", known) for number, item in enumerate(node["questions"]))
    return Conversation(name, (speakers[0], speakers[1]), turns, questions)


def _turns(sitting: Node, number: int, speakers: list[str]) -> Iterable[Turn]:
    at = sitting["at"].moment()
    for place, node in enumerate(sitting["turns"], 1):
        pair = [part.text() for part in node]
        if len(pair) != 2 or pair[0] not in speakers:
            raise node.wrong("must be a speaker and a text")
        yield Turn(id=f"D{number}:{place}", speaker=pair[0], text=pair[1], sitting=number, at=at)


def _question(node: Node, id_: str, known: set[str]) -> Question:
    evidence = tuple(dict.fromkeys(label.text() for label in node["evidence"]))
    if missing := [label for label in evidence if label not in known]:
        raise node["evidence"].wrong(f"names {missing[0]!r}, which is no turn")
    return Question(
        id=id_,
        text=node["text"].text(),
        category=node["category"].whole(1, len(CATEGORIES)),
        answer=node["answer"].text() if "answer" in node else None,
        evidence=evidence,
    )


def _pairs(top: Node) -> tuple[Pair, ...]:
    top["version"].whole(1, 1)
    return tuple(Pair(node["first"].text(), node["second"].text(), node["score"].number(0, 5)) for node in top["pairs"])


def _collection(top: Node) -> Collection:
    top["version"].whole(1, 1)
    documents = {name: top["documents"][name].text() for name in top["documents"].names()}
    queries = {name: top["queries"][name].text() for name in top["queries"].names()}
    judged = top["relevance"]
    return Collection(
        documents=documents,
        queries=queries,
        relevance={
            query: {document: judged[query][document].whole(0, 3) for document in judged[query].names()}
            for query in judged.names()
        },
    )
