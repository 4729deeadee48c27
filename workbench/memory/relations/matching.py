"""Laying one template of the lexicon over a sentence: literal words, gaps, and the phrases in its two slots.

Knows nothing of negation or of what becomes of a match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from workbench.memory.relations import tags
from workbench.memory.relations.clauses import Clauses
from workbench.memory.relations.lexicon import nouns, words
from workbench.memory.relations.links import traced
from workbench.memory.relations.phrases import Chunk, Verb
from workbench.memory.relations.templates import Template

_MAX_GAP: Final = 8
_MAX_MODIFIERS: Final = 6
_EXCEPT: Final = frozenset({"but", "except", "save", "than", "besides"})
_QUANTIFIERS: Final = frozenset({"both", "either", "neither", "only", "even", "just", "all", "especially", "not-only"})
_ABOVE_ALL: Final = frozenset({"especially", "particularly", "including", "notably", "chiefly"})
_INSERTED: Final = frozenset({"in", "of", "for", "with", "after", "at", "to", "against", "despite", "like", "as", "by"})

Rest = Sequence[frozenset[str] | str]


class Gap(NamedTuple):
    """What stands for the object a relative clause lacks, and the preposition before "whom"."""

    chunks: list[Chunk]
    preposition: str


@dataclass(slots=True)
class Match:
    """The phrases found for X and Y, the type a {n} gave, the tokens covered; `negative` for "no one", "neither"."""

    x: list[Chunk] = field(default_factory=list)
    y: list[Chunk] = field(default_factory=list)
    type: str = ""
    start: int = 0
    end: int = 0
    negative: bool = False
    also: str = ""
    whose: Chunk | None = None

    def put(self, slot: str, chunks: list[Chunk]) -> None:
        """Fill slot X or Y."""
        if slot[0] == "X":
            self.x = chunks
        else:
            self.y = chunks


def _closed_literal(literal: frozenset[str]) -> bool:
    return any(
        word in words.PREPOSITIONS or word in words.CONJUNCTIONS or word in words.SUBORDINATORS for word in literal
    )


class Matcher:
    """Matches templates against one sentence."""

    def __init__(self, clauses: Clauses) -> None:
        self.clauses = clauses
        self.tokens = clauses.tokens

    def match(
        self, template: Template, i: int, subject: list[Chunk], verb: Verb | None, *, passive: bool = False
    ) -> Match | None:
        """`template` from token `i`, the first after its head, with `subject` before it; None if it differs."""
        found = Match(type=template.type, start=i)
        rest: Rest = template.rest
        if passive:
            slot = "Y" if template.subject[0] == "X" else "X"
            if slot not in rest:
                return None
            rest = [element for element in rest if element != slot]
            found.put(slot, subject)
        elif not template.noun:
            found.put(template.subject, subject)
        gap = Gap(*self.clauses.gap_of(verb)) if verb is not None and not passive else Gap([], "")
        end = self._walk(rest, 0, i, found, gap)
        if end is None:
            return None
        found.end = end
        if passive and not self._agent(template, end, found):
            return None
        return found

    def _agent(self, template: Template, i: int, found: Match) -> bool:
        """As in "by Karl" after a passive."""
        for j in range(i, min(i + _MAX_GAP, len(self.tokens))):
            if self.clauses.low(j) in (";", ":", "."):
                return False
            if self.clauses.low(j) == "by":
                chunks = self.slot(j + 1, found)
                if chunks is not None:
                    also = self._second_agent(chunks[1], found)
                    found.put(template.subject, [*chunks[0], *also[0]])
                    found.end = max(chunks[1], also[1])
                    return True
        return False

    def _second_agent(self, i: int, found: Match) -> tuple[list[Chunk], int]:
        """As in "by the whole yard, and by Tam most of all"."""
        for j in range(i, min(i + _MAX_GAP, len(self.tokens))):
            unit = self.clauses.unit[j]
            if isinstance(unit, Verb) or self.clauses.low(j) in (";", ":"):
                break
            if self.clauses.low(j) == "by" and self.clauses.low(j - 1) in ("and", ",", "but", "especially"):
                return self.slot(j + 1, found) or ([], i)
        return [], i

    def _walk(self, rest: Rest, n: int, i: int, found: Match, gap: Gap) -> int | None:
        """Match `rest` from element `n` at token `i`; the token after the match, or None."""
        if n == len(rest):
            return i
        element = rest[n]
        if element == "...":
            return self._skip_gap(rest, n, i, found, gap)
        if element in ("X", "Y"):
            return self._fill(str(element), rest, n, i, found, gap)
        if element in ("X's", "Y's"):
            owner = self._owner(i)
            if owner is None:
                return None
            found.put(str(element), [owner])
            after = owner.end + (1 if self.clauses.low(owner.end) == "'s" else 0)
            return self._walk(rest, n + 1, after, found, gap)
        at = self._literal(element, i, found)
        if at is not None:
            return self._walk(rest, n + 1, at + 1, found, gap)
        # "to whom he is sworn": the preposition stands before the relative pronoun.
        stranded = isinstance(element, frozenset) and gap.preposition in element and bool(gap.chunks)
        stranded = stranded or self._noun_gap(element, found, gap)
        return self._walk(rest, n + 1, i, found, gap) if stranded else None

    def _noun_gap(self, element: frozenset[str] | str, found: Match, gap: Gap) -> bool:
        """As in "the respect she has for Jon": the noun before the clause is the literal."""
        noun = gap.chunks[0].noun if len(gap.chunks) == 1 and not gap.chunks[0].names else ""
        if not noun or gap.chunks[0].det == "no":
            return False
        if element == "{n}" and noun in nouns.FEELING_NOUNS:
            found.type = nouns.FEELING_NOUNS[noun]
        elif not isinstance(element, frozenset) or noun not in element:
            return False
        found.whose = gap.chunks[0]
        return True

    def _skip_gap(self, rest: Rest, n: int, i: int, found: Match, gap: Gap) -> int | None:
        for j in range(i, min(i + _MAX_GAP, len(self.tokens))):
            unit = self.clauses.unit[j]
            clause = isinstance(unit, Verb) and unit.finite and not isinstance(rest[n + 1], str)
            if self.clauses.low(j) in (";", ":") or clause:
                return None
            end = self._walk(rest, n + 1, j, found, gap)
            if end is not None:
                skipped = {self.clauses.low(k) for k in range(i, j)}
                found.negative = found.negative or bool(skipped & {"nothing", "no", "neither", "none"})
                return end
        return None

    def _fill(self, slot: str, rest: Rest, n: int, i: int, found: Match, gap: Gap) -> int | None:
        filled, last = self.slot(i, found), n == len(rest) - 1
        after_gap = n > 0 and rest[n - 1] == "..."
        thing = bool(gap.chunks) and not gap.preposition and not any(c.refs or c.pronoun for c in gap.chunks)
        thing = thing or (
            self.clauses.low(0) == "that" and self.clauses.verbs[0].head < i <= self.clauses.verbs[0].end + 1
        )
        if filled is not None and last and not after_gap and self._is_subject(filled) and not thing:
            filled = None
        if filled is not None and any(chunk.refs or chunk.pronoun == "each-other" for chunk in filled[0]):
            known = {entity for chunk in (*found.x, *found.y) for entity in chunk.refs}
            if after_gap and {entity for chunk in filled[0] for entity in chunk.refs} <= known:
                return None
            found.put(slot, filled[0])
            end = self._walk(rest, n + 1, filled[1], found, gap)
            if end is not None:
                return end
        if not gap.chunks or not (filled is None or (last and self._leaves_gap(filled[0][0], i, gap))):
            return None
        found.put(slot, gap.chunks)
        return self._walk(rest, n + 1, i, found, gap)

    def _is_subject(self, filled: tuple[list[Chunk], int]) -> bool:
        """Whether what follows the verb is the subject of the next clause ("knows Jon fears")."""
        last = filled[0][-1]
        return last.end == filled[1] and self.clauses.begins_clause(last)

    def _leaves_gap(self, first: Chunk, i: int, gap: Gap) -> bool:
        """Whether the phrase after the verb is no object of it, so that the gap still is."""
        if first.pronoun or self.clauses.low(first.first - 1) == ",":
            return True
        return any(chunk.refs for chunk in gap.chunks) and not (first.noun and first.first == i)

    def slot(self, i: int, found: Match) -> tuple[list[Chunk], int] | None:
        """The list of phrases at token `i`, past adverbs and quantifiers, and the token after it."""
        low = self.clauses.low
        i, negative = self._lead(i, found)
        chunk = self.clauses.chunk_at(i)
        if chunk is None:
            return None
        head = self.clauses.head_of(chunk)
        chain = self.clauses.chain_right(head)
        if found.type in ("fear", "hate") and not head.refs and head.noun in nouns.TRACES:
            refs = traced(self.clauses, head)
            if refs:
                return [replace(head, refs=refs)], chain[-1].end
        if head.det == "neither" or head.pronoun == "neither" or head.det == "no" or low(head.start - 1) == "neither":
            negative = True
        found.negative = found.negative or negative
        chain = self._apposed(chain)
        if not any(chunk.refs or chunk.pronoun for chunk in chain):
            chain = [*chain, *self._singled_out(chain[-1].end)]
        return chain, chain[-1].end

    def _singled_out(self, i: int) -> list[Chunk]:
        """As in "fears the whole crew, and Jon most of all", "… all bankers, especially Jon"."""
        low = self.clauses.low
        for j in range(i, min(i + 10, len(self.tokens))):
            if isinstance(self.clauses.unit[j], Verb) or low(j) in (";", ":"):
                break
            chunk = self.clauses.chunk_at(j)
            if chunk is None or not self.clauses.head_of(chunk).names:
                continue
            head = self.clauses.head_of(chunk)
            before, after = low(j - 1), low(head.end)
            if before in _ABOVE_ALL or (before in ("and", ",") and after in ("most", "above", "included")):
                return [head]
        return []

    def _lead(self, i: int, found: Match) -> tuple[int, bool]:
        """Past what may stand before the phrases of a slot; whether it denies them."""
        low = self.clauses.low
        negative = False
        for _ in range(_MAX_MODIFIERS):
            if low(i) in ("neither", "no-one") and self.clauses.chunk_at(i + 1) is not None:
                negative = True
                i += 1
            elif low(i) in ("nobody", "nothing", "none", "no", "anyone", "anybody") and self._exception(i) is not None:
                i = self._exception(i) or i
                found.negative = False
                negative = False
                continue
            elif (
                (
                    low(i) == "that"
                    and self.clauses.unit[i] is None
                    and i
                    and isinstance(self.clauses.unit[i - 1], Chunk)
                    and self.clauses.chunk_at(i + 1) is not None
                )
                or (low(i) in _QUANTIFIERS and (self.clauses.chunk_at(i + 1) is not None or low(i + 1) in _QUANTIFIERS))
                or (i < len(self.tokens) and self.clauses.unit[i] is None and tags.is_adverb(self.tokens[i]))
            ):
                i += 1
            elif low(i) in ("and", "or", "but", ",") and self._shared_object(i) is not None:
                i = self._shared_object(i) or i
            elif low(i) == "," and self._insertion(i) is not None:
                i = self._insertion(i) or i
            else:
                break
        return i, negative

    def _exception(self, i: int) -> int | None:
        """As in "no one but Karl": the token of the exception."""
        for j in range(i + 1, min(i + 6, len(self.tokens))):
            if self.clauses.low(j) in _EXCEPT:
                k = j + 1
                while self.clauses.low(k) in ("for", "from", "to", "of", "perhaps", "maybe"):
                    k += 1
                return k if self.clauses.chunk_at(k) is not None else None
            if self.tokens[j].is_mark:
                return None
        return None

    def _shared_object(self, i: int) -> int | None:
        """As in "loves and respects Jon": the object stands after the second verb."""
        j = i + 1
        while j < len(self.tokens) and (self.clauses.low(j) in ("and", "or", "but") or tags.is_adverb(self.tokens[j])):
            j += 1
        unit = self.clauses.unit[j] if j < len(self.tokens) else None
        led = self.clauses.low(i) != "," or self.clauses.low(i + 1) in ("and", "or", "but") or j == i + 1
        plain = isinstance(unit, Verb) and not unit.words and not unit.inverted
        if plain and led and isinstance(unit, Verb) and unit.start <= j <= unit.head:
            k = unit.end
            while self.clauses.low(k) in words.PREPOSITIONS and k < unit.end + 2:
                k += 1
            if self.clauses.chunk_at(k) is not None or self.clauses.low(k) in (",", "and", "or"):
                return k
        return None

    def _insertion(self, i: int) -> int | None:
        """As in "distrusts, in this order, Jon and …": the token after the insertion that begins at comma `i`."""
        if self.clauses.low(i + 1) not in _INSERTED and not tags.is_adverb(
            self.tokens[min(i + 1, len(self.tokens) - 1)]
        ):
            return None
        for j in range(i + 1, min(i + 8, len(self.tokens) - 1)):
            if self.clauses.low(j) == ",":
                return j + 1 if self.clauses.chunk_at(j + 1) is not None else None
            unit = self.clauses.unit[j]
            if self.tokens[j].is_mark or isinstance(unit, Verb) or (isinstance(unit, Chunk) and unit.refs):
                return None
        return None

    def _apposed(self, chain: list[Chunk]) -> list[Chunk]:
        """As in "her husband, Judge Thorne": the name after the comma stands for the noun before it."""
        last = chain[-1]
        if last.refs or last.pronoun or self.clauses.low(last.end) not in (",", ":", "—"):
            return chain
        other = self.clauses.chunk_at(last.end + 1)
        if other is None or not self.clauses.head_of(other).names or self.clauses.head_of(other).end in self.clauses.at:
            return chain
        head = self.clauses.head_of(other)
        if self.clauses.begins_clause(self.clauses.chain_right(head)[-1]):
            return chain  # "hates the rain, Mira hates the tent"
        return [*chain[:-1], *self.clauses.chain_right(head)]

    def _owner(self, i: int) -> Chunk | None:
        while i < len(self.tokens) and self.clauses.unit[i] is None and tags.is_adverb(self.tokens[i]):
            i += 1
        chunk = self.clauses.chunk_at(i)
        while chunk is not None and chunk.possessive:
            owned = next((other for other in self.clauses.chunks if other.owner is chunk), None)
            if owned is None or not owned.possessive:
                return chunk
            chunk = owned
        if chunk is not None and chunk.owner is not None:
            return chunk.owner
        return None

    def _literal(self, element: frozenset[str] | str, i: int, found: Match) -> int | None:
        """The token at or soon after `i` that is one of the words of `element`."""
        closed = isinstance(element, frozenset) and _closed_literal(element)
        for j in range(i, min(i + _MAX_MODIFIERS, len(self.tokens))):
            token = self.tokens[j]
            if self._is(element, j, found):
                return j
            if token.is_name or token.low == "'s":
                return None
            if tags.is_adverb(token) or token.low in ("not", "very", "all", "both"):
                continue
            if token.low == "," and tags.is_adverb(self.tokens[j - 1]):
                continue
            if closed or not tags.is_modifier(token):
                return None
            if (
                isinstance(self.clauses.unit[j], Verb)
                and token.low not in words.DETERMINERS
                and not self._participle(j)
            ):
                return None
        return None

    def _participle(self, j: int) -> bool:
        unit = self.clauses.unit[j]
        return isinstance(unit, Verb) and unit.kind in ("pp", "ing", "past") and not unit.words

    def _is(self, element: frozenset[str] | str, j: int, found: Match) -> bool:
        token = self.tokens[j]
        if token.is_name:
            return False
        if element == "{n}":
            kind = nouns.FEELING_NOUNS.get(token.low)
            if kind is None or (isinstance(self.clauses.unit[j], Verb) and self.clauses.unit[j].finite):  # type: ignore[union-attr]
                return False
            found.type = kind
            second = nouns.FEELING_NOUNS.get(self.clauses.low(j + 2), "") if self.clauses.low(j + 1) == "and" else ""
            found.also = second if second != kind else ""
            if any(
                self.clauses.low(k) in ("no", "little", "nothing", "scant", "scarce", "zero", "precious")
                for k in range(max(0, j - 3), j)
            ) and not any(self.clauses.low(k) == "but" for k in range(max(0, j - 2), j)):
                found.negative = True
            return True
        if token.low in element or token.low.removesuffix("s") in element:
            if self.clauses.low(j - 1) == "no" and self.clauses.low(j - 2) != "with":
                found.negative = True  # "they are no kin"
            if any(self.clauses.low(k) == "no" for k in range(max(0, j - 3), j)) and token.low in nouns.FEELING_NOUNS:
                found.negative = True
            return True
        return any(form.lemma in element for form in tags.readings(token)) and token.low not in nouns.FEELING_NOUNS
