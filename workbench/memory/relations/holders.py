"""Whom a bond noun is said of: by a verb ("Jon is her ally"), beside it ("her ally Jon", "Jon, her ally,"), after "in".

Knows where such a name stands; not what the noun means.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from workbench.memory.relations.lexicon import nouns, word_set
from workbench.memory.relations.phrases import Chunk, Verb
from workbench.memory.relations.reading import Reader, refs_of

#: Verbs whose subject has the bond ("has a sister, Ana", "found an ally in Jon").
HOLDING: Final = word_set("have find gain make see get acquire discover recognise")
_COPULAS: Final = word_set("be become remain stay make")
_LEADING: Final = word_set(
    """
    also still now both not only even just really truly actually as like always already merely the fast firm once long
    more
    """
)
_AFTER_NAME: Final = frozenset(
    {"", ",", ";", "—", ")", ":", "and", "but", "to", "with", "in", "at", "from", "for", "on"}
)


@dataclass(slots=True)
class Said:
    """The entities a noun is said of, the verb nearest it, and whether the name only stands beside the noun."""

    entities: list[int] = field(default_factory=list)
    verb: Verb | None = None
    beside: bool = False


class Holders:
    """Finds the holders of the bond nouns of one sentence."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.clauses = reader.clauses

    def of(self, chunk: Chunk, after: int, *, owned: bool) -> Said:
        """Of whom `chunk` is said; `after` is the token after the phrase, `owned` whether it says whose."""
        if chunk.names:
            return Said(self._named(chunk), self._verb_around(chunk), True)
        j = self._left(chunk)
        before = self.clauses.unit[j] if j >= 0 else None
        for said in (
            self._by_verb(before, j, after),
            self._by_object(before, owned),
            self._fronted(chunk, owned),
            self._beside(chunk, j, after, owned),
            self._shared(chunk, j),
            self._as_subject(chunk),
        ):
            if said is not None:
                return said
        verb = before if isinstance(before, Verb) else None
        if verb is not None and verb.lemma in HOLDING and self.clauses.low(0) == "in" and not self._in(after):
            return Said(self._in(0), verb, False)
        return Said(self._in(after) if verb is not None and verb.lemma in HOLDING else [], verb, False)

    def _named(self, chunk: Chunk) -> list[int]:
        """As in "the brothers Jannik and Mads"."""
        if chunk.noun not in nouns.SINGULAR:
            return refs_of([chunk])
        chain = self.clauses.chain_right(chunk)
        subject = next((verb.subject for verb in self.clauses.verbs if chunk in verb.subject), [])
        return refs_of(subject[subject.index(chunk) :] if len(subject) > len(chain) else chain)

    def _left(self, chunk: Chunk) -> int:
        """The token before the phrase, past "the closest of" and adverbs."""
        first = chunk.first
        outer = self.clauses.unit[first - 2] if first > 1 and self.clauses.low(first - 1) == "of" else None
        if isinstance(outer, Chunk) and outer.det in ("the", "one") and not outer.names:
            first = outer.first
        j = first - 1
        while j >= 0 and self.clauses.unit[j] is None and self.clauses.low(j) in _LEADING:
            j -= 1
        return j

    def _by_verb(self, before: Chunk | Verb | None, j: int, after: int) -> Said | None:
        """As in "Jon is a …", "has a …, Jon", "is Jon a …?"."""
        if isinstance(before, Verb) and before.lemma in _COPULAS and self.clauses.low(j) != "as":
            return Said(refs_of(before.inverted or before.subject) or self._after(after), before)
        if isinstance(before, Verb) and before.lemma == "have":
            return Said(self._after(after) or self._in(after) or self._in(0), before)
        inverted = next((verb for verb in self.clauses.verbs if before in verb.inverted), None)
        return Said(refs_of(inverted.inverted), inverted) if inverted is not None else None

    def _by_object(self, before: Chunk | Verb | None, owned: bool) -> Said | None:
        """As in "has made Agata and Bruno friends"."""
        if not isinstance(before, Chunk) or not before.refs or owned:
            return None
        chain = self.clauses.chain_left(before, None)
        above = self.clauses.unit[chain[0].first - 1] if chain[0].first else None
        makes = isinstance(above, Verb) and above.lemma in ("make", "keep", "render", "leave")
        return Said(refs_of(chain), above) if makes and isinstance(above, Verb) else None

    def _fronted(self, chunk: Chunk, owned: bool) -> Said | None:
        """As in "Friends since school, Ann and Bea …", "Though cousins, …": said of the subject after the comma."""
        clauses = self.clauses
        led = chunk.first == 1 and clauses.low(0) in ("though", "although", "while", "being")
        led = led or (chunk.first == 1 and clauses.low(0) == "as" and clauses.low(chunk.end) == "," and not owned)
        if led and chunk.noun == "children":
            return None
        if (chunk.first and not led) or (owned and clauses.low(chunk.end) != "of"):
            return None
        comma = next((k for k in range(chunk.end, len(clauses.tokens)) if clauses.low(k) == ","), len(clauses.tokens))
        later = (verb for verb in clauses.verbs if verb.start > comma and verb.subject)
        main = next((verb for verb in later if verb.subject[-1].start > comma), None)
        return Said(refs_of(main.subject), main, True) if main is not None else None

    def _beside(self, chunk: Chunk, j: int, after: int, owned: bool) -> Said | None:
        """As in "her sister, Ana, …", "Ana, her sister, …"."""
        named = self._after(after) or self._after(self._past_phrase(after))
        verb = self._verb_around(chunk)
        if named and self.clauses.low(chunk.first - 1) != ",":
            return Said(named, verb, True)
        if self.clauses.low(j) in (",", "—", "("):
            side = self.clauses.unit[j - 1] if j else None
            if isinstance(side, Chunk) and side.refs and not side.possessive:
                several = not owned or chunk.noun in nouns.SINGULAR
                return Said(refs_of(self.clauses.chain_left(side, None) if several else [side]), verb, True)
            subject = next((verb.subject for verb in reversed(self.clauses.verbs) if verb.end <= j), [])
            if not owned and len(refs_of(subject)) > 1:
                return Said(refs_of(subject), verb, True)
        return Said(named, verb, True) if named else None

    def _shared(self, chunk: Chunk, j: int) -> Said | None:
        """As in "is a baker and her friend"."""
        if self.clauses.low(j) not in ("and", "but") or j <= 0 or self.reader.verb_of(chunk) is not None:
            return None
        copulas = [verb for verb in self.clauses.verbs if verb.end <= j and verb.lemma in _COPULAS]
        return Said(refs_of(copulas[-1].subject), copulas[-1]) if copulas else None

    def _as_subject(self, chunk: Chunk) -> Said | None:
        """As in "her best friend is Jon"."""
        verb = self.reader.verb_of(chunk)
        other = self.clauses.chunk_at(verb.end) if verb is not None and verb.lemma == "be" else None
        return Said(refs_of(self.clauses.chain_right(self.clauses.head_of(other))), verb) if other is not None else None

    def _past_phrase(self, i: int) -> int:
        """The token after a phrase like "at court" that begins at `i`."""
        other = self.clauses.chunk_at(i + 1)
        if other is None or self.clauses.low(i) not in ("at", "in", "on", "from", "for", "among", "within"):
            return i
        head = self.clauses.head_of(other)
        return i if head.refs else head.end

    def _in(self, i: int) -> list[int]:
        """As in "has a friend in Jon"."""
        if self.clauses.low(i) not in ("in", "out"):
            return []
        other = self.clauses.chunk_at(i + 1) or self.clauses.chunk_at(i + 2)
        return refs_of(self.clauses.chain_right(self.clauses.head_of(other))) if other else []

    def _after(self, i: int) -> list[int]:
        """The names set off after the noun: "her sister, Ana," / "her sister: Ana"."""
        other = self.clauses.chunk_at(i + 1) if self.clauses.low(i) in (",", ":", "—", "(") else None
        if other is None or other.possessive or not self.clauses.head_of(other).names:
            return []
        chain = self.clauses.chain_right(self.clauses.head_of(other))
        end = chain[-1].end
        follows = self.clauses.unit[end] if end < len(self.clauses.tokens) else None
        told = any(verb.end <= i and verb.finite for verb in self.clauses.verbs)
        closed = self.clauses.low(end) in _AFTER_NAME or (isinstance(follows, Verb) and not told)
        return refs_of(chain) if closed else []

    def _verb_around(self, chunk: Chunk) -> Verb | None:
        return self.reader.verb_of(chunk) or self.reader.verb_over(chunk)
