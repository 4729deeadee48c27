"""Dropping what a model would have guessed anyway: words of low self-information go first.

Selective Context (Li et al. 2023, arXiv 2310.06201) and LLMLingua (Jiang et al. 2023, arXiv 2310.05736): a small
causal model scores the text in one pass, and what it expected is what a reader can do without. Digits, names,
negations and words of the query go with their whole message or not at all, however likely they were. Is handed the
engine that scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from workbench.compression.base import BaseCompressor, Kept
from workbench.compression.budget import CountTokens
from workbench.compression.essential import essential, leads_on, names, negated
from workbench.compression.pieces import Piece, keep_best
from workbench.compression.self_information import SelfInformation, WordInformation
from workbench.compression.units import protected, units
from workbench.errors import InvalidSettings, UnknownName
from workbench.interfaces import Engine, FloatArray, Message
from workbench.ranking import Bm25Index, terms

Unit = Literal["word", "phrase"]
_TINY = 1e-3


@dataclass(frozen=True, slots=True)
class _Priced:
    """A piece, what it says in nats, the tokens it takes, and whether it has to stay."""

    piece: Piece
    nats: float
    tokens: float
    stays: bool


@dataclass(frozen=True, slots=True)
class _Group:
    """The pieces of one message (or of a tool call with its answers), and what it takes to have it there at all."""

    opening_tokens: float
    pieces: tuple[_Priced, ...]


class SurpriseCompressor(BaseCompressor):
    """Keeps the words that say most for the tokens they take.

    Digits, names, negations and words of the query are kept first, as long as all of them take no more than
    ``essential_share`` of the room. Where they take more, messages that say little for their tokens go altogether, and
    those that stay keep all of these words; only what fills the last of the room may be part of a message's. A negation
    and the word it negates stay or go together. A message of which little would be left goes altogether: each that is
    there takes tokens for its role as well.

    Args:
        count_tokens: tokens a conversation takes, or an engine that counts them.
        engine: scores words; ``None``: the engine given as ``count_tokens``.
        unit: what goes or stays as one: a word, or a phrase (function words with the word they lead to).
        query_weight: nats a token by which the words of the message that matches the query best (BM25) count for
            more, others in proportion: enough, and what is asked about stays in whole sentences.
        essential_share: of the room that what has to stay may take before whole messages go for it.
        window: most tokens the engine scores in one pass.
        overlap: tokens before those scored in a pass; ``None``: a quarter of the window.

    Raises:
        InvalidSettings: no engine at all, or a value out of its range.
        UnknownName: there is no such unit.
    """

    name = "surprise"

    def __init__(
        self,
        count_tokens: CountTokens | Engine,
        *,
        engine: Engine | None = None,
        unit: Unit = "word",
        query_weight: float = 8.0,
        essential_share: float = 0.7,
        window: int = 512,
        overlap: int | None = None,
    ) -> None:
        super().__init__(count_tokens)
        scorer = engine if engine is not None else count_tokens
        if not isinstance(scorer, Engine):
            raise InvalidSettings("'surprise' needs an engine that scores words. Give engine=wb.load('smollm2-135m').")
        if unit not in get_args(Unit):
            raise UnknownName("unit", unit, get_args(Unit))
        if not (query_weight >= 0 and 0 <= essential_share <= 1):
            raise InvalidSettings(
                "query_weight must not be negative and essential_share must be from 0 to 1; "
                f"got {query_weight} and {essential_share}."
            )
        self._unit, self._query_weight, self._share = unit, query_weight, essential_share
        self._information = SelfInformation(scorer, window=window, overlap=overlap)

    def _shorten(self, messages: Sequence[Message], budget_tokens: int, query: str | None) -> list[Kept]:
        fixed = self.counter([messages[place] for place in sorted(protected(messages))])
        groups = self._groups(messages, query)
        return keep_best(messages, self._ordered(groups, budget_tokens - fixed), budget_tokens, self.counter)

    def _ordered(self, groups: Sequence[_Group], room: float) -> list[Piece]:
        """All pieces, the most valuable first."""
        first = [_Group(one.opening_tokens, tuple(each for each in one.pieces if each.stays)) for one in groups]
        first = [one for one in first if one.pieces]
        if sum(one.opening_tokens + sum(each.tokens for each in one.pieces) for one in first) > self._share * room:
            return _by_density(groups, essential_first=True)
        rest = [
            _Group(0.0 if len(left) < len(one.pieces) else one.opening_tokens, left)
            for one in groups
            if (left := tuple(each for each in one.pieces if not each.stays))
        ]
        return _by_density(first) + _by_density(rest)

    def _groups(self, messages: Sequence[Message], query: str | None) -> list[_Group]:
        free = units(messages)
        flat = [place for places in free for place in places]
        texts = [messages[place].content for place in flat]
        known = dict(zip(flat, self._information(texts), strict=True))
        named, asked = names(texts), frozenset(terms(query or ""))
        bonuses = self._relevance([" ".join(messages[place].content for place in places) for places in free], asked)
        groups = []
        for places, bonus in zip(free, bonuses, strict=True):
            first = messages[places[0]]
            divided = len(places) == 1 and not first.tool_calls and first.tool_call_id is None
            if divided and known[places[0]].spans:
                groups.append(self._divided(messages, places[0], known[places[0]], float(bonus), named, asked))
            else:
                groups.append(self._whole(messages, places, known, float(bonus)))
        return groups

    def _relevance(self, texts: Sequence[str], asked: frozenset[str]) -> FloatArray:
        """(n,) nats a token: ``query_weight`` for the best match, 0 for what has nothing to do with the query."""
        index = Bm25Index()
        index.extend([terms(text) for text in texts])
        found = index.scores(sorted(asked))
        return self._query_weight * found / max(1e-9, float(found.max(initial=0.0)))

    def _whole(
        self, messages: Sequence[Message], places: tuple[int, ...], known: dict[int, WordInformation], asked_nats: float
    ) -> _Group:
        tokens = float(sum(self.counter.cost(messages[place]) for place in places))
        nats = float(sum(known[place].nats.sum() for place in places)) + asked_nats * tokens
        return _Group(0.0, (_Priced(Piece(places), nats, tokens, False),))

    def _divided(
        self,
        messages: Sequence[Message],
        place: int,
        known: WordInformation,
        asked_nats: float,
        named: frozenset[str],
        asked: frozenset[str],
    ) -> _Group:
        text = messages[place].content
        stays = essential(text, known.spans, named, asked)
        found = []
        for part in self._parts(text, known.spans):
            span = (known.spans[part.start][0], known.spans[part.stop - 1][1])
            tokens = float(known.tokens[part].sum())
            nats = float(known.nats[part].sum()) + asked_nats * tokens
            found.append(_Priced(Piece((place,), span), nats, tokens, any(stays[part])))
        if len(found) == 1:  # one word or phrase: the message stays or goes
            found = [_Priced(Piece((place,)), found[0].nats, found[0].tokens, found[0].stays)]
        empty = Message(messages[place].role, "", name=messages[place].name)
        return _Group(float(self.counter.cost(empty)), tuple(found))

    def _parts(self, text: str, spans: Sequence[tuple[int, int]]) -> list[slice]:
        """Which words go or stay together."""
        joined = negated(text, spans)
        parts, begin = [], 0
        for place, (start, end) in enumerate(spans):
            if not joined[place] and (self._unit == "word" or not leads_on(text[start:end]) or place + 1 == len(spans)):
                parts.append(slice(begin, place + 1))
                begin = place + 1
        return parts


def _by_density(groups: Sequence[_Group], *, essential_first: bool = False) -> list[Piece]:
    """Pieces by nats per token; the first ones of a message have to be worth what the message itself takes.

    Of a message, the pieces come in together that give the highest nats per token, its opening counted: the greedy
    solution of a knapsack with set-up costs, which is that of its linear relaxation but for the last message.

    ``essential_first``: all that has to stay in a message is among them.
    """
    found: list[tuple[float, Piece]] = []
    for group in groups:
        best_first = sorted(group.pieces, key=lambda one: (essential_first and one.stays, _density(one)), reverse=True)
        nats = np.cumsum([one.nats for one in best_first])
        tokens = group.opening_tokens + np.cumsum([one.tokens for one in best_first])
        together = nats / np.maximum(tokens, _TINY)
        least = sum(one.stays for one in best_first) - 1 if essential_first else 0
        entry = max(0, least) + int(together[max(0, least) :].argmax())
        found += [
            (float(together[entry]) if rank <= entry else _density(one), one.piece)
            for rank, one in enumerate(best_first)
        ]
    found.sort(key=lambda pair: -pair[0])
    return [piece for _, piece in found]


def _density(one: _Priced) -> float:
    return one.nats / max(one.tokens, _TINY)
