"""Whom the pronouns mean: recency, subject before object, no clash of sex or number, never the subject's own object.

Knows the mentions so far, sentence by sentence; nothing of relations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from workbench.memory.relations.clauses import Clauses
from workbench.memory.relations.lexicon import nouns, word_set
from workbench.memory.relations.people import FEMALE, MALE, People
from workbench.memory.relations.phrases import Chunk, Verb

_PLURAL: Final = frozenset({"they", "them", "their", "theirs", "themselves", "both", "each", "all", "neither"})
_SELF: Final = frozenset({"himself", "herself", "itself", "themselves", "myself"})
_FIRST: Final = frozenset({"i", "me", "my", "mine", "myself"})
_WE: Final = frozenset({"we", "us", "our", "ours", "ourselves"})
_SECOND: Final = frozenset({"you", "your", "yours"})


_HELPING: Final = word_set(
    """
    save rescue spare lend loan pull drag hide heal cure free nurse shelter pay bail help feed carry
    release ransom advance protect shield cover finance fund stitch fish haul smuggle defend rebuild
    repair deliver raise pluck snatch cut warn bandage forgive return give mend
    """
)
#: How many of the latest mentions a pronoun may mean.
_REMEMBERED: Final = 60
_PLACES: Final = word_set(
    """
    colony village town city port people kingdom realm island duchy republic county province land house
    men women folk citizens citizenry burghers
    """
)


@dataclass(slots=True)
class Seen:
    """One earlier mention: which entity, in which sentence, as a subject or not."""

    entity: int
    sentence: int
    subject: bool
    at: int


@dataclass(slots=True)
class Discourse:
    """The mentions of a note so far, and who speaks to whom."""

    people: People
    seen: list[Seen] = field(default_factory=list)
    lists: list[tuple[int, ...]] = field(default_factory=list)
    helped: tuple[int, int] | None = None
    speaker: tuple[int, ...] = ()
    listener: tuple[int, ...] = ()

    # -- resolution --------------------------------------------------------

    def resolve(self, clauses: Clauses, sentence: int) -> None:
        """Fill in `refs` of every phrase of the sentence, left to right."""
        self.people.learn(clauses)
        subjects = {id(chunk) for verb in clauses.verbs for chunk in verb.subject}
        for chunk in clauses.chunks:
            is_subject = id(chunk) in subjects
            chunk.refs = self._named(chunk, clauses) or self._meant(chunk, clauses, sentence, is_subject)
            for entity in chunk.refs:
                self.seen.append(Seen(entity, sentence, is_subject and not chunk.possessive, chunk.start))
            self._list(chunk, clauses)
            if chunk.refs:
                self._help(clauses)

    def _named(self, chunk: Chunk, clauses: Clauses) -> tuple[int, ...]:
        """The entities a phrase names, itself or in a phrase that belongs to it."""
        if chunk.names:
            return tuple(chunk.names)
        apposed = self._apposed(chunk, clauses)
        if apposed:
            self.people.note(apposed[0], chunk.noun)
            return apposed
        if (chunk.noun in _PLACES or chunk.noun.removesuffix("s") in _PLACES) and clauses.low(chunk.end) == "of":
            return _inner_names(chunk, clauses)
        return ()

    def _meant(self, chunk: Chunk, clauses: Clauses, sentence: int, is_subject: bool) -> tuple[int, ...]:
        """The entities a pronoun, or a phrase that works as one, stands for."""
        word = self._pronoun(chunk)
        if not word or chunk.noun in _PLACES:
            return ()
        barred = self._barred(chunk, clauses, _domain(clauses, chunk), is_subject)
        refs = self._refer(word, chunk, clauses, sentence, is_subject, barred)
        if len(refs) == 1:
            self.people.heard(refs[0], word)
        return refs

    def _help(self, clauses: Clauses) -> None:
        """Remember who helped whom: the one helped is the one who owes."""
        for verb in clauses.verbs:
            if verb.lemma in _HELPING and not verb.negations:
                givers = [e for chunk in verb.subject for e in chunk.refs]
                following = (chunk for chunk in clauses.chunks if chunk.start >= verb.end)
                takers = [e for chunk in following for e in chunk.refs if e not in givers]
                if verb.passive:
                    givers, takers = takers, givers
                if givers and takers:
                    self.helped = (givers[0], takers[0])

    def _apposed(self, chunk: Chunk, clauses: Clauses) -> tuple[int, ...]:
        """As in "the abbot, Dom Ruiz, …": the name between the commas is the noun before them."""
        if (
            chunk.possessive
            or chunk.pronoun
            or (chunk.det != "the" and chunk.owner is None)
            or clauses.low(chunk.end) != ","
        ):
            return ()
        other = clauses.chunk_at(chunk.end + 1)
        if other is None or other.possessive or not other.names:
            return ()
        return tuple(other.names) if clauses.low(other.end) in (",", "") else ()

    def _list(self, chunk: Chunk, clauses: Clauses) -> None:
        if not chunk.names:
            return
        members = tuple(dict.fromkeys(e for member in clauses.chain_right(chunk) for e in member.names))
        if len(members) < 2:
            subject = next(
                (verb.subject for verb in clauses.verbs if chunk in verb.subject and len(verb.subject) > 1), []
            )
            members = tuple(dict.fromkeys(e for member in subject for e in member.names))
        if len(members) > 1 and not (self.lists and set(members) <= set(self.lists[-1])):
            self.lists.append(members)

    def _pronoun(self, chunk: Chunk) -> str:
        if chunk.pronoun:
            return chunk.pronoun
        if chunk.det in ("the", "that", "this") and not chunk.stranger and chunk.owner is None:
            if chunk.noun in nouns.PERSON_NOUNS:
                return "she" if chunk.noun in nouns.FEMALE_NOUNS else "he" if chunk.noun in nouns.MALE_NOUNS else "one"
            if chunk.noun in ("pair", "two", "couple", "duo") or (
                chunk.det == "the" and chunk.noun in ("men", "women", "girls", "boys")
            ):
                return "both"
            if self.people.roles.get(chunk.noun, -1) >= 0:
                return "role:" + chunk.noun
        return "both" if chunk.det in ("two", "both") and chunk.noun_at < 0 else ""

    def _barred(self, chunk: Chunk, clauses: Clauses, verb: Verb | None, is_subject: bool) -> set[int]:
        """The entities a pronoun cannot mean: the subject it is an object of."""
        if chunk.possessive and clauses.low(chunk.first - 1) == ",":
            side = clauses.unit[chunk.first - 2] if chunk.first > 1 else None
            if isinstance(side, Chunk) and side.names:
                return set(side.names)
        side = clauses.unit[chunk.first - 1] if chunk.first else None
        if is_subject and chunk.pronoun and isinstance(side, Chunk):
            copula = next((v for v in reversed(clauses.verbs) if v.lemma == "be" and v.end <= side.first), None)
            return set(side.refs) or {e for c in (copula.subject if copula else ()) for e in c.refs}
        if is_subject and chunk.pronoun:
            return self._named_later(chunk, clauses)
        if is_subject or verb is None or chunk.pronoun in _SELF:
            return set()
        near = verb.lemma in ("be", "become", "remain", "stand") and chunk.start - verb.end <= 3
        if chunk.possessive and not near:
            return set()
        return {entity for subject in verb.subject for entity in subject.refs}

    def _named_later(self, chunk: Chunk, clauses: Clauses) -> set[int]:
        """Whoever the same clause goes on to name is not its pronoun subject."""
        found: set[int] = set()
        for i in range(chunk.end, len(clauses.tokens)):
            if clauses.low(i) in (",", ";", ":", "—", "and", "but", "because", "when", "while", "though", "although"):
                break
            entity = clauses.tokens[i].entity
            if entity is not None:
                found.add(entity)
        return found

    def _refer(
        self, word: str, chunk: Chunk, clauses: Clauses, sentence: int, is_subject: bool, barred: set[int]
    ) -> tuple[int, ...]:
        if word.startswith("role:"):
            entity = self.people.roles[word[5:]]
            return (
                (entity,)
                if entity not in barred and any(seen.entity == entity for seen in self.seen[-_REMEMBERED:])
                else ()
            )
        if word in _FIRST or word in _WE:
            return (
                self.speaker
                if word in _FIRST or len(self.speaker) > 1
                else tuple(dict.fromkeys((*self.speaker, *self.listener)))
            )
        if word in _SECOND:
            return self.listener
        if word in _SELF:
            verb = next((v for v in reversed(clauses.verbs) if v.head < chunk.start), None)
            return tuple(e for subject in (verb.subject if verb else ()) for e in subject.refs)
        if chunk.pronoun == "both" and not is_subject and not self.lists:
            return ()  # two things rather than two people met apart
        if word in _PLURAL:
            return self._several(barred, word, clauses)
        if word in ("it", "its") or word in MALE or word in FEMALE or word == "one":
            return self._single(word, chunk, clauses, sentence, is_subject, barred)
        return ()

    def _list_ahead(self, clauses: Clauses) -> tuple[int, ...]:
        """As in "Their rivalry drives A and B to …": the first list of names after the pronoun."""
        for chunk in clauses.chunks:
            members = clauses.chain_right(chunk) if chunk.names else []
            if len(members) > 1:
                return tuple(dict.fromkeys(entity for member in members for entity in member.names))
        return ()

    def _several(self, barred: set[int], word: str, clauses: Clauses | None = None) -> tuple[int, ...]:
        for members in reversed(self.lists[-_REMEMBERED:]):
            if not set(members) & barred:
                return members
        if not self.seen and clauses is not None:
            return self._list_ahead(clauses)
        recent = tuple(dict.fromkeys(seen.entity for seen in reversed(self.seen[-_REMEMBERED:])))
        groups = tuple(entity for entity in recent if entity in self.people.groups and entity not in barred)
        people = tuple(dict.fromkeys(seen.entity for seen in self.seen[-_REMEMBERED:] if seen.entity not in barred))
        if word in ("they", "them", "their") and len(groups) >= 1 and len(people) != 2:
            return groups[:1]
        return people if len(people) == 2 else ()

    def _single(
        self, word: str, chunk: Chunk, clauses: Clauses, sentence: int, is_subject: bool, barred: set[int]
    ) -> tuple[int, ...]:
        best: tuple[float, int] | None = None
        parallel = self._forward(word, chunk, clauses) if not self.seen else None
        if parallel is not None:
            return (parallel,)
        counts = {seen.entity for seen in self.seen[-_REMEMBERED:]}
        for seen in self.seen[-_REMEMBERED:]:
            if seen.entity in barred or not self.people.agrees(word, seen.entity):
                continue
            known = word in ("one",) or seen.entity in self.people.sex
            if not chunk.pronoun:
                score = -1.0 * (sentence - seen.sentence) + 0.5 * seen.at + (50.0 if known else 0.0)
                best = max(best or (score, seen.entity), (score, seen.entity))
                continue
            score = -4.0 * (sentence - seen.sentence) + 0.05 * seen.at
            if is_subject:
                score += (3.5 if seen.subject else 0.0) + (1.0 if seen.subject and seen.at < 4 else 0.0)
            else:
                score += 1.5 if seen.subject else 3.0
            if known and len(counts) > 1:
                score += 4.0 if is_subject or chunk.possessive else 2.0
            score += self.people.likely(word, seen.entity) + self._partner(word, chunk, clauses, seen.entity)
            score += self._bias(chunk, seen.entity, clauses, is_subject)
            if best is None or score > best[0]:
                best = (score, seen.entity)
        return (best[1],) if best else ()

    def _bias(self, chunk: Chunk, entity: int, clauses: Clauses, is_subject: bool) -> float:
        verb = _domain(clauses, chunk) or next((v for v in clauses.verbs if chunk in v.subject), None)
        own = next((v for v in clauses.verbs if chunk in v.subject), None)
        if chunk.possessive and self.helped and chunk.end < len(clauses.tokens) and clauses.low(chunk.end) in ("debt",):
            return 6.0 if entity == self.helped[0] else 0.0
        if chunk.possessive and verb is not None and any(entity in subject.refs for subject in verb.subject):
            return 3.0
        if is_subject and own is not None and self.helped and _speaks_of_debt(clauses, own):
            return 6.0 if entity == self.helped[1] else -2.0 if entity == self.helped[0] else 0.0
        return 0.0

    def _partner(self, word: str, chunk: Chunk, clauses: Clauses, entity: int) -> float:
        """Whether somebody else is left for a pronoun of the other sex that follows soon."""
        other = FEMALE if word in MALE else MALE if word in FEMALE else frozenset()
        near = next(
            (c.pronoun for c in clauses.chunks if chunk.start < c.start <= chunk.start + 8 and c.pronoun in other), ""
        )
        if not near:
            return 0.0
        left = {
            seen.entity
            for seen in self.seen[-_REMEMBERED:]
            if seen.entity != entity and self.people.agrees(near, seen.entity)
        }
        return (
            sum(0.5 * max(self.people.likely(near, e), 0.0) for e in sorted(left)[:2])
            + (1.0 if any(e in self.people.sex for e in left) else 0.0)
            if left
            else -6.0
        )

    def _forward(self, word: str, chunk: Chunk, clauses: Clauses) -> int | None:
        """As in "For all his bluster, General Cray …": the first fitting name after the pronoun."""
        for verb in clauses.verbs:
            for subject in verb.subject:
                if subject.owner is chunk:
                    continue
                if subject.start > chunk.start and subject.names and self.people.agrees(word, subject.names[0]):
                    return subject.names[0]
        later = (
            c
            for c in clauses.chunks
            if c.start >= chunk.end and c.owner is not chunk and c.names and self.people.agrees(word, c.names[0])
        )
        return next((c.names[0] for c in later), None)


def _domain(clauses: Clauses, chunk: Chunk) -> Verb | None:
    """The verb whose clause holds the phrase as something other than its subject."""
    found = None
    for verb in clauses.verbs:
        if verb.head < chunk.start and chunk not in verb.subject:
            found = verb
    later = next((verb for verb in clauses.verbs if chunk in verb.subject), None)
    return None if later is not None else found


def _speaks_of_debt(clauses: Clauses, verb: Verb) -> bool:
    return verb.lemma == "owe" or any(
        clauses.low(i) in ("debt", "indebted", "beholden", "repay", "repaid", "pay")
        for i in range(verb.head, min(verb.head + 6, len(clauses.tokens)))
    )


def _inner_names(chunk: Chunk, clauses: Clauses) -> tuple[int, ...]:
    """As in "the towns of Hask and Merrow"."""
    inner = clauses.chunk_at(chunk.end + 1)
    members = clauses.chain_right(clauses.head_of(inner)) if inner else []
    after = clauses.chunk_at(members[0].end + 1) if len(members) == 1 and clauses.low(members[0].end) == "and" else None
    if after is not None and chunk.noun.endswith("s"):
        members = [*members, clauses.head_of(after)]
    return tuple(entity for member in members for entity in member.names)
