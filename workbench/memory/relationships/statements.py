"""One statement of how somebody stands to somebody else, and the edge that follows from it.

Knows the types there are and what a valid statement is, nothing of time's order or of graphs.
"""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import InvalidSettings, UnknownName
from workbench.memory.relations import SENTIMENT, SYMMETRIC, Relation

TYPES = tuple(SENTIMENT)
"""Every type of relation."""

ENGINE, GIVEN, RULES = "engine", "given", "rules"
"""Who found it: an engine, whoever calls the graph, the extractor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """``source`` stands to ``target`` as ``type`` says, from the moment it is stated on.

    Attributes:
        source: holder of the attitude; a debtor owes.
        target: its object; a debtor owes the target.
        type: one of :data:`TYPES`.
        sentiment: from -1 to 1.
        strength: above 0 to 1; 0: from now on it no longer holds.
        at: when it was stated, in seconds since 1970.
        index: of the message it was read from; ``None``: from none.
        evidence: the words it was read from.
        origin: who found it.
        seen: messages there were when it was found, for replay; ``None``: it does not matter.

    Raises:
        UnknownName: the type is none there is.
        InvalidSettings: a number is out of its range, a name is empty, or both are the same.
    """

    source: str
    target: str
    type: str
    sentiment: float
    strength: float
    at: float
    index: int | None = None
    evidence: str = ""
    origin: str = GIVEN
    seen: int | None = None

    def __post_init__(self) -> None:
        if self.type not in SENTIMENT:
            raise UnknownName("relation type", str(self.type), TYPES)
        for end in ("source", "target"):
            object.__setattr__(self, end, entity_name(getattr(self, end)))
        if self.source == self.target:
            raise InvalidSettings(f"A relation needs two, not {self.source!r} and itself.")
        for name, low in (("sentiment", -1.0), ("strength", 0.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= 1:
                raise InvalidSettings(f"{name} must lie between {low:g} and 1, not {value!r}.")
        if isinstance(self.at, bool) or not isinstance(self.at, int | float) or not math.isfinite(self.at):
            raise InvalidSettings(f"at must be seconds since 1970, not {self.at!r}.")
        for name in ("index", "seen"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise InvalidSettings(f"{name} must be a whole number or None, not {value!r}.")

    @classmethod
    def of(cls, source: str, target: str, type: str, **fields: Any) -> Statement:  # noqa: A002 - the field's name
        """A statement with the usual sentiment of its type, full strength, made now, unless ``fields`` say more."""
        fields = {"sentiment": SENTIMENT.get(type, 0.0), "strength": 1.0, "at": time.time(), **fields}
        return cls(source=source, target=target, type=type, **fields)

    @classmethod
    def read(cls, relation: Relation, *, at: float, index: int, seen: int, origin: str) -> Statement:
        """What an extractor found in message ``index``; no strength at all counts as the weakest."""
        return cls(
            source=relation.source,
            target=relation.target,
            type=relation.type,
            sentiment=float(relation.sentiment),
            strength=max(float(relation.strength), 0.01),
            at=at,
            index=index,
            evidence=relation.evidence,
            origin=origin,
            seen=seen,
        )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], at: float | None = None) -> Statement:
        """A statement from its JSON values; ``at``: when, if they do not say.

        Raises:
            InvalidSettings: a field is missing or of another kind, or one nobody knows is there.
        """
        try:
            return cls(**{**({} if at is None else {"at": at}), **values})
        except TypeError as error:
            raise InvalidSettings(f"This is no statement of a relation: {error}.") from error

    def to_dict(self) -> dict[str, Any]:
        """JSON values, ``at`` included; fields that are ``None`` left out."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A statement in its time: what held from ``valid_from`` until, not at, ``valid_until``.

    Attributes:
        statement: what was said last to that effect.
        strength: of this statement and those it restates: ``1 - Π(1 - strength)`` (noisy-or, Pearl 1988, §4.3.2).
        valid_from: when it was stated, in seconds since 1970.
        valid_until: when a later statement took its place; ``None``: it still holds.
        since: when the first of the unbroken row of restatements was made.
        times: how often it was stated in that row.
    """

    statement: Statement
    strength: float
    valid_from: float
    valid_until: float | None
    since: float
    times: int

    @property
    def source(self) -> str:
        """Holder of the attitude."""
        return self.statement.source

    @property
    def target(self) -> str:
        """Its object."""
        return self.statement.target

    @property
    def type(self) -> str:
        """One of :data:`TYPES`."""
        return self.statement.type

    @property
    def sentiment(self) -> float:
        """From -1 to 1."""
        return self.statement.sentiment

    @property
    def index(self) -> int | None:
        """Of the message that is evidence for it."""
        return self.statement.index

    def holds(self, at: float | None) -> bool:
        """Whether it holds at a moment; ``None``: after all that was stated."""
        if at is None:
            return self.valid_until is None
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)

    def other(self, entity: str) -> str:
        """The end that is not ``entity``."""
        return self.target if entity == self.source else self.source

    def __repr__(self) -> str:
        until = "" if self.valid_until is None else f", until {self.valid_until:g}"
        arrow = f"{self.source} -{self.type}-> {self.target}"
        return f"<{arrow}, strength {self.strength:.2f}, from {self.valid_from:g}{until}>"


def entity_name(name: Any) -> str:
    """A name as it is kept: composed (NFC), so that two ways to write an accent are one entity.

    Raises:
        InvalidSettings: it is no text, or empty.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidSettings(f"An entity needs a name, not {name!r}.")
    return unicodedata.normalize("NFC", name.strip())


__all__ = ["ENGINE", "GIVEN", "RULES", "SENTIMENT", "SYMMETRIC", "TYPES", "Edge", "Statement", "entity_name"]
