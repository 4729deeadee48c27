"""Of whom a phrase before the main clause is said: "Feared by Ann, hated by Bea and loyal to nobody, Karl …".

Knows the shape of sentences, nothing of relations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.memory.relations.phrases import Chunk

if TYPE_CHECKING:
    from workbench.memory.relations.clauses import Clauses


def main_subject(clauses: Clauses, i: int) -> list[Chunk]:
    """The subject of the first clause after token `i` that follows a comma; [] without any."""
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
