"""What every other memory is measured against: everything, nothing, and a draw.

A strategy that does not beat random messages finds nothing; one that does not come near the full history costs answers
(the baselines of LoCoMo, Maharana et al. 2024, arXiv 2402.17753, and of LongMemEval, Wu et al. 2024, arXiv 2410.10813).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from workbench.interfaces import Recollection
from workbench.memory.base import LoggedMemory, Query
from workbench.memory.transcript import Transcript


class FullMemory(LoggedMemory[Transcript]):
    """Recalls the whole session, newest first where ``k`` is smaller. The query has no influence.

    As the baseline "full context" it is asked with ``k`` as large as the session.

    Args:
        folder: as for :class:`LoggedMemory`.
    """

    name = "full"

    def __init__(self, *, folder: Path | str | None = None) -> None:
        super().__init__(folder)

    def _snapshot(self, session: str, epoch: int) -> Transcript:
        return Transcript(session, epoch)

    def _rank(self, snapshot: Transcript, query: Query) -> list[Recollection]:
        indices = snapshot.within(query.since, query.until)[-query.k :]
        return [snapshot.recollection(index, float(index), "everything") for index in indices]


class NoMemory(LoggedMemory[Transcript]):
    """Recalls nothing: the model alone. What is said is in the log all the same, for another strategy to take up.

    Args:
        folder: as for :class:`LoggedMemory`.
    """

    name = "none"

    def __init__(self, *, folder: Path | str | None = None) -> None:
        super().__init__(folder)

    def count(self, session: str = "default") -> int:  # noqa: ARG002 - nothing of any session can be recalled
        """0: nothing can be recalled."""
        return 0

    def _snapshot(self, session: str, epoch: int) -> Transcript:
        return Transcript(session, epoch)

    def _rank(self, snapshot: Transcript, query: Query) -> list[Recollection]:  # noqa: ARG002
        return []


class RandomMemory(LoggedMemory[Transcript]):
    """Recalls ``k`` messages drawn uniformly without replacement; the same session, query and seed give the same.

    Every message has a number of its own for each query, and the ``k`` highest are recalled: with a greater ``k`` the
    same come back and more, and a message added later displaces one at most.

    Args:
        seed: another seed, another draw.
        folder: as for :class:`LoggedMemory`.
    """

    name = "random"

    def __init__(self, seed: int = 0, *, folder: Path | str | None = None) -> None:
        super().__init__(folder)
        self.seed = seed

    def _snapshot(self, session: str, epoch: int) -> Transcript:
        return Transcript(session, epoch)

    def _rank(self, snapshot: Transcript, query: Query) -> list[Recollection]:
        numbers = self._generator(snapshot.session, query.text).random(len(snapshot))
        allowed = np.array(snapshot.within(query.since, query.until), np.intp)
        drawn = allowed[np.argsort(-numbers[allowed])[: query.k]].tolist()
        return [snapshot.recollection(index, float(numbers[index]), "at random") for index in drawn]

    def _generator(self, session: str, query: str) -> np.random.Generator:
        # not hash(): Python's is salted anew in every process
        text = "\0".join((str(self.seed), str(len(session)), session, query)).encode("utf-8", "surrogatepass")
        return np.random.default_rng(int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little"))
