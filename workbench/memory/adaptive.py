"""A memory that learns from feedback which of the messages another memory finds are worth recalling.

Feedback acts at once, by a weighting given beforehand: it raises or lowers the message itself, less so where another
query is asked, and a little what resembles it. How much it should weigh is learned off-policy from the log, which has
the candidates of every recall with their scores and the probability with which each was recalled; a new weighting has
to pass a gate, and can be taken back (:meth:`AdaptiveMemory.rollback`). Methods and sources:
:mod:`workbench.memory.learning`. Counterfactual learning needs chance: with ``exploration=0``, the default, messages
that were passed over have no evidence, and the learner can only tell what had better not have been recalled.

Feedback is believed. Somebody who praises what misleads will have it recalled; ``base_share`` bounds the harm, for the
base's first choices are recalled whatever feedback says. Every state follows from the events of the session: feedback,
trials of weightings, rollbacks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InvalidSettings
from workbench.interfaces import Embedder, Recollection
from workbench.memory.background import Background
from workbench.memory.base import Query
from workbench.memory.learning.history import ROLLBACK, TRIAL, AdaptiveTranscript, Candidates
from workbench.memory.learning.offpolicy import Trial, try_better
from workbench.memory.learning.policy import Rules, Weights, choose, ranked, standardised
from workbench.memory.parts import PartsMemory, PartSpec
from workbench.registry import embedders

_CANDIDATES_PER_PLACE = 3
_FEWEST_CANDIDATES = 30
_FEWEST_RECALLS = 12


@dataclass(frozen=True, slots=True)
class Version:
    """A weighting that is, or was, in use in a session.

    Attributes:
        number: 0 is the weighting given beforehand.
        weights: what each feature of feedback weighs.
        gain: estimated feedback per recalled message above the version before, held-out; ``None`` for number 0.
        bound: lower confidence bound of ``gain``.
        recalls: recalls it was estimated on.
    """

    number: int
    weights: Weights
    gain: float | None = None
    bound: float | None = None
    recalls: int = 0


class AdaptiveMemory(PartsMemory[AdaptiveTranscript]):
    """Recalls what its base finds, in the order that feedback teaches. Without feedback it is its base.

    Args:
        base: the memory whose scores it starts from: a name, (name, options), or a memory nobody has added to, which
            is closed with this one.
        weights: what feedback weighs until something better is learned, in standard deviations of the base's score.
        base_share: share of ``k``, rounded down, that the base's first choices are sure of; 1: feedback moves nothing.
        exploration: probability that the last place goes to a candidate drawn from those passed over; the price of
            learning what they are worth. Above 0 the same recall may give another message.
        half_life: messages said since after which feedback counts half.
        learn_every: recalls with feedback after which a new weighting is tried.
        risk: probability that any weighting adopted in a session is no better than the one before.
        embedder: tells which messages and queries are alike; the light one is enough.
        folder: as for :class:`LoggedMemory`.
        seed: of the draws.

    Raises:
        InvalidSettings: a value out of its range, or a base that cannot be part of another memory.
        UnknownName: a base or an embedder nobody has registered.
    """

    name = "adaptive"

    def __init__(
        self,
        base: PartSpec = "hybrid",
        *,
        weights: Weights | None = None,
        base_share: float = 0.5,
        exploration: float = 0.0,
        half_life: float = 500.0,
        learn_every: int = 10,
        risk: float = 0.1,
        embedder: Embedder | str = "hashing",
        folder: Path | str | None = None,
        seed: int = 0,
    ) -> None:
        _check(base_share, exploration, half_life, learn_every, risk)
        self.prior = weights or Weights()
        self.rules = Rules(base_share, exploration)
        self.half_life, self.learn_every, self.risk, self.seed = half_life, learn_every, risk, seed
        self._owns_likeness = isinstance(embedder, str)
        self._likeness = embedders.create(embedder) if isinstance(embedder, str) else embedder
        self._background = Background(self._learn, "workbench-adaptive")
        super().__init__([base], folder)

    # -- feedback -----------------------------------------------------------------------------------------------------

    def feedback(self, index: int, value: float, *, session: str = "default") -> None:
        """Say how much a recalled message helped; the next recall takes it into account."""
        super().feedback(index, value, session=session)
        self._background.wake(session)

    def versions(self, session: str = "default") -> tuple[Version, ...]:
        """The weightings that have been in use in a session, oldest first; a new session has number 0."""
        with self._session(session) as snapshot:
            return tuple(_version(number, data, self.prior) for number, data in enumerate([None, *snapshot.adopted]))

    def version(self, session: str = "default") -> Version:
        """The weighting in use."""
        with self._session(session) as snapshot:
            present = snapshot.version
        return self.versions(session)[present]

    def rollback(self, session: str = "default", *, to: int | None = None) -> Version:
        """Use an earlier weighting again; those after it are not tried again. Returns it.

        Args:
            session: in which conversation.
            to: number of a version; ``None``: the one before the present.

        Raises:
            InvalidSettings: there is no such earlier version.
        """
        self._background.flush()
        with self._session(session) as snapshot:
            target = snapshot.version - 1 if to is None else to
            if not 0 <= target < snapshot.version:
                raise InvalidSettings(
                    f"The session {session!r} uses version {snapshot.version}; it can be rolled back to an earlier one "
                    f"only, not to {target}. versions() lists them."
                )
            self.journal.append(session, ROLLBACK, {"to": target})
        return self.version(session)

    def flush(self) -> None:
        """Return once what feedback teaches is learned, and the base's background work is done."""
        self._background.flush()
        super().flush()

    def close(self) -> None:
        """Flush and free, the base too. Idempotent."""
        self._background.close()
        super().close()
        if self._owns_likeness:
            self._likeness.close()

    # -- recall -------------------------------------------------------------------------------------------------------

    def _snapshot(self, session: str, epoch: int) -> AdaptiveTranscript:
        return AdaptiveTranscript(
            session, epoch, self._snapshots(session, epoch)[0], self.prior, self.half_life, self._likeness
        )

    def _rank(self, snapshot: AdaptiveTranscript, query: Query) -> list[Recollection]:
        found = self.parts[0]._rank(snapshot.parts[0], replace(query, k=self._pool(snapshot, query.k)))
        notes = [one for one in found if one.index is None]
        messages = sorted((one for one in found if one.index is not None), key=lambda one: -one.score)
        snapshot.candidates = None
        if not messages:
            return notes
        candidates = self._candidates(snapshot, messages, query)
        snapshot.candidates = candidates
        scores = ranked(candidates.base, candidates.features, snapshot.weights)
        chosen = choose(scores, query.k, self.rules, self._generator(snapshot, query.text))
        return [*notes, *(_moved(messages[at], float(scores[at] - candidates.base[at]), scores[at]) for at in chosen)]

    def _trace(self, snapshot: AdaptiveTranscript, query: Query, found: Sequence[Recollection]) -> dict[str, Any]:  # noqa: ARG002
        if snapshot.candidates is None:
            return {}
        told = snapshot.candidates.to_json(snapshot.weights, query.k, self.rules)
        return {"version": snapshot.version, "candidates": told}

    def _pool(self, snapshot: AdaptiveTranscript, k: int) -> int:
        """Messages the base is asked for: without feedback or chance, no more than are recalled."""
        if not len(snapshot.credit) and not self.rules.exploration:
            return k
        return max(_CANDIDATES_PER_PLACE * k, _FEWEST_CANDIDATES)

    def _candidates(self, snapshot: AdaptiveTranscript, messages: Sequence[Recollection], query: Query) -> Candidates:
        indices = [one.index for one in messages if one.index is not None]
        base = standardised(np.array([one.score for one in messages]))
        return Candidates(indices, base, snapshot.features(indices, query.text))

    def _generator(self, snapshot: AdaptiveTranscript, query: str) -> np.random.Generator | None:
        if not self.rules.exploration:
            return None
        text = f"{self.seed}\0{snapshot.seq}\0{query}".encode("utf-8", "surrogatepass")
        return np.random.default_rng(int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little"))

    # -- learning -----------------------------------------------------------------------------------------------------

    def _learn(self, session: str) -> None:
        """Try a new weighting if enough feedback has come since the last trial."""
        if not self.journal.count(session):  # forgotten in the meantime
            return
        with self._session(session) as snapshot:
            log, version, present = snapshot.judged(), snapshot.version, snapshot.weights
            risk = self.risk / ((snapshot.trials + 1) * (snapshot.trials + 2))
            due = snapshot.judged_since_trial >= self.learn_every and len(log) >= _FEWEST_RECALLS
            barred = snapshot.barred()
        if not due:
            return
        trial = try_better(log, present, self.rules, risk=risk, barred=barred)
        with self._session(session) as now:
            if now is snapshot and now.version == version:  # else it was forgotten, dropped or rolled back meanwhile
                self.journal.append(session, TRIAL, _told(trial))


def _told(trial: Trial | None) -> dict[str, Any]:
    if trial is None:
        return {"adopted": False}
    weights = asdict(trial.weights)
    return {
        "adopted": trial.passes,
        "weights": weights,
        "gain": trial.gain,
        "bound": trial.bound,
        "recalls": trial.recalls,
    }


def _version(number: int, data: Mapping[str, Any] | None, prior: Weights) -> Version:
    if data is None:
        return Version(number, prior)
    return Version(number, Weights.from_mapping(data["weights"]), data["gain"], data["bound"], data["recalls"])


def _moved(one: Recollection, by: float, score: float) -> Recollection:
    """A recollection with its new score, and what feedback did to it."""
    told = "" if abs(by) < 1e-9 else ", raised by feedback" if by > 0 else ", lowered by feedback"
    return replace(one, score=float(score), reason=one.reason + told)


def _check(base_share: float, exploration: float, half_life: float, learn_every: int, risk: float) -> None:
    if not 0 <= base_share <= 1:
        raise InvalidSettings(f"base_share must lie between 0 and 1, not {base_share}.")
    if not 0 <= exploration < 1:
        raise InvalidSettings(f"exploration must be at least 0 and below 1, not {exploration}.")
    if not 0 < half_life < math.inf:
        raise InvalidSettings(f"half_life must be a number of messages above 0, not {half_life}.")
    if learn_every < 1:
        raise InvalidSettings(f"learn_every must be at least 1 recall, not {learn_every}.")
    if not 0 < risk < 1:
        raise InvalidSettings(f"risk must lie between 0 and 1, not {risk}.")
