"""Guessing ahead inside the scheduler: who drafts for a sequence, how much, and what came of it.

The drafters guess, the gate decides whether it pays, the large model's own samples decide what is true: a batch holds
the last token and its guesses, all with logits, and guesses count only as far as each equals the sample drawn before
it. So greedy and seeded answers are those of plain decoding (Leviathan et al. 2023, arXiv 2211.17192, with the exact
match of llama.cpp's speculative example). Engine thread only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from workbench.engine.drafts.draft_model import DraftPool
from workbench.engine.drafts.drafting import Drafter, PromptLookup
from workbench.engine.drafts.gate import Gate
from workbench.engine.drafts.step_costs import StepCosts
from workbench.engine.native.weights import Weights
from workbench.engine.scheduling.sequence import Sequence
from workbench.errors import DecodeError
from workbench.models import resolve
from workbench.settings import EngineSettings

log = logging.getLogger(__name__)

_DRAFT_CELLS = 4096
"""Cells a draft model starts with for all its sequences."""


class _Partner:
    """What one sequence drafts with.

    Attributes:
        drafter: guesses.
        gate: decides how many.
        told: tokens of the sequence the drafter knows.
        evidence: what the last guess rested on.
    """

    __slots__ = ("drafter", "evidence", "gate", "told")

    def __init__(self, drafter: Drafter, gate: Gate) -> None:
        self.drafter, self.gate = drafter, gate
        self.told = self.evidence = 0


class Speculation:
    """Drafts for the sequences of one engine.

    Args:
        weights: the model that decides.
        settings: ``speculation``, ``draft_model`` and ``draft_max``.

    Raises:
        InvalidSettings: the draft model speaks another vocabulary.
    """

    def __init__(self, weights: Weights, settings: EngineSettings) -> None:
        self._settings = settings
        self.costs = StepCosts()
        self._partners: dict[int, _Partner] = {}
        self._pool = self._weights = None
        self._off = False
        if settings.speculation == "draft":
            assert settings.draft_model is not None  # noqa: S101 - the settings see to it
            plain = settings.replace(speculation="off", draft_model=None, n_ctx=None)
            self._weights = Weights(resolve(settings.draft_model), plain)
            self._pool = DraftPool(self._weights, weights.vocabulary, plain, _DRAFT_CELLS)

    def begin(self, sequence: Sequence) -> None:
        """A request starts in its slot."""
        drafter = PromptLookup() if self._pool is None else self._pool.drafter_for(sequence.slot.index)
        self._partners[id(sequence)] = _Partner(drafter, Gate(self.costs, self._settings.draft_max))

    def propose(self, decoding: Iterable[tuple[Sequence, int]], room: int) -> dict[int, list[int]]:
        """Guesses for the next step of the sequences that decode.

        Args:
            decoding: each with the most guesses it has cells for.
            room: most guesses of all together.

        Returns:
            sequence id (of its slot) → guesses, for those that have some.
        """
        asked = list(decoding)
        base = len(asked)
        wanted: dict[int, int] = {}
        for sequence, cells in asked:
            many = self._choose(sequence, base, min(room, cells))
            if many:
                wanted[sequence.slot.index] = many
                base, room = base + many, room - many
        if self._pool is not None:
            try:
                return self._pool.draft(wanted)
            except DecodeError as error:  # guesses are a luxury: requests go on without
                log.warning("speculation is off from here on: %s", error)
                self._off = True
                return {}
        drafters = {s.slot.index: self._partners[id(s)].drafter for s, _ in asked}
        return {index: drafters[index].draft(many) for index, many in wanted.items()}

    def _choose(self, sequence: Sequence, base: int, room: int) -> int:
        partner = self._partners[id(sequence)]
        partner.drafter.extend(sequence.tokens[partner.told :])
        partner.told, partner.evidence = len(sequence.tokens), 0
        if self._off or room < 1 or not partner.gate.could_gain(base, self._guess_s):
            return 0
        partner.evidence = partner.drafter.match_length
        return partner.gate.choose(
            evidence=partner.evidence, base_tokens=base, draft_cost_s=self._guess_s, most=min(room, sequence.wants - 1)
        )

    def settle(self, sequence: Sequence, drafted: int, accepted: int) -> None:
        """What became of the guesses of a step."""
        partner = self._partners[id(sequence)]
        partner.gate.observe(partner.evidence, drafted, accepted)

    def end(self, sequence: Sequence) -> str:
        """A request is over; returns a sentence on what guessing gave."""
        partner = self._partners.pop(id(sequence), None)
        if partner is None:
            return ""
        partner.drafter.free()
        return partner.gate.summary()

    def forget(self, sequences: Iterable[Sequence]) -> None:
        """Requests are over that nobody has to be told about."""
        for sequence in sequences:
            self.end(sequence)

    def free(self) -> None:
        """Give the draft model back. Idempotent."""
        if self._pool is not None and self._weights is not None:
            self._pool.free()
            self._weights.free()
            self._pool = self._weights = None

    @property
    def _guess_s(self) -> float:
        """Seconds a guess costs: nothing to speak of without a model."""
        return 0.0 if self._pool is None else self._pool.guess_s
