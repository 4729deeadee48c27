"""A system prompt that has grown over time, without what it says twice and without more examples than needed.

The one strategy that rewrites system messages. Needs no model: two guidelines are the same if one says all that the
other does (:mod:`workbench.compression.guidelines`). Knows nothing of the conversation that follows.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.compression.base import BaseCompressor, Kept
from workbench.compression.budget import CountTokens
from workbench.compression.guidelines import Guideline, reading, same_order, says
from workbench.compression.middle import MiddleCompressor
from workbench.compression.prompt_parts import Part, Parts, taken_apart
from workbench.compression.units import last_turn_start
from workbench.errors import InvalidSettings
from workbench.interfaces import Embedder, Engine, FloatArray, Message

_LONGEST = 2000  # characters; what goes on for longer is no guideline, and would take long to read
_FORBIDDING = re.compile(
    r"\b(?:never|not(?! forget)|don['\u2019]?ts?(?! forget)|avoid|forbidden|prohibited)\b[^.]*$", re.IGNORECASE
)
_OF_ANY_PROMPT = """
general important core key basic main final additional further other about last first quick overall base basics ground
remember reminder reminders summary instruction instructions constraint constraints requirement requirements behavior
behaviour conduct communication communicate conversation talk format formatting output style voice role persona identity
mission language checklist recap policy policies safety privacy security principles quality structure do don'ts dos
example examples context objective task goal standard standards expectation expectations assistant length limit limits
boundary boundaries rule rules note notes added later mind forget thing things must system prompt before answer
"""
_GENERAL = frozenset(term for one in _OF_ANY_PROMPT.split() for term in reading(one).terms)


@dataclass(frozen=True, slots=True)
class _Statement:
    """A sentence of a prompt.

    Attributes:
        part: index of the part it is in.
        span: where it is.
        said: what it says.
        scope: what its heading and lead-in narrow it to; empty: it holds always.
        vector: of an embedding model; ``None``: there is none.
    """

    part: int
    span: tuple[int, int]
    said: Guideline
    scope: frozenset[str]
    vector: FloatArray | None = None


class PromptCompressor(BaseCompressor):
    """First repeated guidelines go, then surplus examples, then (not in a chain) messages as ``middle`` drops them.

    Of two guidelines of which one says all that the other does, the fuller stays, or else the earlier. Of the examples
    of one sort the most different stay. A system message in the last turn is left alone, and one that says nothing new
    goes altogether. Each stage is done only if the one before was not enough.

    Args:
        count_tokens: as for :class:`BaseCompressor`.
        examples: how many examples of a sort stay.
        overlap: share of a guideline's terms another has to have for it to be a repetition. Below 1 some guidelines
            that say something of their own go too; numbers, names and what is forbidden have to agree still.
        embedder: recognises paraphrases in other words as well; numbers, names, conditions and negations must agree.
        similarity: cosine from which two guidelines are paraphrases to the embedder.

    Raises:
        InvalidSettings: a number out of its range.
    """

    name = "prompt"

    def __init__(
        self,
        count_tokens: CountTokens | Engine,
        *,
        examples: int = 2,
        overlap: float = 1.0,
        embedder: Embedder | None = None,
        similarity: float = 0.8,
    ) -> None:
        if examples < 0 or not 0 < overlap <= 1 or not 0 < similarity <= 1:
            raise InvalidSettings(
                "examples must be at least 0, overlap and similarity above 0 and at most 1, not "
                f"{examples}, {overlap} and {similarity}."
            )
        super().__init__(count_tokens)
        self.examples, self.overlap, self.embedder, self.similarity = examples, overlap, embedder, similarity

    def merged(self, texts: Sequence[str], *, examples: int | None = None) -> list[str]:
        """Each text without what it, or one before it, says already; empty: it said nothing new.

        Args:
            texts: prompts that hold together.
            examples: how many examples of a sort stay; ``None``: all.
        """
        apart = [taken_apart(text) for text in texts]
        gone: list[set[tuple[int, int]]] = [set() for _ in texts]
        statements = [(at, one) for at, parts in enumerate(apart) for one in self._statements(texts[at], parts)]
        for at, one in self._repeated(statements):
            gone[at].add(one.span)
        if examples is not None:
            for at, parts in enumerate(apart):
                gone[at].update(_surplus(texts[at], parts, examples))
        return [_without(text, parts, spans) for text, parts, spans in zip(texts, apart, gone, strict=True)]

    def attempt(self, messages: Sequence[Message], budget_tokens: int, query: str | None = None) -> list[Kept]:  # noqa: ARG002 - the query does not matter to this strategy
        """System messages only."""
        kept: list[Kept] = []
        for examples in (None, self.examples):
            kept = self._rewritten(messages, examples)
            if self.counter([one.message for one in kept]) <= budget_tokens:
                break
        return kept

    def _check(self, messages: Sequence[Message], budget_tokens: int) -> None:
        """Not before system messages are merged."""

    def _shorten(self, messages: Sequence[Message], budget_tokens: int, query: str | None) -> list[Kept]:
        kept = self.attempt(messages, budget_tokens, query)
        now = [one.message for one in kept]
        if self.counter(now) <= budget_tokens:
            return kept
        rest = MiddleCompressor(self.counter).attempt(now, budget_tokens, query)
        return [Kept(kept[one.place].place if one.place is not None else None, one.message) for one in rest]

    def _rewritten(self, messages: Sequence[Message], examples: int | None) -> list[Kept]:
        end = last_turn_start(messages)
        places = [place for place, message in enumerate(messages[:end]) if message.role == "system"]
        texts = self.merged([messages[place].content for place in places], examples=examples)
        new = dict(zip(places, texts, strict=True))
        kept: list[Kept] = []
        for place, message in enumerate(messages):
            text = new.get(place, message.content)
            if text == message.content:
                kept.append(Kept(place, message))
            elif text:
                kept.append(Kept(place, dataclasses.replace(message, content=text)))
        return kept

    # -- guidelines ---------------------------------------------------------------------------------------------------

    def _statements(self, text: str, parts: Parts) -> list[_Statement]:
        found = []
        for at, part in enumerate(parts.parts):
            if part.kind != "guideline":
                continue
            leads = [reading(parts.leads[lead].text) for lead in part.leads]
            negated = any(_forbids(parts.leads[lead].text) for lead in part.leads)
            scope = frozenset().union(*map(_scope, leads))
            said = [span for span in part.spans if span[1] - span[0] <= _LONGEST]
            found += [_Statement(at, span, reading(text[slice(*span)], negated=negated), scope) for span in said]
        if self.embedder is None or not found:
            return found
        vectors = self.embedder.embed([text[slice(*one.span)] for one in found])
        return [dataclasses.replace(one, vector=vector) for one, vector in zip(found, vectors, strict=True)]

    def _repeated(self, statements: Sequence[tuple[int, _Statement]]) -> list[tuple[int, _Statement]]:
        """Those that another one that stays says as well."""
        kept: list[tuple[int, _Statement]] = []
        gone: list[tuple[int, _Statement]] = []
        for at, one in statements:
            if any(self._covers(other, one) for _, other in kept):
                gone.append((at, one))
                continue
            lesser = [pair for pair in kept if self._covers(one, pair[1])]
            gone += lesser
            kept = [pair for pair in kept if pair not in lesser] + [(at, one)]
        return gone

    def _covers(self, one: _Statement, other: _Statement) -> bool:
        """Whether ``other`` says nothing that ``one`` does not, and not of more cases."""
        if one.scope and one.scope != other.scope:
            return False
        return says(one.said, other.said, self.overlap) or self._paraphrases(one, other)

    def _paraphrases(self, one: _Statement, other: _Statement) -> bool:
        if one.vector is None or other.vector is None or float(np.dot(one.vector, other.vector)) < self.similarity:
            return False
        return _compatible(one.said, other.said)


def _compatible(one: Guideline, other: Guideline) -> bool:
    """Whether ``one`` can stand for ``other``, which an embedding model finds alike.

    To such a model "write long sentences" is very like "write short sentences", and "share no prices" like "share no
    prices of others": what differs by another word differs, and what stays must not forbid less or hold in fewer cases.
    """
    mine, theirs = set(one.terms), set(other.terms)
    exchanged = bool(mine & theirs) and len(mine - theirs) == len(theirs - mine) == 1
    agree = one.hard == other.hard and one.conditions == other.conditions and same_order(one, other)
    as_wide = one.scoped <= theirs and bool(one.negated) == bool(other.negated) and not (theirs < mine and one.negated)
    return agree and as_wide and not exchanged


def _scope(lead: Guideline) -> frozenset[str]:
    """What a heading narrows guidelines to; what stands in any prompt ("General rules", "Style") narrows nothing."""
    terms = {term.removeprefix("not ") for term in lead.terms} - _GENERAL
    return frozenset(terms | lead.conditions) if terms else frozenset()


def _forbids(lead: str) -> bool:
    """Whether what stands below is what not to do."""
    return _FORBIDDING.search(lead) is not None


def _surplus(text: str, parts: Parts, examples: int) -> Iterable[tuple[int, int]]:
    """Where examples are that others of their sort make needless."""
    sorts: dict[str, list[Part]] = {}
    for part in parts.parts:
        if part.kind == "example":
            sorts.setdefault(part.sort, []).append(part)
    for group in sorts.values():
        if len(group) > examples:
            said = [frozenset(reading(text[slice(*part.outer)]).terms) for part in group]
            stay = _most_different(said, examples)
            yield from (part.outer for at, part in enumerate(group) if at not in stay)


def _most_different(said: Sequence[frozenset[str]], count: int) -> set[int]:
    """The first, then always the one that has least in common with those chosen (farthest-first traversal)."""

    def common(one: int, other: int) -> float:
        return len(said[one] & said[other]) / max(1, len(said[one] | said[other]))

    chosen = list(range(min(1, count)))
    while len(chosen) < count:
        rest = (at for at in range(len(said)) if at not in chosen)
        chosen.append(min(rest, key=lambda at: max(common(at, other) for other in chosen)))
    return set(chosen)


def _without(text: str, parts: Parts, gone: set[tuple[int, int]]) -> str:
    """The prompt without these sentences and examples, nor the headings nothing is left below of."""
    if not gone:
        return text
    cuts: list[tuple[int, int]] = []
    left: set[int] = set()
    for part in parts.parts:
        spans = [span for span in part.spans if span in gone]
        if len(spans) == len(part.spans):
            cuts.append(part.outer)
        else:
            left.update(part.leads)
            cuts += [(start, end + len(text[end:]) - len(text[end:].lstrip(" "))) for start, end in spans]
    empty = {lead for part in parts.parts for lead in part.leads} - left
    cuts += [(parts.leads[lead].start, parts.leads[lead].end) for lead in empty]
    said = text
    for start, end in sorted(cuts, reverse=True):
        said = said[:start] + said[end:]
    said = re.sub(r"[ \t]+\n", "\n", said)
    return re.sub(r"\n{3,}", "\n\n", said).strip("\n")
