"""What labelled data look like, whichever file they come from: conversations, sentence pairs, a collection.

Plain frozen data; knows no file, no memory and no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from workbench.interfaces import Message

CATEGORIES: Mapping[int, str] = {
    1: "multi-hop",
    2: "temporal",
    3: "open-domain",
    4: "single-hop",
    5: "adversarial",
}
"""Kinds of questions, by LoCoMo's numbers (Maharana et al. 2024, arXiv 2402.17753).

Multi-hop questions need several turns, temporal ones a date, open-domain ones knowledge of the world besides, and
single-hop ones one turn. Adversarial ones ascribe to one speaker what the other has said: they have evidence, but no
answer.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One thing said.

    Attributes:
        id: its name within the conversation ("D3:14": the fourteenth of the third sitting).
        speaker: who says it.
        text: what is said.
        sitting: number of the sitting, from 1.
        at: when the sitting began, in seconds since 1970; a data set's local time is read as UTC.
        caption: what is to be seen on a picture that came along, as the data set describes it.
    """

    id: str
    speaker: str
    text: str
    sitting: int
    at: float
    caption: str | None = None

    @property
    def content(self) -> str:
        """The text, and the description of the picture if there is one."""
        if self.caption is None:
            return self.text
        return f"{self.text} [shares {self.caption}]".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something asked about a conversation once it is over.

    Attributes:
        id: unique over all conversations.
        text: what is asked.
        category: 1 to 5, see :data:`CATEGORIES`.
        answer: the right answer; ``None``: the conversation does not say.
        evidence: ids of the turns the answer stands in, none twice; empty: nobody has labelled any.
        corrected: evidence or answer differ from the published data, by an error list.
        unusable: labels that name no turn of the conversation, as they were published.
    """

    id: str
    text: str
    category: int
    answer: str | None
    evidence: tuple[str, ...]
    corrected: bool = False
    unusable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """What two or more people have said to each other over several sittings, and questions about it.

    Attributes:
        id: unique in the data set.
        speakers: their names; the first one's turns become "user" messages, all others' "assistant" messages.
        turns: in the order in which they were said; a turn's place is its message's index in a memory.
        questions: with labelled evidence.
    """

    id: str
    speakers: tuple[str, ...]
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]

    @cached_property
    def index_of(self) -> Mapping[str, int]:
        """Turn id → place."""
        return {turn.id: place for place, turn in enumerate(self.turns)}

    def evidence_of(self, question: Question) -> frozenset[int]:
        """Places of the turns that are evidence for a question."""
        return frozenset(self.index_of[id_] for id_ in question.evidence)

    @cached_property
    def labelled(self) -> frozenset[int]:
        """Places of the turns that are evidence for any question."""
        return frozenset(self.index_of[id_] for question in self.questions for id_ in question.evidence)

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The turns as messages: role, speaker as name, text with the picture's description."""
        first = self.speakers[0]
        return tuple(
            Message("user" if turn.speaker == first else "assistant", turn.content, name=turn.speaker)
            for turn in self.turns
        )

    @property
    def times(self) -> tuple[float, ...]:
        """When each turn was said, in seconds since 1970."""
        return tuple(turn.at for turn in self.turns)

    @property
    def sittings(self) -> tuple[range, ...]:
        """Places of each sitting's turns."""
        places = groupby(range(len(self.turns)), key=lambda place: self.turns[place].sitting)
        grouped = [list(group) for _, group in places]
        return tuple(range(group[0], group[-1] + 1) for group in grouped)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sentences and how alike people find their meanings: 0 (nothing in common) to 5 (the same)."""

    first: str
    second: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Documents, queries, and which documents answer which query.

    Attributes:
        documents: id → text, in the order of the file.
        queries: id → text.
        relevance: query id → document id → grade; above 0: relevant. A document that is not listed is not relevant.
    """

    documents: Mapping[str, str]
    queries: Mapping[str, str]
    relevance: Mapping[str, Mapping[str, int]]


Triple = tuple[str, str, str]
"""From, to, type: who has the attitude, towards whom, which."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note and the relationships that hold by it now.

    Attributes:
        text: as somebody wrote it.
        entities: whom it may be about, whether or not it names them.
        relations: none for most notes; a mutual one is there in both directions.
    """

    text: str
    entities: tuple[str, ...]
    relations: frozenset[Triple]
