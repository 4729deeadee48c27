"""What word class a token can have: the lexicon's verbs, the closed classes, and guesses from the ending.

Knows nothing of the neighbours of a word; `phrases` decides with them.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from workbench.memory.relations.lexicon import morphology, nouns, word_set, words
from workbench.memory.relations.lexicon.morphology import Form
from workbench.memory.relations.templates import heads
from workbench.memory.relations.tokens import Token

#: Read as a noun or an adjective although a verb is spelled alike, wherever a noun may stand.
_MOSTLY_NOUNS: Final = word_set(
    """
    being wedding saving saying feeling standing building painting meeting
    """
)


_NOT_VERBS: Final = word_set(
    """
    hundred sacred wicked naked crooked rugged ragged beloved learned kindred hatred wretched aged
    blessed cursed gifted bearded talented embed wooded jagged dogged old-fashioned morning evening
    wedding ceiling string spring building pudding herring earring stocking viking lightning during
    painting clothing shilling fledgling outing clearing meeting
    """
)


@cache
def verb_forms() -> dict[str, tuple[Form, ...]]:
    """Written word → the verbs it may be a form of."""
    return morphology.table(set(words.COMMON_VERBS) | heads() | words.SPEECH | words.ENDING)


def readings(token: Token) -> tuple[Form, ...]:
    """The verb readings of a token; none for names and marks."""
    if token.entity is not None:
        return ()
    return verb_forms().get(token.low) or _guess(token.low)


@cache
def _guess(low: str) -> tuple[Form, ...]:
    """An unknown word in -ed or -ing is most often a verb."""
    if low in _NOT_VERBS or low.endswith(("eed", "hood")):
        return ()
    if low.endswith("ed") and len(low) > 4 and low.isalpha():
        return (Form(low[:-2], "past"), Form(low[:-2], "pp"))
    if low.endswith("ing") and len(low) > 5 and low.isalpha() and not low.endswith(("ling", "thing")):
        return (Form(low[:-3], "ing"),)
    return ()


def is_adverb(token: Token) -> bool:
    """still, never mind where it stands; and words in -ly."""
    if token.entity is not None:
        return False
    low = token.low
    return low in words.ADVERBS or (low.endswith("ly") and len(low) > 3 and low not in words.NOT_ADVERBS)


def is_closed(token: Token) -> bool:
    """Whether the word can neither be a noun nor an adjective nor a full verb."""
    low = token.low
    return token.entity is None and (
        token.is_mark
        or low in words.PREPOSITIONS
        or low in words.CONJUNCTIONS
        or low in words.SUBORDINATORS
        or low in words.RELATIVES
        or low in words.MODALS
        or low in words.NEGATIONS
        or low in words.AUXILIARIES
        or low == "'s"
    )


def is_modifier(token: Token) -> bool:
    """A word that may stand before a noun without changing what a template means."""
    if token.entity is not None or is_closed(token):
        return token.low in ("and", "nothing", "but")
    low = token.low
    return low in words.DETERMINERS or low in words.POSSESSIVES or low not in words.PRONOUNS or low == "all"


def is_plain_noun(token: Token) -> bool:
    """A bond or feeling noun, or an unknown word: something that can head a noun phrase."""
    return token.low in nouns.FEELING_NOUNS or token.low in nouns.MUTUAL_NOUNS or not readings(token)


def looks_third_person(token: Token) -> bool:
    """Whether an unknown word could be a verb in -s."""
    low = token.low
    if token.is_name or len(low) < 4 or not low.endswith("s") or low.endswith(("ss", "us", "is", "'s")):
        return False
    if is_closed(token) or low in words.PRONOUNS or low in words.POSSESSIVES or low in words.DETERMINERS:
        return False
    return low not in nouns.SINGULAR and low not in nouns.FEELING_NOUNS
