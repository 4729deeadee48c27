"""Who is spoken of: names that are known found in a text, and new ones learnt from how they are written.

Knows nothing of relations.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from workbench.memory.relationships.statements import entity_name

_WORD = re.compile(r"[^\W_]+")
_NAME_WORD = re.compile(r"[^\W\d_]+(?:['\u2019\-][^\W\d_]+)*")

_COMMON_WORDS_LIST = """
art bill bob chance charity chase chip christian colt crystal dale daisy dawn dean destiny dick drew earl ember
eve faith flora forest frank gene ginger glen grace grant gray guy harmony harry hazel heather holly hope hunter
iris ivy jack jade jasmine jay jewel joy june king lance lark lily mark mason max may mercy miles nick olive pat
patience pearl penny peg pierce prince ray reed rich rob robin rose ruby sage sandy savannah scarlet sky spencer
star storm sue summer sunny tanner trinity trip victor violet wade ward will willow winter wren
"""
COMMON_WORDS = frozenset(_COMMON_WORDS_LIST.split())
"""Names that are words, too: they count only as they are written."""
_OPENERS = frozenset({"hope", "may", "will"})
"""Those of them that often begin a sentence as words: there they count as names only where one asks for all."""

_NEVER_LIST = """
i i'm i'll i've i'd a an the this that these those he she it we you they his her its our your their my me him us
them who whom whose what which when where why how and but or nor so yet if then than as at by for from in into of
off on onto out over to up with about after before while because although though since until unless however
yes no not ok okay well oh ah hey hi hello dear thanks please sorry maybe perhaps still now later today tomorrow
yesterday tonight once again also even just only both all some any each every many most few one two three
is are was were be been am do does did has have had can could will would shall should may might must let let's
monday tuesday wednesday thursday friday saturday sunday january february march april june july august september
october november december christmas easter english french german spanish italian latin greek chinese japanese
russian american british european god lord internet
"""
_NEVER = frozenset(_NEVER_LIST.split())


class NameIndex:
    """Names, found in a text by their words, the longest first: "Ann Lee" in "Ann Lee's", not "Ann".

    Case does not matter ("who does mira trust?"), but for names that are common words as well. A look-up takes time in
    proportion to the text, however many names there are.

    Args:
        names: known from the start.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._first: dict[str, list[tuple[tuple[str, ...], tuple[str, ...], str]]] = {}
        self._names: dict[str, None] = {}
        for name in names:
            self.add(name)

    def add(self, name: str) -> bool:
        """Know a name; ``False``: it was known."""
        name = entity_name(name)
        words = tuple(word for word, _ in _words(name))
        if name in self._names or not words:
            return False
        self._names[name] = None
        folded = tuple(word.casefold() for word in words)
        same = self._first.setdefault(folded[0], [])
        same.append((folded, words, name))
        same.sort(key=lambda entry: -len(entry[0]))
        return True

    def mentioned(self, text: str, *, doubtful: bool = False) -> list[str]:
        """Names that are in a text, in order of their first mention, each once.

        Args:
            text: where to look.
            doubtful: also a word at the beginning of a sentence that may be one: "Will he …", "Will is …".
        """
        words = list(_words(unicodedata.normalize("NFC", text)))
        folded = [word.casefold() for word, _ in words]
        found: dict[str, None] = {}
        place = 0
        while place < len(words):
            entry = self._at(words, folded, place, doubtful)
            if entry is not None:
                found[entry[2]] = None
            place += 1 if entry is None else len(entry[0])
        return list(found)

    def _at(
        self, words: list[tuple[str, bool]], folded: list[str], place: int, doubtful: bool
    ) -> tuple[tuple[str, ...], tuple[str, ...], str] | None:
        matching = [
            entry
            for entry in self._first.get(folded[place], ())
            if entry[0] == tuple(folded[place : place + len(entry[0])])
        ]
        for entry in matching:  # as written before merely alike: "May" and "MAY" may both be names
            written = tuple(word for word, _ in words[place : place + len(entry[0])])
            opens = words[place][1] and len(entry[0]) == 1 and entry[0][0] in _OPENERS
            if written == entry[1] and (doubtful or not opens):
                return entry
        return next((entry for entry in matching if len(entry[0]) > 1 or entry[0][0] not in COMMON_WORDS), None)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(slots=True)
class _Candidate:
    mentions: int = 0
    within: int = 0
    """Those of them that do not begin a sentence, where a capital says nothing."""
    places: list[int] = field(default_factory=list)


class NameLearner:
    """Learns proper names from capitals, message by message. Conservative: better to miss a name than to make one up.

    A name is a row of capitalised words that was seen twice, at least once not at the beginning of a sentence. A
    single word seen in lower case as well is none, nor are days, months, languages, pronouns and the like, nor what is
    written in capitals throughout. English habits: a language that capitalises nouns, or nothing, needs its
    names given. Depends on nothing but the texts in their order.

    Attributes:
        names: known names.
    """

    MOST_PLACES = 32
    """Mentions remembered of a word that is no name yet."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = NameIndex(names)
        self._candidates: dict[str, _Candidate] = {}
        self._lower: set[str] = set()

    def know(self, name: str) -> list[int]:
        """Somebody bears this name; returns which messages mentioned it before it was known."""
        if not self.names.add(name):
            return []
        candidate = self._candidates.pop(entity_name(name), None)
        return [] if candidate is None else candidate.places

    def take(self, index: int, text: str) -> list[int]:
        """Read message ``index``; returns earlier messages that mentioned a name learnt from this one."""
        seen: set[str] = set()
        for name, begins in self._rows(unicodedata.normalize("NFC", text)):
            if name not in self.names:
                candidate = self._candidates.setdefault(name, _Candidate())
                candidate.mentions += 1
                candidate.within += not begins
                if candidate.places[-1:] != [index] and len(candidate.places) < self.MOST_PLACES:
                    candidate.places.append(index)
                seen.add(name)
        learnt = sorted(name for name in seen if self._is_name(name))
        return sorted({place for name in learnt for place in self.know(name)} - {index})

    def _is_name(self, name: str) -> bool:
        candidate = self._candidates[name]
        return candidate.mentions >= 2 and candidate.within >= 1 and name.casefold() not in self._lower

    def _rows(self, text: str) -> Iterator[tuple[str, bool]]:
        """Rows of capitalised words and whether each begins a sentence; without its first word, too, if it does."""
        row: list[str] = []
        begins, end = False, 0
        for match in _NAME_WORD.finditer(text):
            gap, word = text[end : match.start()], _bare(match.group())
            end = match.start() + len(word)
            if row and (gap.strip() or not gap):
                yield from _told(row, begins)
                row = []
            if not _capitalised(word) or word.casefold() in _NEVER:
                if word.islower():
                    self._lower.add(word)
                yield from _told(row, begins)
                row = []
            else:
                begins = begins if row else _begins(gap, match.start())
                row.append(word)
        yield from _told(row, begins)


def _told(row: list[str], begins: bool) -> Iterator[tuple[str, bool]]:
    if row:
        yield " ".join(row), begins
    if begins and len(row) > 1:  # "Yesterday Mira", "Dear Jon": the first capital may be the sentence's
        yield " ".join(row[1:]), True


def _capitalised(word: str) -> bool:
    return len(word) > 1 and word[0].isupper() and any(letter.islower() for letter in word[1:])


def _bare(word: str) -> str:
    """Without the ending of a possessive."""
    return word[:-2] if len(word) > 2 and word[-2] in "'\u2019" and word[-1] in "sS" else word


def _begins(gap: str, start: int) -> bool:
    """Whether a word begins a sentence, a line or a quotation, going by what is between it and the word before."""
    return start == len(gap) or bool(set(gap) & set('.!?…:;\n"“”„«»()[]*#>-—'))


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Words, and whether each begins a sentence."""
    end = 0
    for match in _WORD.finditer(text):
        yield match.group(), _begins(text[end : match.start()], match.start())
        end = match.end()
