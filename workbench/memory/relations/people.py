"""What the names of a note tell of their bearers: man, woman or group, and the role each is called by.

Taken from titles (Lady Wyn), given names, the nouns beside a name ("his sister Ana") and, weakly, endings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from workbench.memory.relations.clauses import Clauses
from workbench.memory.relations.lexicon import nouns, word_set
from workbench.memory.relations.lexicon.words import FEMALE_NAMES, MALE_NAMES
from workbench.memory.relations.mentions import TITLES

MALE: Final = frozenset({"he", "him", "his", "himself"})
FEMALE: Final = frozenset({"she", "her", "hers", "herself"})
_FEMALE_ENDINGS: Final = ("a", "elle", "ette", "ine", "issa", "wen", "ie", "ise", "trude", "hild", "lyn", "ys")
_MALE_ENDINGS: Final = (
    "o",
    "us",
    "os",
    "ard",
    "ric",
    "rik",
    "bert",
    "mund",
    "wald",
    "win",
    "or",
    "ek",
    "ik",
    "off",
    "ov",
    "son",
    "ulf",
    "ald",
    "ias",
    "ius",
    "im",
    "ok",
    "ank",
    "ock",
    "ur",
    "ox",
)
_GROUP_WORDS: Final = word_set(
    """
    hall lodge society chamber college regiment squadron battalion fleet ministry parliament senate
    faction party club team pack horde fellowship nation barony abbey monastery family families firm
    agency bureau department commission committee monks nuns elves dwarves orcs goblins raiders riders
    rangers guards pirates bandits rebels kingdom garrison house guild clan order league union company
    crew court tribe village town city colony kingdom empire republic army band gang council bank
    syndicate combine brotherhood sisterhood circle legion watch federation coalition alliance church
    temple dukes captains sisters brothers traders robot android unit ai port people islanders villagers
    smugglers raiders corporation consortium institute cartel covenant hold wardens riders
    """
)


@dataclass(slots=True)
class People:
    """The entities of a note with what is known of each. `roles`: role noun → entity, -1 where several share it."""

    names: Sequence[str]
    sex: dict[int, str] = field(default_factory=dict)
    groups: frozenset[int] = frozenset()
    roles: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.groups = frozenset(number for number, name in enumerate(self.names) if _is_group(name))
        for number, name in enumerate(self.names):
            if number not in self.groups:
                self._guess(number, name)

    def _guess(self, number: int, name: str) -> None:
        pieces = [piece.strip(".,").lower() for piece in name.split()]
        if len(pieces) > 1:
            for piece in pieces[:-1]:
                if piece in TITLES or piece in nouns.MALE_NOUNS or piece in nouns.FEMALE_NOUNS:
                    self.roles[piece] = -1 if piece in self.roles else number
        for piece in pieces:
            if piece in nouns.FEMALE_NOUNS or piece in nouns.MALE_NOUNS:
                self.sex[number] = "f" if piece in nouns.FEMALE_NOUNS else "m"
                return
        for piece in pieces:
            if piece in FEMALE_NAMES or piece in MALE_NAMES:
                self.sex[number] = "f" if piece in FEMALE_NAMES else "m"
                return

    def likely(self, word: str, entity: int) -> float:
        """A guess from the ending of an unknown name: -a is mostly a woman, -o and -us mostly a man."""
        pieces = self.names[entity].split()
        given = [piece for piece in pieces if piece.lower().strip(".") not in TITLES]
        if entity in self.sex or not given or (len(given) == 1 < len(pieces)):
            return 0.0  # a surname tells nothing
        name = given[0]
        if name.endswith(_FEMALE_ENDINGS):
            return 3.0 if word in FEMALE else -3.0
        if name.endswith(_MALE_ENDINGS):
            return 3.0 if word in MALE else -3.0
        return 0.0

    def learn(self, clauses: Clauses) -> None:
        """Take the sex of a name from a noun beside it ("his sister Ana")."""
        for chunk in clauses.chunks:
            for word in [clauses.low(i) for i in range(chunk.start, chunk.end)]:
                for entity in chunk.names:
                    self.note(entity, word)
            after = chunk.end
            if chunk.names and clauses.low(after) == ",":
                other = clauses.chunk_at(after + 1)
                if other is not None and not clauses.head_of(other).names:
                    self.note(chunk.names[0], clauses.head_of(other).noun)

    def note(self, entity: int, word: str) -> None:
        """Take what `word`, said of the entity, tells."""
        if word in nouns.FEMALE_NOUNS or word in nouns.MALE_NOUNS:
            self.sex[entity] = "f" if word in nouns.FEMALE_NOUNS else "m"
        elif word in _GROUP_WORDS and word != "the":
            self.groups |= {entity}
        elif word and entity not in self.groups:
            self.roles.setdefault(word, entity)

    def heard(self, entity: int, pronoun: str) -> None:
        """A pronoun was taken for the entity."""
        if pronoun in MALE | FEMALE:
            self.sex.setdefault(entity, "m" if pronoun in MALE else "f")

    def agrees(self, pronoun: str, entity: int) -> bool:
        """Whether the pronoun can mean the entity."""
        if pronoun in ("it", "its"):
            return entity in self.groups
        if entity in self.groups:
            return False
        sex = self.sex.get(entity)
        return not ((pronoun in MALE and sex == "f") or (pronoun in FEMALE and sex == "m"))


def _is_group(name: str) -> bool:
    pieces = [piece.lower() for piece in name.split()]
    return any(piece in _GROUP_WORDS for piece in pieces) or (
        len(pieces) > 1 and pieces[-1].endswith("s") and (pieces[0].endswith("n") or pieces[0] == "the")
    )
