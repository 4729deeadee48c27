"""What a sentence says of a relation already told: it is mutual, it is over, or the verb is left out the second time.

To be read when all else of the sentence has been.
"""

from __future__ import annotations

from typing import Final

from workbench.memory.relations.lexicon import nouns, word_set
from workbench.memory.relations.phrases import Verb
from workbench.memory.relations.reading import Reader, refs_of

_SENTIMENTS: Final = word_set(
    """
    feeling sentiment feelings compliment favour favor dislike liking attachment emotion opinion adoration ardour
    devotion
    """
)
_RETURNING: Final = frozenset({"return", "reciprocate", "requite"})
_RETURNED: Final = frozenset({"mutual", "requited", "reciprocated", "returned"})


class AnswerReader:
    """Reads the answers of one sentence."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.clauses = reader.clauses

    def read(self) -> None:
        """Every answer to the relation told last."""
        self._gapped()
        for verb in self.clauses.verbs:
            if not self._requited(verb) and verb.lemma == "be" and verb.negations:
                self._withdrawn(verb)

    def _gapped(self) -> None:
        """As in "…, and he for her", "…, and Jon Karl": the verb is left out the second time."""
        low, tokens = self.clauses.low, self.clauses.tokens
        for i in range(1, len(tokens) - 2):
            first = self.clauses.chunk_at(i + 1) if low(i) == "and" and low(i - 1) in (",", ";") else None
            if first is None or first.possessive or first.noun or not first.refs:
                continue
            j = first.end + (1 if low(first.end) in ("for", "of", "to", "in") else 0)
            second = self.clauses.chunk_at(j)
            if second is None or second.noun or second.end < len(tokens) or not self.reader.edges.last:
                continue
            source, target, kind = self.reader.edges.last[0]
            back = second.refs if second.refs != first.refs else ()
            back = back or ((source,) if first.refs == (target,) else ())
            self.reader.edges.add(first.refs, back, kind, self.reader.evidence(i))

    def _requited(self, verb: Verb) -> bool:
        """As in "The feeling is mutual", "Crake returns the sentiment": it holds the other way too."""
        low = self.clauses.low
        said = {low(j) for j in range(verb.end, min(verb.end + 4, len(self.clauses.tokens)))}
        subject = {chunk.noun for chunk in verb.subject}
        if verb.lemma == "share" and said & (_SENTIMENTS | nouns.FEELING_NOUNS.keys() | {"it", "view"}):
            return self._joined_in(verb)
        about = said if verb.lemma in _RETURNING and not verb.passive else subject
        mutual = verb.lemma in _RETURNING or (verb.lemma == "be" and said & _RETURNED)
        if not mutual or not about & (_SENTIMENTS | nouns.FEELING_NOUNS.keys()) or not self.reader.edges.last:
            return False
        standing = self.reader.modality.of(verb, verb.head)
        if standing.real and not standing.denied:
            for source, target, kind in list(self.reader.edges.last):
                self.reader.edges.add([target], [source], kind, self.reader.evidence(verb.head))
        return True

    def _joined_in(self, verb: Verb) -> bool:
        """As in "Mira admires Karl, and Jon shares the feeling"."""
        holders, found = refs_of(verb.subject), list(self.reader.edges.found)
        standing = self.reader.modality.of(verb, verb.head)
        one_way = [(s, t, kind) for s, t, kind in found if (t, s, kind) not in found and {s, t}.isdisjoint(holders)]
        if len(holders) != 1 or not one_way or not standing.real or standing.denied:
            return False
        _, target, kind = one_way[-1]
        self.reader.edges.add(holders, [target], kind, self.reader.evidence(verb.head))
        return True

    def _withdrawn(self, verb: Verb) -> bool:
        """As in "…; in this age he is not.": what was just told of the same subject no longer holds."""
        ends = verb.end >= len(self.clauses.tokens) or self.clauses.low(verb.end) in (";", ",", "anymore")
        subject = set(refs_of(verb.subject))
        if not ends or not subject:
            return False
        for key in self.reader.edges.last:
            if subject & set(key[:2]):
                self.reader.edges.found.pop(key, None)
        return True
