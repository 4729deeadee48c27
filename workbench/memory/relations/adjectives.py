"""Relations told by an adjective or a phrase after "be", or by one standing alone: "afraid of Karl", "in Jon's debt".

Knows how to find of whom it is said.
"""

from __future__ import annotations

from typing import Final

from workbench.memory.relations import tags
from workbench.memory.relations.fronted import main_subject
from workbench.memory.relations.lexicon import word_set
from workbench.memory.relations.phrases import Chunk, Verb
from workbench.memory.relations.reading import Reader
from workbench.memory.relations.templates import predicatives

_BE_LIKE: Final = word_set("be become remain stay feel grow get seem keep stand live go fall prove look turn")
#: Verbs after which an adjective may say something of the subject ("died loyal to her lord").
_BARE: Final = word_set(
    "die flee stand sit live go come return arrive walk lie fall remain run wait serve grow keep sleep"
)
#: Verbs after which an adjective says something of the object ("keeps Mira afraid of").
_OBJECT_STATE: Final = frozenset({"make", "leave", "keep", "find", "get", "have", "see", "render"})
_LEADING: Final = word_set("a an the not in on all both no-longer more by")

Holder = tuple[Verb | None, list[Chunk]]


class AdjectiveReader:
    """Reads the predicative phrases of one sentence."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.clauses = reader.clauses

    def read(self) -> None:
        """Every word a predicative template may begin with, where no verb has used it."""
        for i, token in enumerate(self.clauses.tokens):
            if i not in self.reader.claimed and token.low in predicatives() and not token.is_name:
                self._predicative(i)

    def _predicative(self, i: int) -> None:
        verb, subject = self._holder(i)
        if not subject or self._before_name(i):
            return
        if self.clauses.low(i) == "close" and (verb is None or verb.lemma not in ("be", "become", "remain", "grow")):
            return  # where somebody stands, not whom he likes
        for template in predicatives()[self.clauses.tokens[i].low]:
            found = self.reader.matcher.match(template, i, subject, verb)
            if found is None:
                continue
            used = self.reader.use(template, found, verb) if verb else self.reader.use_alone(template, found, i)
            if used:
                return

    def _before_name(self, i: int) -> bool:
        """Whether the word only describes a name ("loyal Karl")."""
        unit = self.clauses.unit[i]
        return isinstance(unit, Chunk) and bool(unit.names) and unit.noun_at >= 0 and unit.start <= i < unit.end - 1

    # -- of whom it is said ------------------------------------------------

    def _holder(self, i: int) -> Holder:
        """The verb that joins the phrase at `i` to somebody (None: no verb does), and that somebody."""
        unit = self.clauses.unit[i]
        if isinstance(unit, Verb):
            own = unit.head == i and (unit.passive or unit.governor is None or not unit.words)
            if own or unit.head != i:
                return (unit, unit.subject) if own else (None, [])
        j = self._left(i, unit)
        before = self.clauses.unit[j] if j >= 0 else None
        if isinstance(before, Verb):
            if before.lemma in _BE_LIKE or before.passive:
                return before, before.subject
            return None, before.subject if before.lemma in _BARE else []
        if self.clauses.low(j) in ("and", "or", "but", "yet", "nor", ","):
            return self._shared(j, i)
        if isinstance(before, Chunk) and (before.refs or before.pronoun):
            return self._beside(before)
        return self._farther(i, j)

    def _left(self, i: int, unit: Chunk | Verb | None) -> int:
        """The token before the phrase at `i` that is not a part or an adverb of it."""
        j = i - 1
        while j >= 0 and not isinstance(self.clauses.unit[j], Verb):
            if not tags.is_adverb(self.clauses.tokens[j]) and self.clauses.low(j) not in _LEADING:
                break
            j -= 1
        while j > 0 and isinstance(unit, Chunk) and self.clauses.unit[j] is unit and not (unit.refs or unit.pronoun):
            j -= 1
        return j

    def _beside(self, before: Chunk) -> Holder:
        """As in "keeps Mira afraid of", "is she fond of", "Mira, fond of"."""
        inverted = next((verb for verb in self.clauses.verbs if before in verb.inverted), None)
        if inverted is not None:
            return inverted, inverted.subject
        above = self.clauses.unit[before.first - 1] if before.first else None
        if isinstance(above, Verb) and above.lemma in _OBJECT_STATE:
            return above, [before]
        return None, [before]

    def _farther(self, i: int, j: int) -> Holder:
        """As in "is up to his ears in debt to"; or, at the start, the subject of the clause after the comma."""
        back = next((verb for verb in reversed(self.clauses.verbs) if verb.end <= i), None)
        joins = back is not None and (back.lemma in _BE_LIKE or back.passive)
        if j >= 0 and back is not None and joins and all(self.clauses.low(k) != "," for k in range(back.end, i)):
            return back, back.subject
        if j >= 0:
            return None, []
        return None, main_subject(self.clauses, i)

    def _shared(self, j: int, i: int) -> Holder:
        if self.clauses.low(j) == ",":
            before = self.clauses.unit[j - 1] if j else None
            if isinstance(before, Chunk) and before.refs:
                verb = next((v for v in self.clauses.verbs if before in v.subject and v.start > i), None)
                if verb is not None or not self.clauses.verbs:
                    return None, verb.subject if verb is not None else [before]
        for verb in reversed(self.clauses.verbs):
            if verb.end <= j + 1 and verb.subject:
                be = verb.lemma in _BE_LIKE or verb.passive
                return (verb if be and self.clauses.low(j) != "," else None), verb.subject
        return None, [] if any(verb.finite and verb.end <= i for verb in self.clauses.verbs) else main_subject(
            self.clauses, i
        )
