"""Relations told by a noun of feeling: "her hatred of Karl", "the rivalry between A and B", "their friendship".

Knows the constructions such a noun stands in beside those the lexicon lists with a verb.
"""

from __future__ import annotations

from typing import Final

from workbench.memory.relations.fronted import main_subject, whole_list
from workbench.memory.relations.lexicon import nouns, word_set, words
from workbench.memory.relations.lexicon.modality_words import DOUBTED
from workbench.memory.relations.matching import Match
from workbench.memory.relations.modality import Standing
from workbench.memory.relations.phrases import Chunk, Verb
from workbench.memory.relations.reading import PAYING, Reader, ends, refs_of

_BINDING: Final = word_set("bind unite join link tie connect exist hold divide separate yoke")
#: Verbs by which a feeling moves the one who has it ("fear of Karl keeps her awake").
_MOVING: Final = word_set(
    """
    keep make drive consume fill grip move haunt torment burn gnaw lead bring force push cost give rob seize plague
    paralyse blind eat sustain warm possess rule guide colour send turn compel prevent stop wake let
    """
)
#: Nouns whose object is not there, or there no more.
_SPOKEN_OF: Final = word_set(
    """
    talk talks offer offers promise proposal plan plans end loss death lack collapse breakdown absence negotiations
    discussion discussions song songs ballad book novel poem essay play question debate dreams thoughts
    show semblance pretence appearance mask memory memories ruins ashes remains want attempt attempts
    obstacle alternative substitute excuse
    """
)
#: What makes an end of a bond that is its object ("settled their feud").
_SETTLING: Final = word_set(
    """
    settle resolve mend heal annul terminate reject refuse propose seek discuss suggest oppose prevent forbid avoid
    debate consider plan want wish imagine fear lay
    """
)
#: Prepositions that make a feeling the motive of a deed.
_MOTIVE: Final = frozenset({"from", "through"})
_OBJECT_PREPOSITIONS: Final = frozenset({"of", "for", "in", "to", "toward", "towards", "against", "with", "at"})


class FeelingReader:
    """Reads the nouns of feeling of one sentence."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.clauses = reader.clauses

    def read(self) -> None:
        """Every noun of feeling no template has used."""
        for chunk in self.clauses.chunks:
            if chunk.noun in nouns.FEELING_NOUNS and chunk.noun_at not in self.reader.claimed:
                self._feeling(chunk, nouns.FEELING_NOUNS[chunk.noun])

    def _feeling(self, chunk: Chunk, kind: str) -> None:
        low = self.clauses.low
        over = self.reader.verb_of(chunk)
        if self._spoken_of(chunk):
            return
        between = next((j for j in range(len(self.clauses.tokens)) if low(j) == "between"), -1)
        if chunk.owner is None and between >= 0:
            self._between(chunk, between + 1, kind)
        elif chunk.noun in nouns.SHARED and self._shared(chunk, over, kind):
            return
        elif chunk.owner is not None:
            self._held(chunk, chunk.owner, kind)
        elif over is not None and over.lemma in _BINDING:
            self._between(chunk, over.end, kind)
        elif chunk.noun in nouns.SHARED and chunk.first == 0:
            self._joining(chunk, kind)
        else:
            self._moving(chunk, over, kind)

    def _spoken_of(self, chunk: Chunk) -> bool:
        """As in "talks of an alliance", "an offer of friendship", "the end of the feud"."""
        linked = self.clauses.low(chunk.first - 1) in ("of", "for", "about", "on", "to")
        return linked and self.clauses.low(chunk.first - 2) in _SPOKEN_OF | DOUBTED

    def _joining(self, chunk: Chunk, kind: str) -> None:
        """As in "A friendship as old as the town joins A and B"."""
        for verb in self.clauses.verbs:
            if verb.lemma in _BINDING and verb.finite and chunk.end <= verb.start:
                self._between(chunk, verb.end, kind)

    def _moving(self, chunk: Chunk, over: Verb | None, kind: str) -> None:
        """As in "Fear of Karl keeps Mira awake", "out of love for Karl Mira …": whoever it moves has it."""
        low = self.clauses.low
        if low(chunk.end) not in _OBJECT_PREPOSITIONS or chunk.det in ("no", "neither", "this", "that", "any", "what"):
            return
        filled = self.reader.matcher.slot(chunk.end + 1, Match(type=kind))
        if filled is None or not refs_of(filled[0]):
            return
        over = over or self._verb_right_after(filled[1], chunk)
        if over is not None and over.lemma in _MOVING and not self.clauses.verbs.index(over):
            held = next((c for c in self.clauses.chunks if c.first >= over.end and (c.refs or c.pronoun)), None)
            self._moved(chunk, kind, [held] if held is not None else [], filled[0], over)
        elif (low(chunk.first - 1) in ("of", "from") and low(chunk.first - 2) == "out") or low(
            chunk.first - 1
        ) in _MOTIVE:
            back = self.reader.verb_over(chunk)
            holder = back.subject if back is not None else main_subject(self.clauses, chunk.end)
            if low(chunk.first - 3) != "not":
                self._moved(chunk, kind, holder, filled[0], back)

    def _verb_right_after(self, i: int, chunk: Chunk) -> Verb | None:
        unit = self.clauses.unit[i] if i < len(self.clauses.tokens) else None
        return unit if isinstance(unit, Verb) and unit.finite and chunk.first == 0 else None

    def _moved(self, chunk: Chunk, kind: str, holder: list[Chunk], objects: list[Chunk], verb: Verb | None) -> None:
        standing = self.reader.modality.of(verb, chunk.noun_at)
        if standing.real and not standing.denied:
            evidence = self.reader.evidence(chunk.start)
            self.reader.edges.add(refs_of(holder), refs_of(objects), kind, evidence)

    def _held(self, chunk: Chunk, owner: Chunk, kind: str) -> None:
        """As in "her hatred of Karl"."""
        if self.clauses.low(chunk.end) not in _OBJECT_PREPOSITIONS or chunk.noun == "grudge":
            return
        filled = self.reader.matcher.slot(chunk.end + 1, Match(type=kind))
        if filled is None:
            return
        standing = self._standing(chunk, kind)
        if standing.real:
            self.reader.edges.add(
                refs_of([owner]),
                refs_of(filled[0]),
                kind,
                self.reader.evidence(chunk.start),
                denied=standing.denied,
                mutual=kind in ("rivalry", "friendship", "family"),
            )

    def _standing(self, chunk: Chunk, kind: str) -> Standing:
        """Whether the feeling is there: "… has never wavered", "… is gone", "she overcame …"."""
        verb = self.reader.verb_of(chunk) or self.reader.verb_over(chunk)
        if verb is None:
            return self.reader.modality.of(verb, chunk.noun_at)
        ended = ends(self.clauses, verb) or (kind == "debt" and verb.lemma in PAYING)
        standing = self.reader.modality.of(
            verb, chunk.noun_at, "can" if ended and verb.modal in ("can", "could") else ""
        )
        if ended and verb.modal and not standing.denied:
            return Standing(False, False)
        if chunk in verb.subject and (ended or verb.lemma != "be"):
            return Standing(standing.real, ended and not standing.denied)
        return Standing(standing.real, standing.denied != ended)

    def _shared(self, chunk: Chunk, over: Verb | None, kind: str) -> bool:
        """As in "Their rivalry …", "the marriage of A and B", "…, a friendship that has lasted"."""
        low = self.clauses.low
        members: list[int] = []
        verb = over
        if chunk.owner is not None:
            members = refs_of(self.clauses.chain_left(chunk.owner, None))
        elif low(chunk.end) == "of":
            inner = self.clauses.chunk_at(chunk.end + 1)
            members = self._members(self.clauses.head_of(inner)) if inner else []
        elif low(chunk.first - 1) in (",", "—") and chunk.det in ("a", "an"):
            verb = self.reader.verb_over(chunk)
            members = refs_of(verb.subject) if verb else []
        if len(members) < 2:
            return False
        standing = self.reader.modality.of(verb, chunk.noun_at)
        if standing.real and not (verb is not None and ends(self.clauses, verb)) and not self._settled(chunk):
            self.reader.edges.add(members, members, kind, self.reader.evidence(chunk.start))
        return True

    def _settled(self, chunk: Chunk) -> bool:
        """As in "settled their feud", "proposes an alliance between A and B": its verb unmakes it or only plans it."""
        verb = self.reader.verb_over(chunk)
        if verb is None or self.reader.verb_of(chunk) is not None:
            return False
        near = all(self.clauses.low(j) not in (",", ";", ":") for j in range(verb.end, chunk.first))
        return near and (verb.lemma in _SETTLING or verb.lemma in words.ENDING)

    def _between(self, chunk: Chunk, i: int, kind: str) -> None:
        first = self.clauses.chunk_at(i)
        if first is None or chunk.noun not in nouns.MUTUAL_FEELINGS:
            return
        members = self._members(self.clauses.head_of(first))
        verb = self.reader.verb_of(chunk) or self.reader.verb_over(chunk)
        beside = verb is not None and self.clauses.low(verb.start - 1) in ("that", "which")
        standing = self.reader.modality.of(None if beside else verb, chunk.noun_at)
        ended = verb is not None and (ends(self.clauses, verb) or self._settled(chunk))
        low = self.clauses.low
        none = chunk.det == "no" or any(
            low(j) in ("no", "little", "ended") for j in range(max(0, chunk.noun_at - 3), chunk.noun_at)
        )
        if standing.real and len(members) > 1:
            self.reader.edges.add(
                members, members, kind, self.reader.evidence(chunk.start), denied=(standing.denied != ended) != none
            )

    def _members(self, head: Chunk) -> list[int]:
        """The list that begins with `head`, or the two that "to" or "with" joins ("binds A to B")."""
        chain = whole_list(self.clauses, head)
        other = self.clauses.chunk_at(chain[-1].end + 1) if self.clauses.low(chain[-1].end) in ("to", "with") else None
        return refs_of([*chain, self.clauses.head_of(other)] if other is not None and len(chain) == 1 else chain)
