"""The two kinds of phrase a sentence is cut into: noun phrases and verb groups.

Knows neither how they are found (`nounphrases`, `verbgroups`) nor what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Chunk:
    """One noun phrase: tokens start..end (exclusive). `owner` is the phrase before 's, or a possessive pronoun."""

    start: int
    end: int
    names: list[int] = field(default_factory=list)
    pronoun: str = ""
    noun: str = ""
    noun_at: int = -1
    det: str = ""
    owner: Chunk | None = None
    possessive: bool = False
    stranger: bool = False
    refs: tuple[int, ...] = ()

    @property
    def first(self) -> int:
        """Where the phrase begins, its owner included."""
        return self.owner.first if self.owner else self.start


@dataclass(eq=False, slots=True)
class Verb:
    """A verb with its auxiliaries: tokens start..end, `head` the full verb; `negations` counts not and never."""

    start: int
    head: int
    end: int
    lemma: str
    kind: str
    words: tuple[str, ...] = ()
    negations: int = 0
    modal: str = ""
    perfect: str = ""
    passive: bool = False
    infinitive: bool = False
    inverted: list[Chunk] = field(default_factory=list)
    subject: list[Chunk] = field(default_factory=list)
    governor: Verb | None = None

    @property
    def finite(self) -> bool:
        """Whether it can be the verb of a clause."""
        return not self.infinitive and (self.kind in ("s", "past", "base") or bool(self.words))
