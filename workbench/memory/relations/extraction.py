"""From a note and the names it may mention to typed edges.

The steps: mentions, sentences, phrases, clauses, pronouns and speakers, then the lexicon's templates and the bond
nouns, each checked for negation and modality. No model is loaded or called.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from workbench.memory.relations import dialogue, tokens
from workbench.memory.relations.adjectives import AdjectiveReader
from workbench.memory.relations.answers import AnswerReader
from workbench.memory.relations.bonds import BondReader
from workbench.memory.relations.clauses import Clauses
from workbench.memory.relations.discourse import Discourse
from workbench.memory.relations.edges import Edges
from workbench.memory.relations.feelings import FeelingReader
from workbench.memory.relations.lexicon import modality_words as lists
from workbench.memory.relations.links import link
from workbench.memory.relations.mentions import find_mentions
from workbench.memory.relations.modality import Modality
from workbench.memory.relations.normal import even, merged, without_idioms
from workbench.memory.relations.people import People
from workbench.memory.relations.reading import Reader, Told
from workbench.memory.relations.records import Relation
from workbench.memory.relations.verbs import VerbReader


class _Note:
    """The reading of one note, sentence after sentence."""

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self.text = text
        self.names = list(names)
        plain = even(text)
        mentions = find_mentions(plain, [even(name) for name in names])
        plain = without_idioms(plain, mentions)
        self.discourse = Discourse(People(self.names))
        self.edges = Edges()
        self.told: list[Told] = []
        self.dialogue: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        self.sentences = tokens.sentences(merged(tokens.tokenise(plain, mentions)))
        self.parsed: dict[int, Clauses] = {}
        self.stretches: dict[int | None, list[int]] = {}
        for number, sentence in enumerate(self.sentences):
            self.stretches.setdefault(sentence.quote, []).append(number)
        told = (token for number in self.stretches.get(None, []) for token in self.sentences[number].tokens)
        self.narrated = {token.entity for token in told if token.entity is not None}

    def clauses(self, number: int) -> Clauses:
        if number not in self.parsed:
            self.parsed[number] = Clauses(self.sentences[number].tokens)
        return self.parsed[number]

    def read(self) -> list[Relation]:
        order = self._narration_first()
        for number in order:
            self._sentence(number)
        return self.edges.records(self.names)

    def _narration_first(self) -> list[int]:
        """Reading order; the words that name a speaker are resolved before the speech they follow."""
        order = list(range(len(self.sentences)))
        for i in range(len(order) - 1):
            here, after = self.sentences[order[i]], self.sentences[order[i + 1]]
            if (
                here.quote is not None
                and after.quote is None
                and dialogue.speaker_of(self.clauses(order[i + 1]), after=True)
            ):
                first = i
                while first > 0 and self.sentences[order[first - 1]].quote == here.quote:
                    first -= 1
                order.insert(first, order.pop(i + 1))
        return order

    def _sentence(self, number: int) -> None:
        sentence, clauses = self.sentences[number], self.clauses(number)
        if sentence.quote is not None:
            self._set_speakers(number)
        else:
            self.discourse.speaker = self.discourse.listener = ()
        self.discourse.resolve(clauses, number)
        link(clauses)
        start, end = sentence.tokens[0].start, sentence.tokens[-1].end
        text = self.text[start:end]
        rest = self.text[end : end + 40].lstrip(' .!?"')
        then = sentence.quote is None and lists.NOW_OTHERWISE.match("; " + rest) is not None
        modality = Modality(clauses, text, sentence.end == "?", then=then)
        edges = Edges() if sentence.quote is not None else self.edges
        reader = Reader(clauses, modality, edges, text, self.text, self.told)
        for part in (VerbReader, AdjectiveReader, FeelingReader, BondReader, AnswerReader):
            part(reader).read()
        if sentence.quote is not None:
            self._first_person(edges)

    def _first_person(self, edges: Edges) -> None:
        """Of quoted speech only what the speaker says of himself counts."""
        speakers = set(self.discourse.speaker)
        for key, value in edges.found.items():
            if speakers & set(key[:2]):
                self.edges.found.setdefault(key, value)

    def _set_speakers(self, number: int) -> None:
        quote = self.sentences[number].quote
        own = self.stretches[quote]
        after = (
            self.clauses(own[-1] + 1)
            if own[-1] + 1 < len(self.sentences) and self.sentences[own[-1] + 1].quote is None
            else None
        )
        before = self.clauses(own[0] - 1) if own[0] and self.sentences[own[0] - 1].quote is None else None
        speaker = dialogue.speaker_of(after, after=True) or dialogue.speaker_of(before, after=False)
        refs = tuple(dict.fromkeys(entity for chunk in speaker for entity in chunk.refs or chunk.names))
        told = dialogue.listener_of(after) or dialogue.listener_of(before)
        named = tuple(dict.fromkeys(entity for i in own for entity in dialogue.called(self.sentences[i])))
        listener = tuple(entity for entity in named if entity not in refs) or tuple(
            e for chunk in told for e in chunk.refs or chunk.names
        )
        if not refs and self.dialogue and own[0] > 0 and self.sentences[own[0] - 1].quote is None and after is None:
            refs = self.dialogue[0]
        if not listener and self.dialogue and self.dialogue[0] == refs:
            listener = self.dialogue[1]
        self.discourse.speaker = refs
        self.discourse.listener = listener or self._other_than(refs)
        self.dialogue = (self.discourse.speaker, self.discourse.listener)

    def _other_than(self, speaker: tuple[int, ...]) -> tuple[int, ...]:
        """The only other entity of the narration, if there is one."""
        others = sorted(self.narrated - set(speaker))
        return tuple(others) if len(others) == 1 and speaker else ()


def _names(entities: Sequence[str]) -> dict[str, str]:
    """The names worth looking for in composed form, each with the first spelling given."""
    given = (name for name in entities if any(letter.isalnum() for letter in name))
    found: dict[str, str] = {}
    for name in given:
        found.setdefault(unicodedata.normalize("NFC", name), name)
    return found


def extract_relations(text: str, entities: Sequence[str]) -> list[Relation]:
    """The relations `text` states as holding now between two of `entities`, in reading order.

    An edge runs from the holder of an attitude to its object (debtor to creditor, vassal to lord); what is mutual by
    nature gives both edges. What is denied, past, asked, supposed, dreamt or hearsay gives none, except that a denied
    trust is distrust. Any text is accepted; the same arguments always give the same list.
    """
    names = _names(entities)
    if len(names) < 2 or not text.strip():
        return []
    found = _Note(unicodedata.normalize("NFC", text), list(names)).read()
    return [replace(edge, source=names[edge.source], target=names[edge.target]) for edge in found]
