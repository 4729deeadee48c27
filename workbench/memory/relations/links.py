"""What noun phrases stand for unnamed: "the one he adores", "nobody … more than Jon", "both of them: A and B".

Works on a sentence whose names and pronouns are settled; knows nothing of relations.
"""

from __future__ import annotations

from typing import Final

from workbench.memory.relations.clauses import Clauses
from workbench.memory.relations.lexicon import nouns, word_set
from workbench.memory.relations.phrases import Chunk, Verb

_NOBODY: Final = frozenset({"nobody", "nothing", "none"})
_DEGREE: Final = word_set(
    """
    more as so better deeper less worse half quite much sooner harder longer higher closer greater
    stronger dearer fonder nearer prouder
    """
)
_GENERIC: Final = word_set(
    """
    everyone everybody all both each every two three four five one only someone somebody these those
    several many some anyone anybody
    """
)
_RELATIVE: Final = frozenset(
    {"who", "whom", "whose", "which", "that", "where", "when", "while", "because", "although", "if"}
)
_EXCEPT: Final = frozenset({"but", "except", "save", "besides"})


def link(clauses: Clauses) -> None:
    """Fill in `refs` of phrases that another phrase of the sentence explains."""
    for chunk in clauses.chunks:
        _quantified(clauses, chunk)
    for verb in clauses.verbs:
        for chunk in verb.subject:
            if not chunk.refs and chunk.noun in nouns.TRACES:
                chunk.refs = traced(clauses, chunk)
        if verb.lemma == "be" and not verb.negations and not verb.modal:
            _copula(clauses, verb)
    for chunk in clauses.chunks:
        if not chunk.refs and not chunk.possessive:
            _described_elsewhere(clauses, chunk)
    for verb in clauses.verbs:
        if verb.subject and not any(chunk.refs for chunk in verb.subject):
            _included(clauses, verb)


def _quantified(clauses: Clauses, chunk: Chunk) -> None:
    """As in "each … the other", "neither of them", "nobody but Jon"."""
    if (
        chunk.noun == "other"
        and chunk.det == "the"
        and any(clauses.low(i) in ("each", "either") for i in range(chunk.start))
    ):
        chunk.pronoun = "each-other"
    if chunk.pronoun in ("neither", "both", "each", "all", "none") and clauses.low(chunk.end) == "of":
        chunk.refs = _refs(clauses, chunk.end + 1) or chunk.refs
    if chunk.owner is not None and chunk.noun in ("members", "people", "men", "leaders", "soldiers", "council"):
        chunk.refs = chunk.refs or (chunk.owner.refs if chunk.owner.pronoun in ("its", "their") else ())
    if chunk.pronoun == "everything" and clauses.low(chunk.end) == "about":
        chunk.refs = _refs(clauses, chunk.end + 1)
    if chunk.pronoun in _NOBODY or chunk.det == "no":
        chunk.refs = _least_of_all(clauses, chunk)
        if chunk.refs:
            return
        _compared(clauses, chunk)


def _least_of_all(clauses: Clauses, chunk: Chunk) -> tuple[int, ...]:
    """As in "Nobody trusts Reynard, least of all Basil": Basil does not."""
    low = clauses.low
    for i in range(chunk.end, len(clauses.tokens) - 3):
        if (low(i), low(i + 1), low(i + 2)) == ("least", "of", "all"):
            before = clauses.unit[i - 1] if i else None
            return _refs(clauses, i + 3) or (before.refs if isinstance(before, Chunk) else ())
    return ()


def _described_elsewhere(clauses: Clauses, chunk: Chunk) -> None:
    """A phrase without a name that a name before or after it explains."""
    quantifier, after = chunk.pronoun or chunk.det, clauses.low(chunk.end)
    if quantifier in _GENERIC:
        _explained(clauses, chunk)
    if not chunk.refs and quantifier in ("everyone", "everybody", "all", "every"):
        _singled_out(clauses, chunk)
    if chunk.det in ("the", "a") and after in ("who", "that", "whose", "whom"):
        _final_name(clauses, chunk)
    if not chunk.refs and chunk.det in ("the", "a", "an") and chunk.owner is None and after in _RELATIVE:
        _described(clauses, chunk)


def traced(clauses: Clauses, chunk: Chunk) -> tuple[int, ...]:
    """As in "the very sight of Karl", "Karl's voice": Karl."""
    if chunk.owner is not None:
        return chunk.owner.refs
    return _refs(clauses, chunk.end + 1) if clauses.low(chunk.end) == "of" else ()


def _refs(clauses: Clauses, i: int) -> tuple[int, ...]:
    chunk = clauses.chunk_at(i)
    if chunk is None:
        return ()
    chain = clauses.chain_right(clauses.head_of(chunk))
    return tuple(dict.fromkeys(entity for member in chain for entity in member.refs))


def _compared(clauses: Clauses, chunk: Chunk) -> None:
    """As in "Nobody … more than Jon", "no one but Jon": the one excepted is meant, and nothing is denied."""
    low = clauses.low
    i = chunk.end
    if low(i) in _EXCEPT or (low(i), low(i + 1)) == ("other", "than"):
        refs = _refs(clauses, i + 1) or _refs(clauses, i + 2)
        return _mean(chunk, refs)
    for i in range(chunk.end, len(clauses.tokens)):
        if low(i) in ("except", "save") and _refs(clauses, i + 1):
            return _mean(chunk, _refs(clauses, i + 1))
        if low(i) in ("than", "as", "like") and (
            low(i) == "like" or any(low(j) in _DEGREE for j in range(max(chunk.start, i - 7), i))
        ):
            refs = _refs(clauses, i + 1)
            if refs:
                return _mean(chunk, refs)
    return None


def _mean(chunk: Chunk, refs: tuple[int, ...]) -> None:
    if refs:
        chunk.refs, chunk.pronoun, chunk.det = refs, "", ""


def _copula(clauses: Clauses, verb: Verb) -> None:
    """As in "Imre is the one he adores", "the only one she fears is Karl": each side names the other."""
    subject = [chunk for chunk in verb.subject if chunk.refs]
    other = clauses.chunk_at(clauses.skip_adverbs(verb.end))
    if other is None:
        return
    complement = clauses.head_of(other)
    if complement.owner is not None and not complement.names:
        return
    if subject and not complement.refs and not complement.pronoun and complement.det not in ("no", "neither"):
        complement.refs = tuple(dict.fromkeys(entity for chunk in subject for entity in chunk.refs))
    elif complement.refs and verb.subject and not subject and verb.subject[-1].owner is None:
        refs = tuple(dict.fromkeys(e for c in clauses.chain_right(complement) for e in c.refs))
        verb.subject[-1].refs = refs
        first = clauses.chunks[0]
        if first.det == "the" and not first.refs and first.owner is None and first.end <= verb.start:
            first.refs = refs  # "the only creature she is fond of is Tam"


def _explained(clauses: Clauses, chunk: Chunk) -> None:
    """As in "only one person …: the ferryman Pell", "…, and that is Ms. Ballard"."""
    low = clauses.low
    for i in range(chunk.end, len(clauses.tokens) - 1):
        final = (
            low(i) == ","
            and clauses.chunk_at(i + 1) is not None
            and clauses.head_of(clauses.at[i + 1]).end == len(clauses.tokens)
        )
        if (
            final
            or low(i) in (":", "—")
            or (low(i) in ("is", "was") and low(i - 1) in ("that", "it", "'s") and i > chunk.end + 1)
        ):
            refs = _refs(clauses, i + 1)
            if refs:
                chunk.refs = refs
                return


def _singled_out(clauses: Clauses, chunk: Chunk) -> None:
    """As in "Everyone loves Pia, and Marco most of all", "everyone, especially Marco"."""
    low = clauses.low
    found = []
    for i in range(chunk.end, len(clauses.tokens)):
        entity = clauses.tokens[i].entity
        marked = low(i + 1) in ("most", "above", "included", "too", "especially") and low(i - 1) in ("and", ",")
        if entity is not None and (marked or low(i - 1) in ("especially", "particularly", "including", "even")):
            found.append(entity)
    chunk.refs = tuple(dict.fromkeys(found))


def _final_name(clauses: Clauses, chunk: Chunk) -> None:
    """As in "fears the general who commands them both, Varro.": the name that ends the sentence."""
    last = clauses.chunks[-1]
    if last.names and last.end == len(clauses.tokens) and clauses.low(last.first - 1) == ",":
        chunk.refs = tuple(last.names)


def _described(clauses: Clauses, chunk: Chunk) -> None:
    """As in "Pollux, the one man whose judgement he trusts": the name before the comma."""
    side = clauses.unit[chunk.first - 2] if chunk.first > 1 and clauses.low(chunk.first - 1) in (",", "—") else None
    if isinstance(side, Chunk) and side.refs and not side.possessive:
        chunk.refs = side.refs


def _included(clauses: Clauses, verb: Verb) -> None:
    """As in "Two of them, Thane and Ulric, have …", "everyone, from Pip to Barnaby, is …": the names in commas."""
    last = verb.subject[-1]
    if last.pronoun in _NOBODY or last.det == "no" or (last.owner is not None and not last.noun):
        return
    names: list[int] = []
    opened = False
    for i in range(last.end, verb.start):
        if clauses.low(i) in (",", "—", "("):
            opened = clauses.low(i + 1) not in _RELATIVE
        token = clauses.tokens[i]
        if opened and token.entity is not None and clauses.low(i + 1) != "'s":
            names.append(token.entity)
    last.refs = tuple(dict.fromkeys(names))
