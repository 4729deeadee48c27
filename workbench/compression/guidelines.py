"""What one guideline of a prompt says, and whether another says all of it.

Words are folded, stemmed and put together with their synonyms in instructions ("concise", "brief"); how firmly
something is asked for ("always", "make sure") does not count. What would change the meaning does: what is negated
(Das and Chen 2001 mark words in a negation's scope), numbers, names, conditions ("if", "only"), permissions, limits,
and the scope a preposition opens ("for children"). English; what it does not know counts as a word like any other.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import NamedTuple

from workbench.ranking.words import fold, stem

_QUOTED = re.compile(r"`[^`]+`|\"[^\"\n]+\"|\u201c[^\u201d\n]+\u201d|\{[^{}\n]+\}|<[^<>\n]+>|https?://\S+|\S+@\S+\.\w+")
_TOKEN = re.compile(r"\x00\d+|\d+(?:[.,:]\d+)*%?|[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|[,;:.!?\u2014()\n]", re.UNICODE)
_CLAUSE_FIRST = re.compile(r"^\s*((?:before|after|when|once|if|unless)\b[^,.;:]*),\s*(.*?)([.!?]?\s*)$", re.DOTALL)
_PASSIVE = re.compile(r"([^,;:.!?]*?)\b(?:must|should|may|can|are|is|will|were|was)?\s*\b(?:not|never|cannot)\s+be\b")
_PLACE = re.compile(r"\x00(\d+)")
_PHRASES = tuple(
    (re.compile(rf"\b(?:{pattern})\b"), word)
    for pattern, word in (
        (r"(?:do not|don't|never) forget(?: to| that)?", "remember"),
        (r"(?<=words) long|(?<=lines) long|(?<=minutes) long", ""),
        (r"(?:do not|don't|never|must not|should not|not) exceed(?:ing)?", "atmost"),
        (
            r"(?:no|not) (?:more|longer) than|at most|up to|(?:a )?max(?:imum)?(?: of)?|(?:fewer|less) than|"
            r"under(?= \d)",
            "atmost",
        ),
        (r"(?:no|not) (?:less|fewer) than|at least|(?:a )?min(?:imum)?(?: of)?", "atleast"),
        (r"more than|longer than|exceed(?:s|ing)?", "above"),
        (r"(?:is|are|am|be|you're|if) (?:not sure|not certain)|(?:do not|don't) know", "unsure"),
        (r"mak(?:e|ing) (?:things |it |facts |information )?up|made[- ]up", "invent"),
        (r"feel free to|you (?:may|can)|(?:is|are) (?:allowed|permitted|welcome) to|optionally", "permitted"),
        (r"step[- ]by[- ]step", "stepwise"),
        (r"bullet(?:ed)? (?:points?|lists?)|bullets", "bullet"),
        (r"(?:instead of|rather than)", "without"),
        (r"as well as", "and"),
    )
)
_NEGATING = """
not no never none nothing nobody neither cannot without avoid avoids avoiding refrain don't doesn't didn't can't
won't shouldn't mustn't isn't aren't refuse decline forbidden prohibited
"""
_NEGATIONS = frozenset(_NEGATING.split())
_CONDITIONAL = """
if when whenever unless until while only except once before after permitted atmost atleast above sometimes rarely
usually often first last then twice during otherwise where wherever since than
"""
_CONDITIONS = frozenset(_CONDITIONAL.split())
_ORDERED = frozenset({"before", "after", "first", "last", "then", "than"})
_NARROWING = "for in on at about with from within between to into by during of regarding towards against per"
_OPENERS = frozenset(_NARROWING.split())
_JOINING = frozenset({"and", "or", "nor", "but"})
_ENDS = frozenset(",;:.!?\u2014()\n")
_TURNS = frozenset({"because", "but", "instead", "however", "yet", "always", "please"})
_LIST = re.compile(rf"(?:(?!\b(?:{'|'.join(sorted(_TURNS))})\b)[^;:.!?])*\bor\b")
_SAYING_LITTLE = """
a an the this that these those it its they them their he she his her you your yours i we us our my and or be is are
am was were been being as so also too very really quite truly just kindly please always ensure make makes
sure certain remember note important importantly critical crucial essential should must shall will would need needs
have has having to of in on at for with by from about into within do does did done try tries aim strive every each
any all time times case cases keep kept used stay remain maintain give provide use using user users customer customers
client clients caller person people someone who whom which what there here answer answers response responses
respond reply replies tone style way manner fully completely
absolutely strictly ever under circumstances circumstance per such get let might possible rather even own everything
anything between among
"""
_LIGHT = frozenset(map(stem, _SAYING_LITTLE.split()))
# the first of a line stands for all of it
_ALIKE = """
short brief concise succinct terse briefly concisely succinctly shortly
polite courteous respectful politely courteously respectfully politeness
friendly warm warmly
say tell mention discuss talk speak
share reveal disclose expose leak divulge
information info data detail details
invent fabricate hallucinate invented fabricated
simple plain simply plainly
accurate correct accurately correctly
begin start open
end finish conclude close
help assist
clarify clarification clarifying
honest truthful honestly truthfully
admit acknowledge
unsure uncertain
repeat restate
wait pause
confidential secret
hand transfer escalate
professional professionally professionalism
calm calmly
sentence sentences
forbid ban
diagnosis diagnoses diagnose
other another others
"""
_SYNONYMS = {stem(word): stem(line.split()[0]) for line in _ALIKE.strip().splitlines() for word in line.split()}
_COUNTING = "one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {word: str(number) for number, word in enumerate(_COUNTING.split(), 1)}
_NAME = re.compile(r"(?<=[a-z0-9,] )[A-Z][\w'-]*")


@dataclass(frozen=True, slots=True)
class Guideline:
    """What a guideline says.

    Attributes:
        terms: in order; "not " stands before what is negated.
        clauses: of each term, the number of the clause it is in.
        phrases: of each term, the number of the phrase: what stands between commas, "and" and "or".
        hard: numbers, names and quotations among them, which no similarity makes up for.
        scoped: those that narrow the guideline to something: behind a preposition, before a colon.
        conditions: words that make it conditional, permissive or a limit.
    """

    terms: tuple[str, ...]
    clauses: tuple[int, ...]
    phrases: tuple[int, ...]
    hard: frozenset[str]
    scoped: frozenset[str]
    conditions: frozenset[str]

    @property
    def negated(self) -> frozenset[str]:
        """The terms it forbids."""
        return frozenset(term for term in self.terms if term.startswith("not "))

    def about(self, terms: Set[str]) -> set[str]:
        """Its terms in clauses that have any of ``terms``."""
        clauses = {clause for term, clause in zip(self.terms, self.clauses, strict=True) if term in terms}
        return {term for term, clause in zip(self.terms, self.clauses, strict=True) if clause in clauses}


def reading(text: str, *, negated: bool = False) -> Guideline:
    """What ``text`` says; ``negated``: it stands below "Never:" or the like. Takes time by the square of a sentence."""
    quotes: list[str] = []
    names = {fold(name) for name in _NAME.findall(text)}
    plain = fold(_QUOTED.sub(lambda match: _placeholder(match, quotes), text)).replace("\u2019", "'")
    plain = _CLAUSE_FIRST.sub(r"\2 \1\3", plain)  # "before X, do Y" is "do Y before X"
    for pattern, word in _PHRASES:
        plain = pattern.sub(word, plain)
    plain = _PASSIVE.sub(r"not \1 ", plain)  # "X must not be used" is "not use X"
    found = [
        one._replace(term=_PLACE.sub(lambda match: quotes[int(match[1])], one.term)) for one in _terms(plain, negated)
    ]
    said = [one for one in found if not one.condition]
    labels = {one.clause for one in said if one.labels}
    return Guideline(
        terms=tuple(one.term for one in said),
        clauses=tuple(one.clause for one in said),
        phrases=tuple(one.phrase for one in said),
        hard=frozenset(one.term for one in said if one.word in names or not one.word[0].isalpha()),
        scoped=frozenset(one.term for one in said if one.narrow or one.clause in labels),
        conditions=frozenset(one.term for one in found if one.condition),
    )


def says(one: Guideline, other: Guideline, overlap: float = 1.0) -> bool:
    """Whether ``one`` says all that ``other`` does, and not of fewer cases.

    Args:
        one: the guideline that would stay.
        other: the one that would go.
        overlap: the share of the other's terms that has to be among the one's; what is negated, numbers and names all.
    """
    mine, theirs = set(one.terms), set(other.terms)
    if not theirs or one.conditions != other.conditions:
        return False
    common = theirs & mine
    if not (other.negated | other.hard) <= mine or len(common) < overlap * len(theirs):
        return False
    leading = one.about(set(one.terms[:1])) & one.scoped
    scoped = ((one.about(theirs) | leading) - theirs) & (one.scoped | one.hard)
    return not scoped and not _narrowed(one, common) and same_order(one, other)


def _narrowed(one: Guideline, common: Set[str]) -> bool:
    """Whether a phrase says more about what they have in common: "discuss competitors' prices", "discuss competitors".

    With a single word of it in the phrase, as of a verb with two objects, it is taken for something added.
    """
    phrases: dict[int, set[str]] = {}
    for term, phrase in zip(one.terms, one.phrases, strict=True):
        phrases.setdefault(phrase, set()).add(term)
    return any(
        terms - common and (len(terms & common) > 1 or terms >= common) for terms in phrases.values() if terms & common
    )


def same_order(one: Guideline, other: Guideline) -> bool:
    """Where order matters: "A before B" is not "B before A"."""
    if not (one.conditions | other.conditions) & _ORDERED:
        return True
    common = set(one.terms) & set(other.terms)
    first, second = ([term for term in each.terms if term in common] for each in (one, other))
    return first == second


def _placeholder(match: re.Match[str], quotes: list[str]) -> str:
    quotes.append(match[0])
    return f" \x00{len(quotes) - 1} "


class _Term(NamedTuple):
    term: str
    word: str
    clause: int
    phrase: int
    narrow: bool = False
    condition: bool = False
    labels: bool = False


def _terms(plain: str, negated: bool) -> list[_Term]:
    """The terms word by word."""
    found: list[_Term] = []
    negation, narrow, clause, phrase = negated, False, 0, 0
    for match in _TOKEN.finditer(plain):
        word = match[0]
        phrase += word in _ENDS or word in _JOINING
        if word == "," and negation and _LIST.match(plain, match.end()):
            narrow = False  # "no names, dates or places": the whole list is negated
        elif word in _ENDS or word in _TURNS:
            negation, narrow, clause = negated, False, clause + (word != ",")
            if word == ":" and found and found[-1].clause == clause - 1:
                found[-1] = found[-1]._replace(labels=True)
        elif word in _NEGATIONS:
            negation = True
        elif word in _CONDITIONS:
            found.append(_Term(word, word, clause, phrase, condition=True))
            negation, narrow = negated, True
        elif word in _OPENERS or word in _JOINING:
            narrow = word in _OPENERS
        elif term := _term(word):
            found.append(_Term(("not " if negation else "") + term, word, clause, phrase, narrow))
    return found


def _term(word: str) -> str:
    """The word's term; empty: it says nothing of its own."""
    if word[0] in "\x00" or word[0].isdigit():
        return word
    if word in _NUMBERS:
        return _NUMBERS[word]
    word = word.removesuffix("'s")
    base = stem(word.replace("isation", "ization").replace("ise", "ize") if len(word) > 6 else word)
    return "" if base in _LIGHT else _SYNONYMS.get(base, base)
