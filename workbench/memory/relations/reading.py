"""What the readers of one sentence share: its clauses, the judge of its moods, the edges found, the words already used.

Turns a matched template into edges. Knows nothing of where a template may be tried (`verbs`, `adjectives`,
`feelings`, `bonds`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from workbench.memory.relations.clauses import Clauses
from workbench.memory.relations.edges import Edges
from workbench.memory.relations.lexicon import word_set, words
from workbench.memory.relations.matching import Match, Matcher
from workbench.memory.relations.modality import Modality, Standing
from workbench.memory.relations.phrases import Chunk, Verb
from workbench.memory.relations.templates import Template

_STRONG_WORDS: Final = word_set(
    "deeply utterly completely totally absolutely fiercely passionately bitterly blindly dearly truly"
)
_WEAK_WORDS: Final = word_set("slightly somewhat little rather mildly fairly")
_GONE: Final = word_set(
    "dead over gone past spent lost history finished extinct ended broken shattered no-more nomore shaken misplaced"
)
#: Verbs that discharge a debt.
PAYING: Final = frozenset({"repay", "pay", "settle", "clear", "discharge", "cancel", "forgive", "write"})
#: … when what is owed is their object.
_HANDING: Final = PAYING | {"hand", "give", "return", "refund", "count", "deliver", "send"}


@dataclass(slots=True)
class Told:
    """A relation just told, kept for "so does Karl"; `type` is "" when the last verb told none that holds."""

    type: str = ""
    subject_is_source: bool = True
    others: tuple[int, ...] = ()
    denied: bool = False
    template_denies: bool = False


@dataclass(slots=True)
class Reader:
    """One sentence under reading; edges go into `edges`, `claimed` are the tokens a template has used."""

    clauses: Clauses
    modality: Modality
    edges: Edges
    text: str
    note: str = ""
    told: list[Told] = field(default_factory=list)
    claimed: set[int] = field(default_factory=set)
    matcher: Matcher = field(init=False)

    def __post_init__(self) -> None:
        self.matcher = Matcher(self.clauses)

    def evidence(self, i: int) -> str:
        """The words of the clause round token `i`."""
        tokens = self.clauses.tokens
        first = last = min(i, len(tokens) - 1)
        while first > 0 and tokens[first - 1].low not in (";", "—"):
            first -= 1
        while last < len(tokens) - 1 and tokens[last + 1].low not in (";", "—"):
            last += 1
        offset = tokens[0].start
        return self.text[tokens[first].start - offset : tokens[last].end - offset].strip()

    def strength(self, start: int, end: int) -> float:
        """How emphatic the words round tokens start..end are, in [0, 1]."""
        around = {self.clauses.low(i) for i in range(max(0, start - 3), end + 2)}
        return 0.9 if around & _STRONG_WORDS else 0.4 if around & _WEAK_WORDS else 0.7

    def verb_over(self, chunk: Chunk) -> Verb | None:
        """The last verb before the phrase."""
        before = [verb for verb in self.clauses.verbs if verb.head < chunk.first]
        return before[-1] if before else None

    def verb_of(self, chunk: Chunk) -> Verb | None:
        """The verb the phrase is the subject of."""
        return next((verb for verb in self.clauses.verbs if chunk in verb.subject), None)

    def only_pair(self) -> list[int]:
        """The two entities of a sentence that names just two."""
        named = refs_of(self.clauses.chunks)
        return named if len(named) == 2 else []

    # -- from a match to edges ---------------------------------------------

    def use(self, template: Template, found: Match, verb: Verb) -> bool:
        """Record a match said with `verb`; False when its slots name nobody, so that another template may try."""
        xs, ys = self._parties(template, found)
        if not xs or not ys:
            return False
        kind = found.type or template.type
        standing = self.modality.of(verb, verb.head, template.flag, change=template.change)
        if self.modality.contrasted(verb, found.start):
            standing = Standing(standing.real, False)
        denied = self._denied(template, found, standing)
        self.claimed.update(range(verb.head, found.end))
        if (kind == "debt" and self._settled(verb)) or self._undone(found, verb):
            return True
        if standing.real and (not denied or kind == "trust"):
            self.emit(template, found, verb.head, denied=denied)
            source = (template.subject[0] == "X") != verb.passive
            self.told.append(Told(kind, source, tuple(ys if source else xs), denied, template.denies))
        elif refs_of(verb.subject):
            self.told.append(Told())
        return True

    def use_alone(self, template: Template, found: Match, i: int) -> bool:
        """Record a match said without a verb ("afraid of Karl, she …") at token `i`."""
        if not all(self._parties(template, found)):
            return False
        low = self.clauses.low
        self.claimed.update(range(i, found.end))
        gone = any(
            low(j) in ("once", "formerly", "long", "no-longer", "not", "never", "hardly")
            for j in range(max(0, i - 3), i)
        )
        if not gone and self.modality.of(None, i).real:
            self.emit(template, found, i, denied=template.denies != found.negative)
        return True

    def emit(self, template: Template, found: Match, i: int, *, denied: bool) -> None:
        """The edges of a match said at token `i`."""
        xs, ys = self._parties(template, found)
        kind = found.type or template.type
        mutual = template.mutual or ("{n}" in template.rest and kind in ("rivalry", "friendship", "family"))
        strength = self.strength(i, found.end)
        self.edges.add(xs, ys, kind, self.evidence(i), denied=denied, mutual=mutual, strength=strength)
        if found.also:
            self.edges.add(xs, ys, found.also, self.evidence(i), denied=denied, strength=strength)

    def _parties(self, template: Template, found: Match) -> tuple[list[int], list[int]]:
        """Whom X and whom Y of the match name: among themselves where it says so."""
        xs, ys = refs_of(found.x), refs_of(found.y)
        if not found.y and template.mutual and "Y" not in template.rest:
            return (xs, xs) if len(xs) > 1 else ([], [])
        if any(chunk.pronoun == "each-other" for chunk in (*found.y, *found.x)):
            pair = self.only_pair() if all(chunk.pronoun for chunk in found.x) else []
            several = xs if len(xs) > 1 else ys if len(ys) > 1 else pair
            return several, several
        return xs, ys

    def _denied(self, template: Template, found: Match, standing: Standing) -> bool:
        low, after = self.clauses.low, range(found.end, len(self.clauses.tokens))
        kind = found.type or template.type
        if kind == "trust" and any(low(j) in ("throw", "spit", "kick") for j in after):
            return True  # "as far as she can throw him"
        if kind == "debt" and any(low(j) in ("nothing", "none", "neither") for j in after[:3]):
            return True
        if kind == "debt" and low(found.end) == "not":
            return True  # "owes him not a penny"
        return (standing.denied != template.denies) != found.negative

    def _undone(self, found: Match, verb: Verb) -> bool:
        """As in "the love she felt for him has faded", "the money he owed her was paid": no more."""
        gap = self.clauses.gap_of(verb)[0]
        if not gap or refs_of(gap) or gap[0].pronoun:
            return False
        main = next((other for other in self.clauses.verbs if other.start >= found.end and other.finite), None)
        if main is None or main.start > found.end + 1 or main.negations or main.modal:
            return False
        return ends(self.clauses, main) or (main.lemma in PAYING and main.passive)

    def _settled(self, verb: Verb) -> bool:
        """As in "paid what she owed"."""
        paid = (other for other in self.clauses.verbs if other.lemma in PAYING and other.start < verb.start)
        if verb.kind == "past" and any(not other.negations for other in paid):
            return True
        led = any(
            self.clauses.low(j) in ("what", "everything", "all") for j in range(max(0, verb.start - 4), verb.start)
        )
        before = [other for other in self.clauses.verbs if other.start < verb.start]
        handed = before[-1] if before else None
        return led and handed is not None and handed.lemma in _HANDING and not (handed.negations or handed.modal)


def refs_of(chunks: list[Chunk]) -> list[int]:
    """The entities the phrases stand for, once each."""
    return list(dict.fromkeys(entity for chunk in chunks for entity in chunk.refs))


def ends(clauses: Clauses, verb: Verb) -> bool:
    """Whether the feeling `verb` is said of is over: "has faded", "is a thing of the past"."""
    if verb.lemma in words.ENDING or (verb.lemma == "go" and verb.passive):
        return True
    after = range(verb.end, min(verb.end + 5, len(clauses.tokens)))
    return verb.lemma in ("be", "lie") and any(clauses.low(j) in _GONE for j in after)
