"""Bonds told by a noun: "his sister Ana", "Jon is Mira's creditor", "they are rivals", "her trusted steward Karl".

Who is the noun is found in `holders`; bonds only one side sees ("considers him a friend") are read in `onesided`.
"""

from __future__ import annotations

from typing import Final

from workbench.memory.relations.holders import HOLDING, Holders, Said
from workbench.memory.relations.lexicon import nouns
from workbench.memory.relations.modality import Standing
from workbench.memory.relations.onesided import OneSided
from workbench.memory.relations.phrases import Chunk
from workbench.memory.relations.reading import Reader, refs_of

_CHILDREN: Final = frozenset({"son", "daughter", "child", "grandson", "granddaughter", "grandchild", "twin"})
_BY_ADJECTIVE: Final = {"rival": "rivalry", "allied": "alliance"}
_BREAKING: Final = frozenset({"break", "disown", "forsake", "renounce", "divorce"})
_NOT_NOW: Final = frozenset({"once", "formerly", "previously", "not", "never", "no-longer"})


class BondReader:
    """Reads the bond nouns of one sentence."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.clauses = reader.clauses
        self.holders = Holders(reader)
        self.one_sided = OneSided(reader)
        self.known: dict[int, list[int]] = {}

    def read(self) -> None:
        """Every noun phrase headed by a bond noun or led by an adjective of feeling."""
        for chunk in self.clauses.chunks:
            self._felt(chunk)
            self._modified(chunk)
            noun = self._bond(chunk)
            if noun and not (chunk.possessive and not chunk.names) and not self.one_sided.read(chunk, noun):
                self._chunk(chunk, noun)

    def _words(self, chunk: Chunk) -> list[tuple[int, str]]:
        tokens = self.clauses.tokens
        return [(i, tokens[i].low) for i in range(chunk.start, chunk.end) if not tokens[i].is_name]

    def _modified(self, chunk: Chunk) -> None:
        """As in "the two rival bakers, Hansel and Gruber": a bond told by an adjective of several."""
        kinds = [_BY_ADJECTIVE[low] for i, low in self._words(chunk) if low in _BY_ADJECTIVE and i != chunk.noun_at]
        if not kinds or not chunk.noun.endswith("s") or chunk.possessive:
            return
        members = list(dict.fromkeys([*chunk.refs, *self.holders.of(chunk, chunk.end, owned=False).entities]))
        if len(members) > 1 and self.reader.modality.of(None, chunk.first).real:
            self.reader.edges.add(members, members, kinds[0], self.reader.evidence(chunk.start))

    def _felt(self, chunk: Chunk) -> None:
        """As in "his trusted steward Karl", "Karl is her most hated teacher"."""
        kinds = [nouns.FELT[low] for _, low in self._words(chunk) if low in nouns.FELT]
        if not kinds or chunk.owner is None or chunk.possessive:
            return
        said = self.holders.of(chunk, chunk.end, owned=True)
        standing = self.reader.modality.of(None if said.beside else said.verb, chunk.first)
        if standing.real and not standing.denied and not self._not_now(chunk):
            self.reader.edges.add(chunk.owner.refs, said.entities, kinds[0], self.reader.evidence(chunk.start))

    def _bond(self, chunk: Chunk) -> str:
        """The bond noun of the phrase in the singular, or "" (also when it is a former bond)."""
        found = ""
        for i, low in self._words(chunk):
            singular = nouns.SINGULAR.get(low, low)
            if low in nouns.ENDED or low.startswith("ex-"):
                return ""
            if (singular in nouns.MUTUAL_NOUNS or singular in nouns.DIRECTED_NOUNS) and (
                i == chunk.noun_at or not found
            ):
                found = singular
        heads = chunk.names or chunk.noun_at < 0 or nouns.SINGULAR.get(chunk.noun, chunk.noun) == found
        return found if heads else ""

    # -- who and whose -----------------------------------------------------

    def _chunk(self, chunk: Chunk, noun: str) -> None:
        owners, after = self._owners(chunk)
        said = self.holders.of(chunk, after, owned=bool(owners))
        holders = said.entities or (self._with_previous(chunk) if owners else [])
        self.known[chunk.end] = holders
        if not owners and said.verb is not None and said.verb.lemma in HOLDING and not said.verb.passive:
            owners = refs_of(said.verb.subject)
        standing = self._standing(chunk, said)
        if said.beside and self._broken(chunk):
            return
        if standing.real and standing.denied == (chunk.det in ("no", "neither")):
            self._emit(chunk, owners, holders, noun)

    def _standing(self, chunk: Chunk, said: Said) -> Standing:
        if said.verb is not None and not said.beside:
            standing = self.reader.modality.of(said.verb, chunk.noun_at)
            contrasted = self.reader.modality.contrasted(said.verb, chunk.first)
            return Standing(standing.real, standing.denied and not contrasted)
        if self._not_now(chunk):
            return Standing(False, False)
        return self.reader.modality.of(None, chunk.first)

    def _broken(self, chunk: Chunk) -> bool:
        """As in "has broken with his old ally Jon", "is divorced from her husband Karl"."""
        above = self.reader.verb_over(chunk)
        if above is None or above.negations or above.modal or self.reader.verb_of(chunk) is not None:
            return False
        near = all(not self.clauses.tokens[j].is_mark for j in range(above.end, chunk.first))
        return near and above.lemma in _BREAKING and above.end <= chunk.first <= above.end + 2

    def _emit(self, chunk: Chunk, owners: list[int], holders: list[int], noun: str) -> None:
        evidence, edges = self.reader.evidence(chunk.start), self.reader.edges
        kind = nouns.MUTUAL_NOUNS.get(noun, "")
        among = self._each_other(chunk) or (not owners and chunk.noun in nouns.SINGULAR and chunk.noun != "kin")
        if among:
            if kind and len(holders) > 1:
                edges.add(holders, holders, kind, evidence)
            return
        if noun in _CHILDREN and len(holders) > 1:
            edges.add(holders, holders, "family", evidence)
        if kind:
            edges.add(owners, holders, kind, evidence, mutual=True)
            return
        kind, side = nouns.DIRECTED_NOUNS[noun]
        pair = (owners, holders) if side == "owner" else (holders, owners)
        edges.add(*pair, kind, evidence)

    def _with_previous(self, chunk: Chunk) -> list[int]:
        """As in "Greta's brother and Otto's oldest friend": the second noun is said of the same person."""
        j = chunk.first - 1
        if self.clauses.low(j) not in ("and", ",", "but"):
            return []
        for end, holders in self.known.items():
            if end <= j <= end + 4 and not any(v.finite and end <= v.start < chunk.first for v in self.clauses.verbs):
                return holders
        return []

    def _not_now(self, chunk: Chunk) -> bool:
        first = chunk.first
        while first > max(0, chunk.first - 2) and self.clauses.unit[first - 1] is None:
            first -= 1
        return any(self.clauses.low(j) in _NOT_NOW for j in range(first, chunk.noun_at + 1))

    def _each_other(self, chunk: Chunk) -> bool:
        low = self.clauses.low
        if chunk.owner is not None and chunk.owner.pronoun == "each-other":
            return True
        return low(chunk.end + 1) == "each-other" and low(chunk.end) in ("of", "to", "with", "for")

    def _owners(self, chunk: Chunk) -> tuple[list[int], int]:
        """The entities whose bond it is, and the token after the phrase that names them."""
        if chunk.owner is not None:
            return refs_of([chunk.owner]), chunk.end
        other = self.clauses.chunk_at(chunk.end + 1)
        low = self.clauses.low(chunk.end)
        if low == "in" and other is not None and self.clauses.head_of(other).noun in ("eyes", "view", "opinion"):
            return refs_of([other]), chunk.end
        joined = low in ("of", "to", "with") or (low == "for" and chunk.noun in nouns.DIRECTED_NOUNS)
        if chunk.names or other is None or not joined:
            return [], chunk.end
        chain = self.clauses.chain_right(self.clauses.head_of(other))
        end = chain[-1].end
        if refs_of(chain) or self.clauses.low(end) != ",":
            return refs_of(chain), end
        follow = self.clauses.chunk_at(end + 1)
        return refs_of([self.clauses.head_of(follow)]) if follow else [], end
