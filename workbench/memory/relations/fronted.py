"""What stands out of its place: phrases and objects before the main clause, verbs cut off from their auxiliary.

Knows the shape of sentences, nothing of relations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.memory.relations.lexicon import words
from workbench.memory.relations.phrases import Chunk, Verb

if TYPE_CHECKING:
    from workbench.memory.relations.clauses import Clauses

_FRONTING: Final = frozenset({"for", "to", "towards", "toward", "in", "on", "upon", "with", "against", "of"})


def main_subject(clauses: Clauses, i: int) -> list[Chunk]:
    """The subject of the first clause after token `i` that follows a comma; [] without any.

    As in "Feared by Ann, hated by Bea and loyal to nobody, Karl …": Karl.
    """
    low, fallback = clauses.low, list[Chunk]()
    for k in range(i, len(clauses.tokens)):
        at = k + 1
        if low(k) in (":", "—") and low(at) == "such":
            at += 2
        elif low(k) != ",":
            continue
        if low(at) == "both":
            at += 1
        chunk = clauses.chunk_at(at)
        if chunk is None or clauses.head_of(chunk).possessive:
            continue
        chain = whole_list(clauses, clauses.head_of(chunk))
        if clauses.begins_clause(chain[-1]) or at > k + 1:
            return chain
        fallback = fallback or chain[:1]
    return fallback


def whole_list(clauses: Clauses, head: Chunk) -> list[Chunk]:
    """The list that begins with `head`, its last member too when a verb follows it."""
    chain = clauses.chain_right(head)
    if clauses.low(chain[-1].end) != "and":
        return chain
    last = clauses.chunk_at(chain[-1].end + 1)
    return [*chain, clauses.head_of(last)] if last is not None else chain


def fronted_object(clauses: Clauses, j: int) -> tuple[list[Chunk], str] | None:
    """As in "For Jon she feels nothing but contempt": the object and its preposition; `j` is before the subject."""
    unit = clauses.unit[j - 1] if clauses.low(j) == "," and j > 0 else clauses.unit[j] if j >= 0 else None
    if not isinstance(unit, Chunk) or unit.possessive or not unit.first:
        return None
    chain = clauses.chain_left(unit, None)
    at = chain[0].first - 1
    opens = at == 0 or clauses.low(at - 1) in (",", ";", ":", "—", "and", "but")
    if at < 0 or not opens or clauses.unit[at] is not None or clauses.low(at) not in _FRONTING:
        return None
    return chain, clauses.low(at)


def resume(clauses: Clauses, verb: Verb, number: int) -> None:
    """As in "did, in the last age, hold": verb `number`, after an insertion, takes the auxiliary before it."""
    before = clauses.verbs[number - 1] if number else None
    if before is None or before.words or not (before.lemma == "do" or before.lemma in words.MODALS):
        return
    bare = verb.kind == "base" and not verb.words and not verb.infinitive
    if bare and clauses.low(before.end) == "," and clauses.low(verb.start - 1) == ",":
        verb.words = (clauses.low(before.head),)
        verb.modal = before.modal or ("" if before.lemma == "do" else before.lemma)
        verb.negations = before.negations
