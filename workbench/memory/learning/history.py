"""The events of one session as the learner needs them: feedback, what was recalled for what, trials and rollbacks.

Knows what a recall's event says of its candidates; never how a weighting is chosen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.interfaces import Embedder, FloatArray
from workbench.memory.base import FEEDBACK, RECALL
from workbench.memory.learning.credit import Credit, Floats
from workbench.memory.learning.offpolicy import Recalled
from workbench.memory.learning.policy import Rules, Weights, inclusion, ranked
from workbench.memory.parts import PartsTranscript
from workbench.memory.transcript import Transcript
from workbench.storage import Event

TRIAL, ROLLBACK = "trial", "rollback"
KEPT_RECALLS = 500
"""Recalls that are learned from: the newest."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the base found for a query, best first.

    Attributes:
        indices: (m,) of the messages.
        base: (m,) the base's scores, standardised.
        features: (m, 3) of feedback.
    """

    indices: list[int]
    base: Floats
    features: Floats

    def to_json(self, weights: Weights, k: int, rules: Rules) -> list[list[float]]:
        """For the event of the recall: [index, base, own, asked, near, propensity] each."""
        probability = inclusion(ranked(self.base, self.features, weights), k, rules)
        table = np.column_stack([self.base, self.features, probability]).round(6).tolist()
        return [[index, *row] for index, row in zip(self.indices, table, strict=True)]


@dataclass(slots=True)
class _Logged:
    """A recall and the feedback that came after it."""

    query: str
    recalled: Recalled
    judged: bool = False


class AdaptiveTranscript(PartsTranscript):
    """A transcript beside the base's, with what feedback has taught.

    Args:
        session: its name.
        epoch: of the journal.
        base: the base's snapshot.
        prior: weighting number 0.
        half_life: messages after which feedback counts half.
        embedder: tells which texts are alike.

    Attributes:
        credit: the feedback.
        adopted: what the events say of weightings number 1 and up.
        version: number of the weighting in use.
        trials: weightings tried so far.
        judged_since_trial: recalls that got their first feedback since.
        candidates: of the recall that is being made.
    """

    def __init__(
        self, session: str, epoch: int, base: Transcript, prior: Weights, half_life: float, embedder: Embedder
    ) -> None:
        super().__init__(session, epoch, [base])
        self.credit = Credit(half_life)
        self.adopted: list[Mapping[str, Any]] = []
        self.version = self.trials = self.judged_since_trial = 0
        self.candidates: Candidates | None = None
        self._prior, self._embedder = prior, embedder
        self._barred: set[Weights] = set()
        self._recalls: deque[_Logged] = deque(maxlen=KEPT_RECALLS)
        self._vectors: dict[int, FloatArray] = {}

    @property
    def weights(self) -> Weights:
        """The weighting in use."""
        return Weights.from_mapping(self.adopted[self.version - 1]["weights"]) if self.version else self._prior

    def take(self, event: Event) -> None:
        """Feedback, a recall, a trial or a rollback."""
        if event.kind == RECALL and "candidates" in event.data:
            self._recalls.append(_Logged(event.data["query"], _recalled(event.data)))
        elif event.kind == FEEDBACK:
            self._judge(event.data["index"], event.data["value"])
        elif event.kind == TRIAL:
            self._tried(event.data)
        elif event.kind == ROLLBACK:
            self._rolled_back(event.data["to"])

    def judged(self) -> list[Recalled]:
        """Recalls with feedback, oldest first."""
        return [one.recalled for one in self._recalls if one.judged]

    def barred(self) -> set[Weights]:
        """Weightings that were taken back."""
        return set(self._barred)

    def features(self, indices: Sequence[int], query: str) -> Floats:
        """(len(indices), 3) of feedback, for a query."""
        if not len(self.credit):
            return np.zeros((len(indices), 3))
        return self.credit.features(indices, self._embedder.embed_query(query), len(self), self._vectors_of)

    def _judge(self, index: int, value: float) -> None:
        """Feedback is about the last recall that brought the message."""
        about = next((one for one in reversed(self._recalls) if _shows(one.recalled, index)), None)
        if about is not None:
            about.recalled.rewards[about.recalled.indices.index(index)] = value
            self.judged_since_trial += not about.judged
            about.judged = True
        query = None if about is None else self._embedder.embed_query(about.query)
        self.credit.give(index, value, len(self.messages), query)

    def _tried(self, data: Mapping[str, Any]) -> None:
        self.trials += 1
        self.judged_since_trial = 0
        if data["adopted"]:
            del self.adopted[self.version :]  # a rollback left them behind
            self.adopted.append(data)
            self.version = len(self.adopted)

    def _rolled_back(self, to: int) -> None:
        self._barred.update(Weights.from_mapping(data["weights"]) for data in self.adopted[to : self.version])
        self.version = to

    def _vectors_of(self, indices: Sequence[int]) -> FloatArray:
        missing = [index for index in dict.fromkeys(indices) if index not in self._vectors]
        if missing:
            made = self._embedder.embed([self.messages[index].content for index in missing])
            self._vectors.update(zip(missing, made, strict=True))
        return np.stack([self._vectors[index] for index in indices])


def _recalled(data: Mapping[str, Any]) -> Recalled:
    table = np.array(data["candidates"], np.float64).reshape(-1, 6)
    indices = [int(index) for index in table[:, 0]]
    found = {int(index) for index, _ in data["found"]}
    return Recalled(
        indices=indices,
        base=table[:, 1],
        features=table[:, 2:5],
        propensities=table[:, 5],
        shown=np.array([index in found for index in indices]),
        rewards=np.zeros(len(indices)),
        k=int(data["k"]),
    )


def _shows(recalled: Recalled, index: int) -> bool:
    return index in recalled.indices and bool(recalled.shown[recalled.indices.index(index)])
