"""Bonds as one side sees them: "considers Jon a friend", "sees her as a rival", "counts him among her friends".

One edge, from the holder of the view; kinship seen so ("like a daughter") is none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from workbench.memory.relations.lexicon import nouns, word_set
from workbench.memory.relations.phrases import Chunk, Verb
from workbench.memory.relations.reading import Reader, refs_of

_REGARD: Final = word_set(
    "number list eye rate mark view see regard think look treat count describe know speak perceive"
)
_CONSIDER: Final = word_set("consider call deem think reckon find believe count name label judge feel hold")
_BETWEEN: Final = frozenset({"both", "more", "only", "not", "to", "be"})

View = tuple[Verb, list[int]]


class OneSided:
    """Reads the one-sided bonds of one sentence."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.clauses = reader.clauses

    def read(self, chunk: Chunk, noun: str) -> bool:
        """Whether `chunk` stands as somebody's view of somebody; if it does its edge is recorded."""
        kind = nouns.MUTUAL_NOUNS.get(noun) or nouns.DIRECTED_NOUNS[noun][0]
        before, linked = self._before(chunk)
        if isinstance(before, Verb) and before.passive and before.lemma in _CONSIDER | _REGARD:
            self._passive(before, chunk, kind)
            return True
        view = self._view(before, linked) or self._seen_in(chunk) or self._to_somebody(before)
        if view is None:
            return False
        verb, target = view
        standing = self.reader.modality.of(verb, verb.head)
        sources = refs_of(verb.subject)
        if isinstance(before, Chunk) and (before.pronoun == "each-other" or before.noun == "other"):
            target = sources = sources if len(sources) > 1 else self.reader.only_pair()
        if kind != "family" and standing.real and not standing.denied and chunk.det != "no":
            self.reader.edges.add(sources, target, kind, self.reader.evidence(chunk.start))
        return True

    def _before(self, chunk: Chunk) -> tuple[Chunk | Verb | None, bool]:
        """What stands before the phrase, and whether "as" or "among" links them."""
        low = self.clauses.low
        j = chunk.first - 1
        linked = low(j) in ("as", "among", "amongst", "like")
        if linked:
            j -= 1
            jump = self.clauses.over_parenthesis(j) if low(j) == "," else None
            j = j if jump is None else jump
        elif low(j) == "," and chunk.det in ("a", "an", "the"):
            jump = self.clauses.over_parenthesis(j)
            side = self.clauses.unit[jump] if jump is not None and jump >= 0 else None
            inner = self.clauses.chunk_at(jump + 2) if jump is not None else None
            if isinstance(side, Chunk) and side.names and inner is not None and not inner.names:
                j = side.end - 1
        while j >= 0 and self.clauses.unit[j] is None and low(j) in _BETWEEN:
            j -= 1
        return (self.clauses.unit[j] if j >= 0 else None), linked

    def _view(self, before: Chunk | Verb | None, linked: bool) -> View | None:
        if isinstance(before, Verb):
            return self._gap_view(before)
        if before is None or not (before.refs or before.pronoun):
            return None
        chain = self.clauses.chain_left(before, None)
        i = chain[0].first - 1
        while (
            i >= 0 and self.clauses.low(i) in ("of", "on", "upon", "both", "to", "at") and self.clauses.unit[i] is None
        ):
            i -= 1
        above = self.clauses.unit[i] if i >= 0 else None
        if isinstance(above, Verb) and above.lemma in (_REGARD if linked else _CONSIDER):
            return above, refs_of(chain)
        return None

    def _gap_view(self, before: Verb) -> View | None:
        """As in "considers Jon to be a friend", "whom she considers a friend"."""
        above = before.governor
        if before.lemma == "be" and before.infinitive and above is not None and above.lemma in _CONSIDER:
            between = self.clauses.unit[before.start - 1]
            return (above, refs_of([between])) if isinstance(between, Chunk) else None
        gap = refs_of(self.clauses.gap_of(before)[0]) if before.lemma in _CONSIDER | _REGARD else []
        return (before, gap) if gap else None

    def _seen_in(self, chunk: Chunk) -> View | None:
        """As in "sees a rival in Jon"."""
        above = self.clauses.unit[chunk.first - 1] if chunk.first else None
        other = self.clauses.chunk_at(chunk.end + 1) if self.clauses.low(chunk.end) == "in" else None
        if other is None or not isinstance(above, Verb) or above.lemma != "see":
            return None
        return above, refs_of(self.clauses.chain_right(self.clauses.head_of(other)))

    def _to_somebody(self, before: Chunk | Verb | None) -> View | None:
        """As in "To Mira, Jon is a rival"; the view's holder stands first."""
        first = self.clauses.chunk_at(1) if self.clauses.low(0) in ("to", "for") else None
        if first is None or not isinstance(before, Verb) or before.lemma != "be":
            return None
        head = self.clauses.head_of(first)
        if not head.refs or self.clauses.low(head.end) != ",":
            return None
        return replace(before, subject=[head]), refs_of(before.subject)

    def _passive(self, verb: Verb, chunk: Chunk, kind: str) -> None:
        """As in "is seen by Jon as a rival"."""
        standing = self.reader.modality.of(verb, verb.head)
        if not standing.real or standing.denied:
            return
        for i in range(verb.end, len(self.clauses.tokens)):
            other = self.clauses.chunk_at(i + 1)
            if self.clauses.low(i) == "by" and other is not None:
                sources = refs_of(self.clauses.chain_right(self.clauses.head_of(other)))
                self.reader.edges.add(sources, refs_of(verb.subject), kind, self.reader.evidence(chunk.start))
                return
