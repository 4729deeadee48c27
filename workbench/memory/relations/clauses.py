"""Who does what: the subject of every verb group, lists of noun phrases, and the missing object of a relative clause.

Knows the shape of sentences, nothing of relations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workbench.memory.relations import tags
from workbench.memory.relations.fronted import fronted_object, main_subject, resume
from workbench.memory.relations.lexicon import word_set, words
from workbench.memory.relations.phrases import Chunk, Verb
from workbench.memory.relations.templates import predicatives
from workbench.memory.relations.tokens import Token
from workbench.memory.relations.verbgroups import VerbGroups

_JOINERS: Final = frozenset({"and", "or", "&", "nor", "plus"})
#: Verbs whose object does the infinitive after it ("taught her to admire").
_OBJECT_CONTROL: Final = word_set(
    """
    teach tell ask order urge persuade convince beg force want allow help lead cause make bring advise
    command expect get drive push invite remind persuade encourage compel warn train school raise
    """
)
#: Whoever trusts, respects or fears these, trusts, respects or fears their owner.
_QUALITIES: Final = word_set(
    """
    judgement judgment word courage skill craft wisdom advice counsel wrath temper anger honesty
    instincts bravery learning guts sight face
    """
)
#: Verbs with a person between them and their that-clause.
_TELLING: Final = word_set("tell assure inform warn remind convince persuade promise show strike")
_STRONG: Final = frozenset({";", ":", "—", "(", ")"})
_MAX_STEPS: Final = 24


class Clauses(VerbGroups):
    """The phrases of a sentence with the subject and the governor of each verb filled in."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        super().__init__(tokens)
        for number, verb in enumerate(self.verbs):
            resume(self, verb, number)
            verb.governor = self._governor(verb, number)
            if verb.infinitive and self.low(verb.start - 1) in ("not", "never"):
                verb.negations += 1
            verb.subject = verb.inverted or self._subject(verb, number)

    # -- subjects ----------------------------------------------------------

    def _before(self, i: int) -> int:
        """The nearest token before `i` that is not an adverb standing loose."""
        i -= 1
        while (
            i >= 0
            and self.unit[i] is None
            and (tags.is_adverb(self.tokens[i]) or self.low(i) in ("not-only", "both", "although-adv"))
        ):
            i -= 1
        return i

    def _subject(self, verb: Verb, number: int) -> list[Chunk]:
        """The phrases the verb is said of, sought to its left."""
        if verb.infinitive:
            return self._infinitive_subject(verb)
        i, fallback = self._before(verb.start), list[Chunk]()
        for _ in range(_MAX_STEPS):
            unit, low = (self.unit[i] if i >= 0 else None), self.low(i)
            if i < 0 or low in _STRONG:
                break
            if isinstance(unit, Verb):
                gap = self.gap_of(unit)[0] if verb.finite and unit.finite else []
                return fallback or gap or unit.subject
            if isinstance(unit, Chunk):
                chain, onwards = self._chain_or_on(unit, verb)
                if onwards is None:
                    return chain
                fallback, i = fallback or chain, onwards
            elif low in ("who", "that", "which"):
                return self._antecedent(i)
            elif low in words.CONJUNCTIONS or low == "than":
                return fallback or self._coordinate(i, number, verb)
            else:
                jump = self.over_parenthesis(i) if low == "," else i - 1
                if jump is None:
                    break
                i = jump
        return fallback or self._participle(verb, number)

    def _chain_or_on(self, unit: Chunk, verb: Verb) -> tuple[list[Chunk], int | None]:
        """The subject that ends with `unit`; or, where a preposition governs it, from where to look on."""
        if self._floating(unit):
            return [], self._before(unit.first)
        chain = self.chain_left(unit, verb)
        j = self._before(chain[0].first)
        if self.low(j) == "and" and len(chain) == 1 and verb.kind != "ing":
            first = self.unit[j - 1]
            outer = self._before(first.first) if isinstance(first, Chunk) else -1
            if outer > 0 and self.unit[outer] is None and self.low(outer) in ("between", "of") and outer - 1 >= 0:
                j = outer if isinstance(self.unit[outer - 1], Chunk) else j
        governed = j >= 0 and self.unit[j] is None and self.low(j) in words.PREPOSITIONS
        if governed and not self._clause_opener(j, chain[0]):
            return chain, self._before(j)
        return self._past_relative(j) or chain, None

    def _past_relative(self, i: int) -> list[Chunk]:
        """As in "The man who saved Mira fears …": the phrase before the clause whose verb is at `i`."""
        unit = self.unit[i] if i >= 0 else None
        if not isinstance(unit, Verb) or not unit.finite:
            return []
        j = self._before(unit.start)
        return (
            self._antecedent(j) if self.low(j) in ("who", "that", "which") and j > 0 and self.low(j - 1) != "," else []
        )

    def _clause_opener(self, i: int, chunk: Chunk | None = None) -> bool:
        """Whether the word at `i` joins a clause whose subject is `chunk`, rather than governs it as a preposition."""
        low = self.low(i)
        if chunk is not None and chunk.pronoun in ("him", "her", "them", "me", "us"):
            return False
        if low in ("for", "like", "but", "except"):
            return self.low(i - 1) in (",", "—", ";") or (
                chunk is not None and chunk.pronoun in words.SUBJECT_PRONOUNS - {"it", "you"}
            )
        return low in words.SUBORDINATORS

    def _floating(self, chunk: Chunk) -> bool:
        """As in "Mira and Jon both fear": the quantifier after its phrase."""
        if (
            chunk.pronoun not in ("all", "both", "each", "himself", "herself", "themselves", "itself")
            or chunk.first == 0
        ):
            return False
        before = self._before(chunk.first)
        return isinstance(self.unit[before] if before >= 0 else None, Chunk) or (self.low(before) == "," and before > 0)

    def _infinitive_subject(self, verb: Verb) -> list[Chunk]:
        governor = verb.governor
        if governor is None:
            return []
        between = self.unit[verb.start - 1] if verb.start else None
        if governor.lemma in _OBJECT_CONTROL and isinstance(between, Chunk) and not governor.passive:
            return [between]
        return governor.subject

    def _antecedent(self, i: int) -> list[Chunk]:
        """The phrase the relative pronoun at `i` stands for."""
        j = i - 1
        while j >= 0 and (self.low(j) == "," or (self.unit[j] is None and self.low(j) in words.PREPOSITIONS)):
            j -= 1
        unit = self.unit[j] if j >= 0 else None
        if not isinstance(unit, Chunk):
            return []
        return self.chain_left(unit, None) if self.low(i + 1) in ("are", "were", "have") else [unit]

    def _coordinate(self, i: int, number: int, verb: Verb) -> list[Chunk]:
        """The subject shared with the verb before the conjunction at `i`."""
        for other in reversed(self.verbs[:number]):
            if other.end <= i and (other.finite or not verb.finite) and (other.subject or other.inverted):
                return other.subject
        return self._participle(verb, number)

    def _participle(self, verb: Verb, number: int) -> list[Chunk]:
        """Of a verb with no subject of its own: that of the verb before it, or of the clause that follows."""
        if number:
            return self.verbs[number - 1].subject
        return main_subject(self, verb.end)

    def over_parenthesis(self, i: int) -> int | None:
        """From the comma at `i` to the token before the comma that opens the insertion it closes."""
        j = i - 1
        while j >= 0 and self.low(j) != "," and self.low(j) not in _STRONG:
            j -= 1
        inner = [verb for verb in self.verbs if j < verb.start < i and verb.finite]
        while (
            j > 0
            and not inner
            and any(self.low(k) in _JOINERS for k in range(j, i))
            and isinstance(self.unit[j - 1], Chunk)
            and j + 1 in self.at
        ):
            k = self.unit[j - 1].first - 1  # type: ignore[union-attr]
            if self.low(k) != ",":
                break
            j = k
        if j < 0 or self.low(j) in _STRONG:
            return None if inner else i - 1
        opens = self.low(j + 1)
        if inner and opens in words.SUBJECT_PRONOUNS and i - j <= 5 and j > 0 and isinstance(self.unit[j - 1], Chunk):
            return j - 1
        if inner and opens not in words.RELATIVES and opens not in words.SUBORDINATORS:
            return None
        return j - 1

    def _plural_verb(self, verb: Verb | None) -> bool | None:
        """True or False where the form of the verb tells its number, else None."""
        if verb is None:
            return None
        finite = verb.words[0] if verb.words else ""
        first = finite if finite in words.AUXILIARIES else (self.low(verb.head) if verb.lemma == "be" else "")
        if first in ("are", "were", "have", "do"):
            return True
        if first in ("is", "was", "has", "does", "am"):
            return False
        if verb.kind == "s" and not verb.words:
            return False
        return True if verb.kind == "base" and not verb.words else None

    def chain_left(self, last: Chunk, verb: Verb | None) -> list[Chunk]:
        """The list of phrases ("A, B and C") that ends with `last` and stands before `verb`."""
        chain, plural = [last], self._plural_verb(verb)
        if plural is False and self.low(self._before(last.first)) != "nor":
            return chain
        seen = False
        while True:
            j = self._before(chain[0].first)
            low = self.low(j)
            if low in _JOINERS:
                seen = True
            elif low != "," or not seen:
                return chain
            k = j - 1 if self.low(j - 1) != "," else j - 2
            if k == j - 2 and chain[0].pronoun in words.SUBJECT_PRONOUNS:
                return chain
            unit = self.unit[k] if k >= 0 else None
            if not isinstance(unit, Chunk) or unit.possessive:
                return chain
            outside = self._before(unit.first)
            held = outside >= 0 and (
                isinstance(self.unit[outside], Verb)
                or (self.unit[outside] is None and self.low(outside) in words.PREPOSITIONS)
            )
            if low == "," and outside >= 0 and self.unit[outside] is None and self.low(outside) in words.PREPOSITIONS:
                return chain
            if held and plural is None and low in _JOINERS and not self._clause_opener(outside):
                return chain
            chain.insert(0, unit)

    # -- objects -----------------------------------------------------------

    def head_of(self, chunk: Chunk) -> Chunk:
        """The phrase itself, not the owner it begins with: "Tom's wife Ana" → Ana."""
        while chunk.possessive:
            owned = next((other for other in self.chunks if other.owner is chunk), None)
            if owned is None:
                return chunk
            chunk = owned
        return chunk

    def chain_right(self, first: Chunk) -> list[Chunk]:
        """The list of phrases that begins with `first`, without one that begins the next clause."""
        chain = [first]
        while True:
            i = chain[-1].end
            j = i
            if self.low(j) == "," and self.low(j + 1) in _JOINERS:
                j += 1
            joiner = self.low(j)
            if joiner not in _JOINERS and not (joiner == "," and self._list_goes_on(j)):
                return chain
            k = j + 1
            while (
                k < len(self.tokens)
                and k < j + 6
                and k not in self.at
                and (self.low(k) == "," or tags.is_adverb(self.tokens[k]))
            ):
                k += 1
            while (
                self.low(k)
                in ("to", "of", "by", "with", "in", "on", "for", "both", "even", "especially", "also", "above", "at")
                and k < j + 8
                and k not in self.at
            ):
                k += 1
            chunk = self.chunk_at(k)
            if chunk is None:
                return chain
            head = self.head_of(chunk)
            bare = not (head.names or head.pronoun or head.det or head.owner)
            if self.begins_clause(head) or (bare and head.noun in predicatives()):
                return chain
            chain.append(head)

    def _list_goes_on(self, comma: int) -> bool:
        """Whether the comma belongs to a list: a name follows, and an "and" with a name after that."""
        chunk = self.chunk_at(comma + 1)
        if chunk is None:
            return False
        head = self.head_of(chunk)
        following = self.low(head.end)
        if following == "," and self.low(head.end + 1) not in _JOINERS:
            return self._list_goes_on(head.end)
        after = head.end + (2 if following == "," else 1)
        joined = following in _JOINERS or (following == "," and self.low(head.end + 1) in _JOINERS)
        chunk = self.chunk_at(after)
        if not joined or chunk is None or self.begins_clause(self.head_of(chunk)):
            return False
        last = self.head_of(chunk)
        return bool(last.names and self.low(last.end) in ("", ";")) or head.noun_at < 0 or bool(head.names)

    def begins_clause(self, chunk: Chunk) -> bool:
        """Whether a finite verb follows the phrase: it is a subject, not part of the list before."""
        i = chunk.end
        if self.low(i) == "," and self.low(i + 1) in ("who", "whom", "which"):
            return False
        while i < len(self.tokens) and self.unit[i] is None and tags.is_adverb(self.tokens[i]):
            i += 1
        unit = self.unit[i] if i < len(self.tokens) else None
        if isinstance(unit, Chunk) and unit.pronoun in ("all", "both", "each"):
            i = unit.end
            unit = self.unit[i] if i < len(self.tokens) else None
        return isinstance(unit, Verb) and unit.finite and unit.start == i and not unit.inverted

    def gap_of(self, verb: Verb) -> tuple[list[Chunk], str]:
        """What stands for the object a relative or fronted clause lacks, and the preposition before "whom"."""
        if not verb.subject or verb.inverted:
            return [], ""
        first = self._list_start(verb)
        j = first - 1
        while j >= 0 and self.unit[j] is None and tags.is_adverb(self.tokens[j]):
            j -= 1
        low = self.low(j)
        if low in ("whom", "who", "that", "which"):
            antecedent = self._antecedent(j)
            ends = [self.low(j - 1), self.low(antecedent[0].first - 1) if antecedent and low == "that" else ""]
            return antecedent, next((word for word in ends if word in words.PREPOSITIONS), "")
        unit = self.unit[j] if j >= 0 else None
        fronted = fronted_object(self, j)
        if fronted is not None:
            return fronted
        if low == "," and j > 0 and isinstance(self.unit[j - 1], Chunk) and self.unit[j - 1].names:  # type: ignore[union-attr]
            unit = self.unit[j - 1]
            return ([unit], "") if isinstance(unit, Chunk) and self.low(unit.first - 1) == "," else ([], "")
        if isinstance(unit, Chunk) and self.low(unit.first - 1) == "whose":
            return (self._antecedent(unit.first - 1), "") if unit.noun in _QUALITIES else ([], "")
        if isinstance(unit, Chunk) and not unit.possessive:
            before = unit.first - 1
            outer = self.unit[before - 1] if before > 0 and self.low(before) in words.PREPOSITIONS else None
            return [outer if isinstance(outer, Chunk) and not unit.names else unit], ""
        return [], ""

    def _list_start(self, verb: Verb) -> int:
        own = [chunk for chunk in verb.subject if chunk.end <= verb.start]
        return own[0].first if own else verb.start

    # -- governors ---------------------------------------------------------

    def _governor(self, verb: Verb, number: int) -> Verb | None:
        """The verb or adjective phrase an infinitive or gerund hangs on."""
        if not number:
            return None
        bare = (
            verb.kind == "base"
            and not verb.words
            and verb.lemma != "be"
            and self.verbs[number - 1].lemma in ("make", "let", "help", "see", "hear", "watch", "dare", "have")
        )
        if verb.infinitive or bare or (verb.kind == "ing" and not verb.words):
            before = self.verbs[number - 1]
            crossed = any(
                self.low(i) in _STRONG or (self.low(i) == "," and not verb.infinitive)
                for i in range(before.end, verb.start)
            )
            if verb.infinitive and self.low(verb.start - 1) in ("and", "or") and before.infinitive:
                return before.governor
            return None if crossed else before
        return None

    def opener(self, verb: Verb) -> tuple[int, Verb | None]:
        """The token before the clause of `verb` begins and, when a verb stands there, that verb ("knows (that) he")."""
        relative = self._before(verb.start)
        if self.low(relative) in ("who", "which") and any(chunk.names for chunk in verb.subject):
            return relative, None  # what is told beside a name is told by the narrator
        i = self._list_start(verb) if not verb.inverted else verb.start
        i -= 1
        while (
            i >= 0
            and self.unit[i] is None
            and (tags.is_adverb(self.tokens[i]) and self.low(i) not in ("even", "once", "perhaps", "maybe"))
        ):
            i -= 1
        at = i
        if self.low(i) == "that":
            i -= 1
        unit = self.unit[i] if i >= 0 else None
        if isinstance(unit, Chunk) and (at != i or unit.pronoun) and unit.first > 0:
            before = self.unit[unit.first - 1]
            if isinstance(before, Verb) and before.lemma in _TELLING:
                return at, before
        return at, unit if isinstance(unit, Verb) and unit is not verb else None
