"""Who says a quoted stretch and to whom, from the words round it and from the names it calls.

Knows sentences and their phrases; nothing of relations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workbench.memory.relations.clauses import Clauses
from workbench.memory.relations.lexicon import words
from workbench.memory.relations.phrases import Chunk
from workbench.memory.relations.tokens import Sentence, Token

_ADDRESSING: Final = frozenset({"my", "dear", "oh", "o", "yes", "no", "old", "sir", "lady"})

#: What speaks for the one it is of ("said the ghost of Amalie").
_SPIRITS: Final = frozenset({"ghost", "spirit", "shade", "voice", "spectre", "portrait", "statue", "head"})


def speaker_of(narration: Clauses | None, *, after: bool) -> list[Chunk]:
    """The subject of the verb of speech nearest the quotation in the narration before or after it."""
    if narration is None:
        return []
    spoken = [verb for verb in narration.verbs if verb.lemma in words.SPEECH]
    if not spoken:
        return []
    verb = spoken[0] if after else spoken[-1]
    follow = narration.chunk_at(verb.end)
    before = [chunk for chunk in verb.subject if chunk.end <= verb.start]
    if not before and follow is not None:
        head = narration.head_of(follow)
        inner = narration.chunk_at(head.end + 1) if narration.low(head.end) == "of" and head.noun in _SPIRITS else None
        return narration.chain_right(narration.head_of(inner) if inner is not None else head)
    return before


def listener_of(narration: Clauses | None) -> list[Chunk]:
    """The one told: "told Jon", "said to Jon"."""
    if narration is None:
        return []
    for verb in narration.verbs:
        if verb.lemma not in words.SPEECH:
            continue
        i = verb.end
        if (
            verb.lemma in ("tell", "ask", "warn", "beg", "promise", "assure", "answer")
            and narration.chunk_at(i) is not None
        ):
            head = narration.head_of(narration.at[i])
            if head not in verb.subject and any(chunk.end <= verb.start for chunk in verb.subject):
                return [head]
        for j in range(i, min(i + 6, len(narration.tokens))):
            if narration.low(j) == "to" and narration.chunk_at(j + 1) is not None:
                return [narration.head_of(narration.at[j + 1])]
    return []


def called(sentence: Sentence) -> list[int]:
    """The entities addressed by name in a quoted sentence: set off by commas at its edge or inside it."""
    found, tokens = [], sentence.tokens
    while tokens and tokens[-1].is_mark:
        tokens = tokens[:-1]
    for i, token in enumerate(tokens):
        if token.entity is None:
            continue
        before = tokens[i - 1].low if i else ""
        after = tokens[i + 1].low if i + 1 < len(tokens) else ""
        led = before in _ADDRESSING and i <= 2
        alone = before == "" and after == ""
        if (led or before in ("", ",", "—")) and after in ("", ",", "—", "!") and not alone and not _listed(tokens, i):
            found.append(token.entity)
    return found


def _listed(tokens: Sequence[Token], i: int) -> bool:
    """Whether the name between commas is one of a list ("Ann, Bea and Cyd")."""
    return i + 3 < len(tokens) and tokens[i + 2].is_name and tokens[i + 3].low in ("and", ",")
