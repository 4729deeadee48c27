"""Text as index terms: folded words, stop words left out, inflections put together.

Knows English spelling only as far as it helps a search; text of any other language keeps its words as they are. The
rules are those of the first step of Porter (1980, "An algorithm for suffix stripping"), which a question and the
sentence that answers it differ by most ("Where does she camp?", "We went camping"), and a table of irregular verbs,
which no rule reaches ("Did he buy", "I bought"). Derivations ("paint", "painter") are left to :func:`prefixes`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*", re.UNICODE)
_VOWEL = re.compile(r"[aeiouy]")
_LONGEST_WORD = 64  # what is longer is no word; its start tells it apart well enough
PREFIX_LENGTH = 4

_FUNCTION_WORDS = """
a about after again all also am an and any are as at be because been before being both but by can could did do does
doing done during each else ever for from further get gets getting got had has have having he her here hers herself
him himself his how i if in into is it its itself just let like may me might more most much must my myself no nor
not of off on once only onto or other our ours ourselves out over own per really s same shall she should so some
still such t than that the their theirs them themselves then there these they this those though through to too
under until up upon us very was we were what when where whether which while who whom whose why will with within
without would you your yours yourself yourselves m re ve ll d im ive dont didnt doesnt isnt wasnt yeah hey oh wow
"""
STOPWORDS = frozenset(_FUNCTION_WORDS.split())

# base form, then the forms a suffix rule cannot reduce to it
_IRREGULAR = """
become became; begin began begun; bend bent; bite bit bitten; blow blew blown; break broke broken; bring brought;
build built; burn burnt; buy bought; catch caught; choose chose chosen; come came; deal dealt; dig dug; draw drew drawn;
dream dreamt; drink drank drunk; drive drove driven; eat ate eaten; fall fell fallen; feed fed; feel felt;
fight fought; find found; fly flew flown; forget forgot forgotten; forgive forgave forgiven; freeze froze frozen;
give gave given; go went gone goes going; grow grew grown; hang hung; hear heard; hide hid hidden; hold held;
keep kept;
know knew known; lay laid; lead led; learn learnt; leave left; lend lent; lose lost; make made; mean meant;
meet met; pay paid; ride rode ridden; ring rang rung; rise rose risen; run ran; say said; see saw seen; seek sought;
sell sold; send sent; sew sewn; shake shook shaken; shine shone; shoot shot; show shown; sing sang sung; sink sank sunk;
sit sat; sleep slept; speak spoke spoken; spend spent; stand stood; steal stole stolen; stick stuck;
strike struck; swear swore sworn; swim swam swum; take took taken; teach taught; tear tore torn; tell told;
think thought; throw threw thrown; understand understood; wake woke woken; wear wore worn; win won; write wrote written;
child children; man men; woman women; person people; foot feet; tooth teeth; mouse mice; goose geese; life lives;
wife wives; knife knives; leaf leaves; shelf shelves; wolf wolves; half halves; good better best; bad worse worst;
one 1; two 2; three 3; four 4; five 5; six 6; seven 7; eight 8; nine 9; ten 10; eleven 11; twelve 12
"""


def fold(text: str) -> str:
    """Case and diacritics removed: "Café" and "cafe" are one word."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFKC", "".join(one for one in parts if not unicodedata.combining(one)))


def words(text: str) -> list[str]:
    """Folded words in order; an apostrophe within stays ("don't")."""
    return [word[:_LONGEST_WORD] for word in _WORD.findall(fold(text))]


def terms(text: str) -> list[str]:
    """Index terms in order: stems of the words that are not stop words."""
    return terms_of(words(text))


def terms_of(said: Iterable[str]) -> list[str]:
    """Index terms of folded words."""
    return [term for term in map(_term, said) if term]


def prefixes(found: Iterable[str]) -> list[str]:
    """First letters of index terms (McNamee and Mayfield 2004, n-gram tokenisation): "painter" meets "painted"."""
    return [term[:PREFIX_LENGTH] for term in found]


@functools.lru_cache(maxsize=200_000)
def _term(word: str) -> str:
    """The stem of a folded word; empty: a stop word."""
    bare = word.replace("\u2019", "'")
    head = bare.split("'")[0]
    if bare.replace("'", "") in STOPWORDS or head in STOPWORDS:
        return ""
    return stem(head if head else bare.replace("'", ""))


@functools.lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """A folded word without its inflection. Need not be a word: "hiking" and "hike" are both "hik"."""
    base = _BASES.get(word)
    if base is not None:
        return _ending(base)
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    return _ending(_BASES.get(word, _without_suffix(_singular(word))))


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _without_suffix(word: str) -> str:
    for suffix in ("ing", "ied", "ed", "ly"):
        root = word[: -len(suffix)]
        if word.endswith(suffix) and len(root) >= 3 and _VOWEL.search(root):
            if suffix == "ied":
                return root + "y"
            return root if suffix == "ly" else _undoubled(root)
    return word


def _undoubled(root: str) -> str:
    """Of "runn" is made "run", but "call" stays."""
    if len(root) > 3 and root[-1] == root[-2] and root[-1] not in "lsz":
        return root[:-1]
    return root


def _ending(word: str) -> str:
    """Final e and y put aside, so that "hike" equals what is left of "hiking", "study" that of "studies"."""
    if len(word) > 3 and word.endswith("e"):
        return word[:-1]
    if len(word) > 3 and word.endswith("y"):
        return word[:-1] + "i"
    return word


_BASES = {form: line.split()[0] for line in _IRREGULAR.split(";") for form in line.split()}
