"""Whether what a verb says holds now, is denied, or is only asked, wished, supposed, remembered or told by others.

Knows the grammar around a verb and lists of words; nothing of the relation types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from workbench.memory.relations.clauses import Clauses
from workbench.memory.relations.lexicon import modality_words as lists
from workbench.memory.relations.lexicon import word_set, words
from workbench.memory.relations.phrases import Chunk, Verb

_HYPOTHETIC: Final = word_set("if unless lest whether as-if suppose supposing imagine assuming provided should were")
_STRONG: Final = frozenset({";", "—", ":"})
_SOMEBODY: Final = frozenset({"there", "anyone", "anybody", "someone", "somebody", "one"})
#: As in "Not a day goes by that she doesn't curse his name".
_EVERY_DAY: Final = re.compile(
    r"\b(?:not|never) (?:a|one|an) (?:\w+ )?(?:day|night|week|hour|evening|morning)\b", re.IGNORECASE
)
_CLAUSE_ENDS: Final = frozenset({"", ",", ";", ":", "—", ")", "and", "but", "now", "since", "after", "because", "for"})
_NOBODY: Final = frozenset({"nobody", "nothing", "none", "neither", "no"})


@dataclass(frozen=True, slots=True)
class Standing:
    """`real`: it is said to hold now, or to be denied now; `denied`: an odd number of negations."""

    real: bool
    denied: bool


class Modality:
    """Judges the verbs of one sentence."""

    def __init__(self, clauses: Clauses, text: str, question: bool, *, then: bool = False) -> None:
        self.clauses = clauses
        self.then = then
        self.text = text
        self.offset = clauses.tokens[0].start if clauses.tokens else 0
        self.question = question
        self.hearsay = self._spans(lists.HEARSAY)
        self.fancy = self._spans(lists.FANCY)
        self.past = self._spans(lists.PAST)
        self.ending = [span for span in self.past if self.text[span[0] : span[1]].lower() in ("until", "till")]
        self.past = [span for span in self.past if span not in self.ending]

    def _spans(self, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
        return [match.span() for match in pattern.finditer(self.text)]

    def _char(self, i: int) -> int:
        return self.clauses.tokens[i].start - self.offset

    def _in_scope(self, spans: list[tuple[int, int]], i: int, *, after: bool = False) -> bool:
        """Whether a marker before token `i` (or, with `after`, anywhere in its part) covers it."""
        at = self._char(i)
        for start, end in spans:
            between = self.text[end:at] if start < at else self.text[at:start]
            if (start < at or after) and not lists.RESET.search(between):
                return True
        return False

    def of(self, verb: Verb | None, i: int, flag: str = "", *, change: bool = False) -> Standing:
        """The standing of what is said with `verb` (None: with no verb) at token `i`."""
        if self.question or self._in_scope(self.hearsay, i) or self._in_scope(self.fancy, i):
            return Standing(False, False)
        if verb is None:
            return Standing(not self._hypothetic_before(i), False)
        if self._in_scope(self._tail_hearsay(), i, after=True):
            return Standing(False, False)
        if self._over(verb, i, change):
            return Standing(False, False)
        return self._verb(verb, flag, 0)

    def _tail_hearsay(self) -> list[tuple[int, int]]:
        """Hearsay that follows what it covers: ", or so they say", ", allegedly", ", the gossips claim"."""
        return [
            span
            for span in self.hearsay
            if self.text[: span[0]].rstrip().endswith((",", ", or", "—", "so", "the", "at least"))
        ]

    def _over(self, verb: Verb, i: int, change: bool) -> bool:
        """Whether the clause is marked as past and gone."""
        if verb.modal == "used-to":
            return True
        low = self.clauses.low
        finite = verb.words[0] if verb.words else low(verb.head)
        past = (
            verb.kind == "past"
            or finite in ("was", "were", "had", "did")
            or (verb.governor is not None and verb.governor.kind == "past")
        )
        once = any(
            low(j) in ("once", "formerly", "previously")
            and low(j + 1) not in ("again", "more")
            and low(j - 1) not in ("never", "not", "at")
            for j in range(max(0, verb.start - 2), min(verb.head + 4, len(self.clauses.tokens)))
        )
        if once and past:
            return True
        if verb.perfect == "had" or (finite == "had" and verb.lemma == "be"):
            since = any(low(j) in ("since", "now", "still") for j in range(len(self.clauses.tokens)))
            return not (since or (change and not self._in_scope(self.past, i, after=True)) or verb.negations)
        ended = verb.governor is not None and verb.governor.lemma in lists.DENYING
        if not past or change or verb.negations or ended or verb.lemma in ("stop", "cease", "quit", "lose"):
            return False
        if self._now_otherwise(verb, i):
            return True
        opening = [span for span in self.ending if self._opens(span, verb)]
        if self._in_scope(opening, i):
            return True
        later = [span for span in self.ending if span[0] > self._char(i)]
        return self._in_scope(self.past, i, after=True) or self._in_scope(later, i, after=True)

    def _now_otherwise(self, verb: Verb, i: int) -> bool:
        """As in "Jon was her ally; today they are rivals"."""
        if verb.lemma != "be" or verb.perfect:
            return False
        return self.then or lists.NOW_OTHERWISE.search(self.text, self._char(i)) is not None

    def contrasted(self, verb: Verb | None, i: int) -> bool:
        """As in "is not her ally but her rival": whether a "but" takes token `i` out of the negation of `verb`."""
        if verb is None or not verb.negations:
            return False
        between = range(verb.end, i)
        return any(self.clauses.low(j) == "but" for j in between) and not any(
            isinstance(unit := self.clauses.unit[j], Verb) and unit.finite for j in between
        )

    def _opens(self, span: tuple[int, int], verb: Verb) -> bool:
        """As in "Until the flood he was her vassal": the clause of `verb` comes after, a phrase or a clause between."""
        led = not self.text[: span[0]].strip(" ,") or self.text[: span[0]].rstrip()[-1] in ";:—"
        subject = verb.subject[0] if verb.subject else None
        first = verb.start if subject is None else subject.end - 1 if subject.names else subject.first
        return led and self._char(first) > span[1] + 1

    def _hypothetic_before(self, i: int) -> bool:
        low = self.clauses.low
        for j in range(i - 1, -1, -1):
            if low(j) in _STRONG or low(j) == ",":
                return False
            if low(j) in _HYPOTHETIC and self.clauses.unit[j] is None:
                return not self._if_cleft(j)
        return False

    def _if_cleft(self, j: int) -> bool:
        """As in "If there is anyone she trusts, it is Jon": no supposition."""
        low = self.clauses.low
        some = low(j) == "if" and any(low(k) in _SOMEBODY for k in range(j + 1, min(j + 6, len(self.clauses.tokens))))
        return some and any(
            low(k) == "," and low(k + 1) in ("it", "that", "then") and low(k + 2) in ("is", "was", "'s", "it", "would")
            for k in range(j, len(self.clauses.tokens))
        )

    def _verb(self, verb: Verb, flag: str, depth: int) -> Standing:
        if depth > 6:
            return Standing(False, False)
        denied = bool(verb.negations % 2) and flag not in ("cannot", "wouldnot", "not", "never")
        if verb.negations and _EVERY_DAY.search(self.text[: self._char(verb.start)]):
            denied = False
        if verb.subject and not verb.inverted and self._neither(verb):
            denied = not denied
        if self.clauses.low(verb.start - 1) == "nor" or (verb.inverted and self._negative_front(verb)):
            denied = not denied
        if any(chunk.det in _NOBODY or chunk.pronoun in _NOBODY for chunk in verb.subject):
            denied = not denied
        if any(self.clauses.low(j) in ("almost", "nearly") for j in range(max(0, verb.start - 1), verb.head)):
            return Standing(False, denied)
        if self._negated_after(verb):
            denied = not denied
        if not self._modal_ok(verb, flag):
            return Standing(False, denied)
        if (
            verb.inverted
            and verb.words
            and verb.words[0] in ("were", "had", "should")
            and verb.start == 0
            and not denied
        ):
            return Standing(False, denied)
        outer = self._outer(verb, depth)
        return Standing(outer.real, denied != outer.denied)

    def _negated_after(self, verb: Verb) -> bool:
        """As in "hates him no longer", "trusts her no more"; or as in "It is not Jon whom she loves"."""
        low, tokens = self.clauses.low, self.clauses.tokens
        for j in range(verb.end, len(tokens)):
            unit = self.clauses.unit[j]
            if tokens[j].is_mark or (isinstance(unit, Verb) and unit.finite):
                break
            if (
                low(j) in ("no-longer", "nomore")
                and low(j - 1) != "and"
                and (j + 1 >= len(tokens) or low(j + 1) in _CLAUSE_ENDS)
            ):
                return True
        return self._cleft_denied(verb)

    def _cleft_denied(self, verb: Verb) -> bool:
        at, _ = self.clauses.opener(verb)
        if self.clauses.low(at) not in ("who", "whom", "that", "which"):
            return False
        named = self.clauses.unit[at - 1] if at else None
        above = self.clauses.unit[named.first - 1] if isinstance(named, Chunk) and named.first else None
        it = isinstance(above, Verb) and any(chunk.pronoun == "it" for chunk in (*above.subject, *above.inverted))
        return it and isinstance(above, Verb) and above.lemma == "be" and above.negations % 2 == 1

    def _neither(self, verb: Verb) -> bool:
        """As in "Neither A nor B fears": a negation shared by the list."""
        tokens = [self.clauses.low(j) for j in range(verb.start)]
        first = verb.subject[0]
        return (
            "nor" in tokens
            and "neither" in tokens
            and first.det != "neither"
            and first.pronoun != "neither"
            and tokens.index("neither") <= first.first
            and tokens.index("nor") < verb.start - 1
        )

    def _negative_front(self, verb: Verb) -> bool:
        """As in "Not even then was he afraid", "at no time did she …"."""
        front = [self.clauses.low(j) for j in range(min(4, verb.start))]
        return (
            not verb.negations
            and bool(front)
            and not (front[0] == "not" and front[1:2] in (["until"], ["till"], ["before"]))
            and (front[0] in ("not", "never", "nowhere", "hardly", "nomore") or "no" in front)
        )

    def _modal_ok(self, verb: Verb, flag: str) -> bool:
        modal = verb.modal
        if (
            not modal
            or flag in ("cannot", "would", "wouldnot", "can", "could", "dare", "must")
            or (flag == "not" and modal in ("would", "will", "can", "could"))
        ):
            return True
        if modal == "will":
            return any(
                self.clauses.low(j) in ("always", "never", "forever")
                for j in range(verb.start, len(self.clauses.tokens))
            ) or self._for_life(verb)
        if modal in ("can", "could") and verb.lemma == "help" and verb.negations:
            return True
        return modal == "shall"

    def _for_life(self, verb: Verb) -> bool:
        """As in "will be in her debt as long as he lives"."""
        rest = " ".join(self.clauses.low(j) for j in range(verb.head, len(self.clauses.tokens)))
        return any(mark in rest for mark in lists.LIFELONG)

    def _outer(self, verb: Verb, depth: int) -> Standing:
        """What the words around the clause make of it."""
        if verb.governor is not None and (verb.infinitive or not verb.words):
            return self._governed(verb, verb.governor, depth)
        at, above = self.clauses.opener(verb)
        if self._hypothetic(at):
            return Standing(False, False)
        if above is not None and not verb.inverted and above.end <= verb.start:
            return self._embedded(verb, above, depth)
        if self.clauses.low(at) in words.CONJUNCTIONS | {","} and self._shares_subject(verb):
            return self._coordinate(verb, depth)
        if self.clauses.low(at) == "that" and above is None and self._that_clause_denied(at):
            return Standing(False, False)
        if at == 0 and self.clauses.low(at) == "that":
            return Standing(self._plain_truth(verb), False)
        return Standing(True, False)

    def _plain_truth(self, verb: Verb) -> bool:
        """As in "That she loves him is no secret"."""
        later = next((other for other in self.clauses.verbs if other.start >= verb.end and other.lemma == "be"), None)
        if later is None or later.negations:
            return False
        return any(self.clauses.low(j) in lists.PLAIN_TRUTH - {"no"} for j in range(later.end, later.end + 4))

    def _that_clause_denied(self, at: int) -> bool:
        """As in "the lie that", "no truth to the claim that", "it is false that"."""
        low = self.clauses.low
        nearby = {low(j) for j in range(max(0, at - 6), at)}
        if nearby & lists.DOUBTED:
            return True
        return bool(nearby & {"not", "never", "hardly", "no"}) and bool(
            nearby & {"true", "case", "mean", "truth", "evidence", "proof", "sign", "chance"}
        )

    def _shares_subject(self, verb: Verb) -> bool:
        return (
            bool(verb.subject)
            and verb.subject[0].end <= verb.start
            and any(
                other.subject and other.subject[0] is verb.subject[0] and other.start < verb.start
                for other in self.clauses.verbs
            )
        )

    def _coordinate(self, verb: Verb, depth: int) -> Standing:
        first = next(other for other in self.clauses.verbs if other.subject and other.subject[0] is verb.subject[0])
        if first is verb:
            return Standing(True, False)
        at = self.clauses.low(verb.start - 1)
        outer = self._outer(first, depth + 1)
        modal = first.modal and not verb.words and verb.kind == "base"
        neither = (
            verb.kind in ("base",)
            and first.negations % 2 == 1
            and first.words[:1] in (("does",), ("do",), ("did",))
            and at in ("or", "and")
        )
        nor = at == "nor"
        return Standing(outer.real and not (modal and not self._modal_ok(first, "")), outer.denied != (neither or nor))

    def _hypothetic(self, at: int) -> bool:
        low = self.clauses.low
        j = at
        for _ in range(16):
            if j < 0 or low(j) in _STRONG or low(j) == ",":
                return False
            if low(j) in _HYPOTHETIC and not isinstance(self.clauses.unit[j], Chunk):
                return (low(j - 1) != "even" or low(j) != "if") and not self._if_cleft(j)
            if low(j) in ("but", "that", "because", "though", "although", "while") and j != at:
                return False
            j -= 1
        return False

    def _embedded(self, verb: Verb, above: Verb, depth: int) -> Standing:
        """A clause that is the object of `above` ("knows that", "claims", "told her that")."""
        outer = self._verb(above, "", depth + 1)
        low = self.clauses.low
        if above.kind == "past" and low(above.start - 1) == "once":
            return Standing(False, False)
        if any(low(j) in ("whether", "if") for j in range(above.end, verb.start)):
            return Standing(False, False)
        if above.lemma in lists.SAYING | {"reckon", "feel"} and self._same_person(verb, above):
            return Standing(outer.real and not outer.denied, False)
        if above.lemma in lists.FACTIVE and not above.passive:
            return Standing(not above.modal or above.modal in ("will", "can", "could"), False)
        if above.lemma == "be":
            return self._after_be(verb, above, outer)
        if above.lemma in lists.FACTIVE | lists.DENYING and above.lemma != "deny":
            return outer
        if above.lemma in ("help", "find") or (above.lemma == "let" and verb.passive):
            return outer
        return Standing(False, False)

    def _after_be(self, verb: Verb, above: Verb, outer: Standing) -> Standing:
        between = {self.clauses.low(j) for j in range(above.start, verb.start)}
        if between & lists.PLAIN_TRUTH:
            return Standing(outer.real and not (outer.denied and "secret" not in between), False)
        return outer

    def _same_person(self, verb: Verb, above: Verb) -> bool:
        mine = {entity for chunk in verb.subject for entity in chunk.refs}
        theirs = {entity for chunk in above.subject for entity in chunk.refs}
        return bool(mine) and mine == theirs

    def _governed(self, verb: Verb, above: Verb, depth: int) -> Standing:
        """An infinitive or gerund after `above` ("came to love", "stopped trusting", "wants to serve")."""
        outer = self._verb(above, "", depth + 1)
        if above.lemma in ("help", "but") and above.modal in ("can", "could") and above.negations:
            return Standing(True, False)
        if above.lemma == "bring" and above.modal in ("can", "could") and above.negations:
            return Standing(True, True)
        if above.lemma in ("have", "be") and any(self.clauses.low(j) == "yet" for j in range(above.head, verb.start)):
            return Standing(False, False)
        if above.lemma in lists.DENYING:
            return Standing(outer.real, not outer.denied)
        if above.lemma == "be" or (
            above.passive and above.lemma not in ("say", "rumour", "believe", "think", "allege", "suppose")
        ):
            return self._adjective(verb, above, outer)
        if above.lemma in lists.IMPLICATIVE and not (above.lemma in ("like", "love", "hate", "prefer") and above.modal):
            return outer
        if verb.kind == "ing":
            return (
                Standing(outer.real, False)
                if above.lemma not in ("consider", "imagine", "suggest", "risk")
                else Standing(False, False)
            )
        return Standing(False, False)

    def _adjective(self, verb: Verb, above: Verb, outer: Standing) -> Standing:
        between = [self.clauses.low(j) for j in range(above.head, verb.start)]
        if any(word in lists.TRUE_ADJECTIVES for word in between):
            return outer
        if verb.kind == "ing":
            return outer
        return Standing(False, False)
