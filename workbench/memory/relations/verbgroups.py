"""The verb groups of a sentence, found in one pass from left to right together with the noun phrases.

The result is shallow on purpose: who does what is settled in `clauses`. Knows nothing of relations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workbench.memory.relations import tags
from workbench.memory.relations.lexicon import nouns, word_set, words
from workbench.memory.relations.nounphrases import FOUND_BASE, NounPhrases
from workbench.memory.relations.phrases import Chunk, Verb
from workbench.memory.relations.tokens import Token

_INVERTING: Final = word_set("so nor neither than as why how when where if")
_FRONTED: Final = word_set("not never nowhere rarely seldom only so nor neither nomore no under")
_COPULAS: Final = frozenset({"be", "become", "remain"})
_DO: Final = frozenset({"do", "does", "did"})


class VerbGroups(NounPhrases):
    """The noun phrases and the verb groups of one sentence."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        super().__init__(tokens)
        i = 0
        while i < len(tokens):
            i = max(self._step(i), i + 1)

    def _step(self, i: int) -> int:
        token = self.tokens[i]
        low = token.low
        if low == "most" and isinstance(self.unit[i - 1] if i else None, Chunk) and self._verb_form(i + 1):
            return i + 1
        if token.is_name or low in words.DETERMINERS or low in words.POSSESSIVES or low in words.PRONOUNS:
            if low in ("that", "which", "who", "whose", "what") and self._relative(i):
                return i + 1
            if low == "neither" and (self._verb_form(i + 1)):
                return self._verb(i)
            return self._phrase(i)
        if low.isdigit() or low == "each-other":
            return self._phrase(i)
        if self._verb_form(i):
            return self._verb(i)
        if token.is_mark or tags.is_closed(token) or tags.is_adverb(token):
            return i + 1
        return self._phrase(i)

    def _relative(self, i: int) -> bool:
        """Whether that / which / what joins a clause rather than points at a noun."""
        low, following = self.low(i), self.tokens[i + 1] if i + 1 < len(self.tokens) else None
        if low != "that" or following is None:
            return True
        if (
            following.is_name
            or following.low
            in words.PRONOUNS | words.POSSESSIVES | words.DETERMINERS | words.AUXILIARIES | words.MODALS
        ):
            return True
        before = self.unit[i - 1] if i else None
        return before is not None and (isinstance(before, Verb) or bool(tags.readings(following)))

    def _verb_form(self, i: int) -> bool:
        """Whether the word at `i` begins a verb group, seen from what stands before it."""
        if i >= len(self.tokens) or self.tokens[i].is_name:
            return False
        low = self.tokens[i].low
        if low in words.AUXILIARIES or low in words.MODALS or low == "used-to":
            return True
        if low in words.NEGATIONS:
            j = i + 1
            while self.low(j) in words.NEGATIONS:
                j += 1
            return self._verb_form(j) or (self.low(j + 1) not in words.NEGATIONS and self._verb_form(j + 1))
        if low == "to":
            j = self.skip_adverbs(i + 1)
            return (
                j < len(self.tokens)
                and any(f.kind == "base" for f in tags.readings(self.tokens[j]))
                and not self._noun_after_to(j)
            )
        kinds = self._kinds(i)
        return bool(kinds) and self._fits(i, kinds)

    def _kinds(self, i: int) -> set[str]:
        """The forms the word at `i` can be; an unknown word in -s between a name and a phrase is a verb."""
        kinds = {form.kind for form in tags.readings(self.tokens[i])}
        if kinds or not tags.looks_third_person(self.tokens[i]):
            return kinds
        before = self.unit[i - 1] if i else None
        after_subject = isinstance(before, Chunk) and not before.possessive and bool(before.names or before.pronoun)
        return {"s"} if (after_subject or self.low(i - 1) == ",") and self._object_follows(i) else kinds

    def _noun_after_to(self, j: int) -> bool:
        return self.low(j) in nouns.FEELING_NOUNS and self.low(j + 1) in ("", ",", "and", "of", "for")

    def _fits(self, i: int, kinds: set[str]) -> bool:
        """Whether a word that could be one of `kinds` is a verb here, after what stands before it."""
        j = i - 1
        while j >= 0 and tags.is_adverb(self.tokens[j]) and self.unit[j] is None:
            j -= 1
        before = self.unit[j] if j >= 0 else None
        if "pp" in kinds and self.low(i + 1) in nouns.SINGULAR and (j < 0 or self.low(j) in (",", "—")):
            return False  # "Sworn allies, A and B …"
        if self.low(i) in nouns.SINGULAR and not (isinstance(before, Chunk) and self._object_follows(i)):
            return False
        if isinstance(before, Chunk):
            return self._fits_after_phrase(i, kinds, before)
        if isinstance(before, Verb):
            return self._fits_after_verb(i, kinds, before)
        return self._fits_alone(i, kinds, self.low(j))

    def _fits_after_phrase(self, i: int, kinds: set[str], before: Chunk) -> bool:
        if self.low(i) == "like" and before.pronoun not in words.SUBJECT_PRONOUNS:
            return False
        finite = bool(kinds & {"s", "past", "pp", "ing"})
        return before.noun_at < 0 or bool(before.names) or finite or self._object_follows(i)

    def _fits_after_verb(self, i: int, kinds: set[str], before: Verb) -> bool:
        if before.lemma in _COPULAS and nouns.is_bond(self.low(i + 1)):
            return False
        bare = before.lemma in FOUND_BASE - {"have", "feel"} and self.low(i) not in nouns.FEELING_NOUNS
        after_relative = "s" in kinds and before.finite and self._object_follows(i)
        return bool(kinds & {"ing", "pp"}) or ("base" in kinds and bare) or after_relative

    def _fits_alone(self, i: int, kinds: set[str], low: str) -> bool:
        if low in words.PREPOSITIONS - words.CONJUNCTIONS and low not in words.SUBORDINATORS - {"for", "as"}:
            return "ing" in kinds and not (low == "in" and self.low(i) in ("standing", "keeping"))
        if low in words.RELATIVES or low in ("nor", "neither") or kinds & {"s", "past", "ing", "pp"}:
            return True
        if i and (self._plain_object_follows(i) or (low == "," and self._plural_resumed(i))):
            return True
        return bool(self.verbs) and self.verbs[-1].kind == "base" and low in ("and", "or", "but", ",", "yet")

    def _plural_resumed(self, i: int) -> bool:
        """As in "A and B, friends since school, share a room": the verb after an insertion that follows a list."""
        opening = next((j for j in range(i - 2, 0, -1) if self.low(j) == ","), -1)
        unit = self.unit[opening - 1] if opening > 0 else None
        listed = isinstance(unit, Chunk) and bool(unit.names) and self.low(unit.first - 1) == "and"
        later = any(verb.start >= opening and verb.finite for verb in self.verbs)
        led = self.low(i + 1) in words.ADVERBS or any(
            f.kind == "pp" for f in tags.readings(self.tokens[min(i + 1, len(self.tokens) - 1)])
        )
        return listed and not later and (led or self._object_follows(i))

    def skip_adverbs(self, i: int) -> int:
        """The first token from `i` on that is no adverb."""
        while i < len(self.tokens) and tags.is_adverb(self.tokens[i]) and self.low(i) not in ("like",):
            i += 1
        return i

    def _verb(self, i: int) -> int:
        """Read the verb group that begins at `i`; the token after it."""
        j, used, inverted = i, list[tuple[int, str]](), list[Chunk]()
        infinitive = self.low(i) == "to"
        if infinitive:
            j += 1
        while j < len(self.tokens):
            if self._helps(self.low(j)):
                used.append((j, self.low(j)))
            elif used and self._inverts(i, j, inverted):
                j = self._inverted_subject(j, inverted) - 1
            elif not tags.is_adverb(self.tokens[j]):
                break
            j += 1
        head = self._head(j, used)
        return i + 1 if head < 0 else self._close_verb(i, head, used, infinitive, inverted)

    def _helps(self, low: str) -> bool:
        helper = low in words.AUXILIARIES or low in words.MODALS or low in words.NEGATIONS
        return helper or low in ("used-to", "neither", "not-only")

    def _inverts(self, start: int, j: int, inverted: list[Chunk]) -> bool:
        """Whether the subject stands after the auxiliary (questions, "nor does she", "had he known")."""
        if inverted or (self.low(start) in words.NEGATIONS and start == j) or not self._begins_phrase(j):
            return False
        before = start - 1
        while before >= 0 and tags.is_adverb(self.tokens[before]):
            before -= 1
        if self.low(start - 1) == "there":
            return False
        if before < 0:
            return True
        fronted = any(self.low(k) in _FRONTED for k in range(min(2, start)))
        if self.unit[before] is not None:
            return fronted
        low, helper = self.low(before), self.low(start)
        marked = self.tokens[before].is_mark and (low != "," or helper in _DO or helper == "had")
        return marked or low in _INVERTING or (low in words.CONJUNCTIONS and helper in _DO)

    def _begins_phrase(self, j: int) -> bool:
        low = self.low(j)
        if low in ("no", "each-other", "nothing"):
            return False
        led = low in words.PRONOUNS or low in words.DETERMINERS or low in words.POSSESSIVES
        return j < len(self.tokens) and (self.tokens[j].is_name or led)

    def _inverted_subject(self, j: int, inverted: list[Chunk]) -> int:
        known = len(self.chunks)
        j = max(self._phrase(j), j + 1)
        while self.low(j) in ("and", "or", "nor") and self._begins_phrase(j + 1):
            j = max(self._phrase(j + 1), j + 2)
        inverted.extend(chunk for chunk in self.chunks[known:] if not chunk.possessive)
        return j

    def _head(self, j: int, used: list[tuple[int, str]]) -> int:
        """The index of the full verb: the word after the auxiliaries if it fits them, else the last auxiliary."""
        last = next((auxiliary(low) for _, low in reversed(used) if auxiliary(low)), "")
        if j < len(self.tokens) and not self.tokens[j].is_name:
            kinds = self._kinds(j)
            wanted = {"be": {"pp", "ing"}, "have": {"pp"}, "do": {"base"}, "": kinds}.get(last, {"base"})
            if kinds & wanted and not (last == "be" and nouns.is_bond(self.low(j + 1))):
                return j
        plain = [index for index, low in used if low in words.AUXILIARIES]
        if plain:
            return plain[-1]
        return used[-1][0] if used and used[-1][1] in words.MODALS else -1

    def _close_verb(
        self, start: int, head: int, used: list[tuple[int, str]], infinitive: bool, inverted: list[Chunk]
    ) -> int:
        helpers = [low for index, low in used if index != head]
        lemma, kind = self._lemma(head, helpers, infinitive)
        end = head + 1
        # "was not", "is still not": a negation after a lone auxiliary belongs to it.
        trailing = [index for index, low in used if index > head]
        if trailing:
            end = trailing[-1] + 1
        verb = Verb(start, head, end, lemma, kind, tuple(helpers), inverted=inverted, infinitive=infinitive)
        negative = [low for low in helpers if low in words.NEGATIONS or low == "neither"]
        verb.negations = len(negative)
        verb.modal = next((low for low in helpers if low in words.MODALS or low == "used-to"), "")
        verb.perfect = (
            next((low for low in helpers if low in ("has", "have", "had", "having")), "") if kind == "pp" else ""
        )
        verb.passive = kind == "pp" and any(auxiliary(low) == "be" for low in helpers[-3:])
        if inverted and head < inverted[0].first:
            end = verb.end = inverted[-1].end
        self.verbs.append(verb)
        for i in range(start, end):
            if self.unit[i] is None:
                self.unit[i] = verb
        return end

    def _lemma(self, head: int, helpers: list[str], infinitive: bool) -> tuple[str, str]:
        low = self.low(head)
        if low in words.MODALS:
            return low, "base"
        found = tags.readings(self.tokens[head])
        last = next((auxiliary(word) for word in reversed(helpers) if word not in words.NEGATIONS), "")
        wanted = {"be": ("pp", "ing"), "have": ("pp",), "do": ("base",), "modal": ("base",)}.get(last, ())
        if infinitive:
            wanted = ("base", "pp") if not helpers else wanted or ("base",)
        if not found and low.endswith("s"):
            return low[:-1], "s"
        for kind in (*wanted, "s", "past", "base", "ing", "pp"):
            for form in found:
                if form.kind == kind:
                    return form.lemma, form.kind
        return low, "base"


def auxiliary(word: str) -> str:
    """be, have, do or modal: which kind of auxiliary `word` is; "" for none."""
    if word in ("am", "is", "are", "was", "were", "be", "been", "being"):
        return "be"
    if word in ("have", "has", "had", "having"):
        return "have"
    if word in ("do", "does", "did"):
        return "do"
    return "modal" if word in words.MODALS or word == "used-to" else ""
