"""The noun phrases of a sentence: determiner, adjectives, nouns and perhaps a name, and who owns what.

Knows what a phrase may contain; where one may begin is decided in `verbgroups`, which runs over the sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workbench.memory.relations import tags
from workbench.memory.relations.lexicon import nouns, word_set, words
from workbench.memory.relations.phrases import Chunk, Verb
from workbench.memory.relations.templates import predicatives
from workbench.memory.relations.tokens import Token

#: Verbs with a bare infinitive after their object ("makes her tremble").
FOUND_BASE: Final = frozenset({"make", "let", "help", "see", "hear", "watch", "dare", "need", "have", "feel"})
#: Nouns no name follows in apposition: "the word Jon gave", "the only one Mira trusts".
_NO_NAME_AFTER: Final = word_set(
    """
    one person people thing things word words way day moment time ground place reason fact news man woman boy girl
    story everything whatever only soul earth rest truth oath oaths vow promise money sum crowns coins loan letter gift
    feelings gratitude help service
    """
)
_NO_EPITHET: Final = word_set("most only one other same first last next way day moment")
_COUNTS: Final = frozenset({"all", "both", "one", "two", "three", "only", "neither"})
_OBJECT_HER: Final = frozenset({"more", "most", "much", "enough"})
_WORDS_FOR_IS: Final = word_set("a an the not been no so still now always never in his her their")
_PLAIN_OBJECTS: Final = frozenset({"each-other", "him", "them", "me", "us", "you", "her"})


class NounPhrases:
    """Finds noun phrases; `unit[i]` is what covers token `i`, `at[i]` the phrase that begins there."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.chunks: list[Chunk] = []
        self.verbs: list[Verb] = []
        self.unit: list[Chunk | Verb | None] = [None] * len(tokens)
        self.at: dict[int, Chunk] = {}

    def low(self, i: int) -> str:
        """The word at `i`, "" outside the sentence."""
        return self.tokens[i].low if 0 <= i < len(self.tokens) else ""

    def chunk_at(self, i: int) -> Chunk | None:
        """The noun phrase that begins at token `i`."""
        return self.at.get(i)

    def _phrase(self, i: int) -> int:
        low = self.low(i)
        if self.tokens[i].is_name:
            return self._name(i, None, i)
        if low in words.POSSESSIVES and self._owns(i):
            owner = Chunk(i, i + 1, pronoun=low, possessive=True)
            self._add(owner)
            return self._nominal(i + 1, owner)
        if self._alone(i) or (
            (low in words.PRONOUNS or low in words.POSSESSIVES or low == "each-other") and not self._quantifies(i)
        ):
            self._add(Chunk(i, i + 1, pronoun=low))
            return i + 1
        return self._nominal(i, None)

    def _quantifies(self, i: int) -> bool:
        """All / both / neither before a noun: a determiner, not a pronoun."""
        low, following = self.low(i), self.low(i + 1)
        return low in ("all", "both", "neither", "none") and (following in words.DETERMINERS | words.POSSESSIVES)

    def _alone(self, i: int) -> bool:
        """As in "each respects the other": a determiner with a verb, not a noun, after it."""
        kinds = {form.kind for form in tags.readings(self.tokens[i + 1])} if i + 1 < len(self.tokens) else set()
        return (
            self.low(i) in ("each", "all", "both", "many", "few", "some", "most")
            and bool(kinds)
            and self._object_follows(i + 1)
        ) or (self.low(i) == "one" and self.low(i - 1) in words.MODALS and "base" in kinds)

    def _owns(self, i: int) -> bool:
        low = self.low(i)
        if i + 1 >= len(self.tokens):
            return False
        following = self.tokens[i + 1]
        if following.is_name:
            return low not in ("her",) or not self._object_her(i)
        if tags.is_closed(following) or following.low in words.PRONOUNS or following.low in words.DETERMINERS:
            return False
        if low != "her":
            return True
        if tags.is_adverb(following):
            after = self.low(i + 2)
            return following.low.endswith("ly") and bool(after) and not tags.is_closed(self.tokens[i + 2])
        return not self._object_her(i)

    def _object_her(self, i: int) -> bool:
        before = self.unit[i - 1] if i else None
        following = self.tokens[i + 1]
        base = any(form.kind == "base" for form in tags.readings(following))
        if (
            isinstance(before, Verb)
            and before.lemma in FOUND_BASE
            and base
            and (following.low not in nouns.FEELING_NOUNS or self._plain_object_follows(i + 1))
        ):
            return True
        return following.low in _OBJECT_HER

    def _add(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        self.at.setdefault(chunk.first, chunk)
        for i in range(chunk.start, chunk.end):
            self.unit[i] = chunk

    def _name(self, i: int, owner: Chunk | None, start: int, noun: str = "", noun_at: int = -1, det: str = "") -> int:
        """A phrase that ends in the name at `i`; goes on if the name owns something."""
        entity = self.tokens[i].entity
        chunk = Chunk(start, i + 1, [] if entity is None else [entity], "", noun, noun_at, det, owner)
        if self.low(i + 1) == "'s" and not self._is_for_is(i + 2):
            chunk.possessive = True
            self._add(chunk)
            self.unit[i + 1] = chunk
            return self._nominal(i + 2, chunk)
        after = i + 1
        if self.low(after) == "the" and noun_at < 0:
            after = self._epithet(after, chunk)
        chunk.end = after
        self._add(chunk)
        return after

    def _epithet(self, i: int, chunk: Chunk) -> int:
        """As in "Ivo the miller": the noun belongs to the name."""
        j = i + 1
        if self.low(j).endswith("est") or self.low(j) in _NO_EPITHET:
            return i
        while j < len(self.tokens) and j < i + 3 and not tags.is_closed(self.tokens[j]) and not self.tokens[j].is_name:
            if tags.readings(self.tokens[j]) and j > i + 1:
                break
            if self.low(j) in words.PRONOUNS or tags.is_adverb(self.tokens[j]):
                return i
            chunk.noun, chunk.noun_at = self.low(j), j
            j += 1
        before = self.unit[chunk.start - 1] if chunk.start else None
        if isinstance(before, Verb) or j == i + 1 or (j < len(self.tokens) and self.tokens[j].is_name):
            chunk.noun, chunk.noun_at = "", -1
            return i
        return j

    def _is_for_is(self, i: int) -> bool:
        """Whether the 's before token `i` is short for "is"; if so it is read as that from now on."""
        following = self.low(i)
        adjective = following in predicatives() and self.low(i + 1) in ("of", "to", "with", "by", "about")
        if following not in _WORDS_FOR_IS and not adjective:
            return False
        self.tokens[i - 1].low = "is"
        return True

    def _nominal(self, i: int, owner: Chunk | None) -> int:
        """Determiner, adjectives, nouns and perhaps a name: everything up to what cannot belong to the phrase."""
        j, noun, noun_at, det = i, "", -1, ""
        while j < len(self.tokens):
            low = self.tokens[j].low
            if self.tokens[j].is_name:
                if noun_at >= 0 and (
                    noun in words.DETERMINERS
                    or noun in _NO_NAME_AFTER
                    or noun in nouns.FEELING_NOUNS
                    or "only" in self._lows(i, j)
                    or det in ("no", "any", "every")
                    or (noun in nouns.SINGULAR and noun != "kin" and self.low(j + 1) not in ("and", ",", "&", "or"))
                    or (self.low(i - 1) == "whose" and not self._bond_named(noun, j))
                ):
                    break
                return self._name(j, owner, i, noun, noun_at, det)
            if noun_at < 0 and not det and (low in words.DETERMINERS or low in _COUNTS):
                det = low
            elif noun_at < 0 and low in words.POSSESSIVES and det and owner is None:
                owner = Chunk(j, j + 1, pronoun=low, possessive=True)
                self._add(owner)
                i = j + 1
            elif self._stops(j, noun_at, bool(det or owner)):
                break
            else:
                noun, noun_at = low, j
            j += 1
        return self._end_nominal(i, j, Chunk(i, j, [], det if noun_at < 0 else "", noun, noun_at, det, owner))

    def _bond_named(self, noun: str, j: int) -> bool:
        """As in "Jon, whose sister Ana bakes bread": the name is the sister's, for its verb has an object."""
        after = j + 1 < len(self.tokens) and bool(tags.readings(self.tokens[j + 1]))
        return noun in nouns.MUTUAL_NOUNS and after and self._object_follows(j + 1)

    def _lows(self, i: int, j: int) -> set[str]:
        return {token.low for token in self.tokens[i:j]}

    def _end_nominal(self, i: int, j: int, chunk: Chunk) -> int:
        """Add the phrase of tokens i..j, which has no name yet; it may still be called one, or own the next."""
        if self.low(j) in ("called", "named") and j + 1 < len(self.tokens) and self.tokens[j + 1].is_name:
            return self._name(j + 1, chunk.owner, i, chunk.noun, chunk.noun_at, chunk.det)
        if j == i:
            return j
        chunk.stranger = chunk.noun_at > 0 and self.tokens[chunk.noun_at].text[:1].isupper()
        self._add(chunk)
        if self.low(j) == "'s" and not self._is_for_is(j + 1):
            chunk.possessive = True
            self.unit[j] = chunk
            return self._nominal(j + 1, chunk)
        return j

    def _stops(self, j: int, noun_at: int, led: bool) -> bool:
        token = self.tokens[j]
        low = token.low
        if token.is_mark or low == "'s" or low in words.PRONOUNS - {"all", "both"} or low in words.POSSESSIVES:
            return True
        if low in words.DETERMINERS and (
            noun_at >= 0 or low not in ("other", "such", "few", "many", "most", "several")
        ):
            return low not in ("other",)
        if tags.is_closed(token):
            return True
        if low in ("best", "worst", "first", "last", "least") and noun_at < 0 and self.low(j + 1) == "of":
            return False
        if tags.is_adverb(token):
            return noun_at >= 0 or j + 1 >= len(self.tokens) or tags.is_closed(self.tokens[j + 1])
        return noun_at >= 0 and self._verb_after_noun(j, led)

    def _verb_after_noun(self, j: int, led: bool) -> bool:
        kinds = {form.kind for form in tags.readings(self.tokens[j])}
        if not kinds or (
            self.low(j) in nouns.FEELING_NOUNS
            and not self._plain_object_follows(j)
            and self.low(j) not in ("trust", "respect")
        ):
            return False
        following = self.tokens[j + 1] if j + 1 < len(self.tokens) else None
        if self.low(j) in nouns.SINGULAR and not (led and self._plain_object_follows(j)):
            return False
        if kinds & {"past", "pp"} and following is not None and following.low in nouns.MUTUAL_NOUNS:
            return False
        if kinds & {"s", "past", "pp", "ing"}:
            return True
        return self.low(j - 1).endswith("s") and (self._object_follows(j) or self.low(j + 1) in words.SUBORDINATORS)

    def _plain_object_follows(self, j: int) -> bool:
        if j + 1 >= len(self.tokens):
            return False
        following = self.tokens[j + 1]
        return following.is_name or following.low in _PLAIN_OBJECTS

    def _object_follows(self, j: int) -> bool:
        if j + 1 >= len(self.tokens):
            return False
        following = self.tokens[j + 1]
        low = following.low
        return (
            following.is_name
            or low in words.DETERMINERS
            or low in words.POSSESSIVES
            or low in words.PRONOUNS
            or low == "each-other"
            or low in words.PREPOSITIONS - {"of"}
        )
