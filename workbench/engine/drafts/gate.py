"""Whether guessing ahead pays, and how far: decided per request and step from what was measured. Knows no tokens.

With acceptance ``a`` per guess, ``k`` guesses bring ``(1 - a^(k+1)) / (1 - a)`` tokens a decode (Leviathan et al. 2023,
arXiv 2211.17192, eq. 1). Against them stands the time of a larger decode, which is nearly free on an idle GPU, costs a
part of a token on a CPU, and a whole one where the machine is full. So both sides are measured while the engine runs.

A gate risks no more than it has earned. It keeps a purse, in plain steps: a small allowance, a share of the time,
and what right guesses saved. A draft is made only if the purse covers the case that none of it is right. So a request
loses at most the allowance and that share (below one per cent), whatever its text does.
"""

from __future__ import annotations

from workbench.engine.drafts.step_costs import StepCosts
from workbench.errors import InvalidSettings

_EVIDENCE = (1, 2, 3, 4, 8, 16)
"""Smallest match length of each class of evidence; the acceptance of each is learnt by itself."""

_PRIOR = (0.3, 0.35, 0.4, 0.55, 0.75, 0.85)
"""Acceptance assumed for a class before anything is known: long matches are seldom chance. A guess, soon overruled."""

_PRIOR_WEIGHT = 2.0
"""Guesses a prior is worth."""

_MEMORY = 0.92
"""What an older guess counts against the next newer: about a dozen count, so that a change of phase is seen."""

_ALLOWANCE, _BUDGET, _PURSE_LIMIT = 2.0, 0.0075, 8.0
"""Plain steps a request may lose to begin with, share of the time it may lose later, most it may save up."""

_RESERVE = 1.0
"""Plain steps that tries leave for drafts that promise a gain."""

_FIRST_WAIT, _LONGEST_WAIT, _HOPELESS_WAIT = 4, 32, 512
"""Occasions between two tries of evidence that promises nothing: at first, at most, and where nothing could gain."""


class _Record:
    """How guesses of one class of evidence have fared, older ones counting less."""

    __slots__ = ("hits", "misses", "passed", "prior", "wait")

    def __init__(self, prior: float) -> None:
        self.prior = prior
        self.hits = self.misses = 0.0
        self.passed, self.wait = 0, _FIRST_WAIT

    @property
    def acceptance(self) -> float:
        """Chance that the next guess is right, given that those before it were."""
        return (self.hits + self.prior * _PRIOR_WEIGHT) / (self.hits + self.misses + _PRIOR_WEIGHT)

    def add(self, drafted: int, accepted: int) -> None:
        failed = accepted < drafted
        fade = _MEMORY ** (accepted + failed)
        self.hits = self.hits * fade + accepted
        self.misses = self.misses * fade + failed
        self.wait = _FIRST_WAIT if accepted else min(2 * self.wait, _LONGEST_WAIT)


class Gate:
    """Decides how many tokens one request drafts. Engine thread only; one a request, about 5 µs a step.

    Call :meth:`choose` before a step and :meth:`observe` after it, also when nothing was drafted.

    Args:
        costs: the engine's, shared by its requests; somebody else feeds it.
        draft_max: most tokens to draft in a step.
        margin: expected gain below which plain decoding is preferred, as a share.

    Raises:
        InvalidSettings: ``draft_max`` is below 1 or ``margin`` below 0.
    """

    def __init__(self, costs: StepCosts, draft_max: int, *, margin: float = 0.05) -> None:
        if draft_max < 1 or margin < 0:
            raise InvalidSettings(
                f"draft_max ({draft_max}) must be at least 1, and the gate's margin ({margin}) not below 0."
            )
        self._costs, self._draft_max, self._margin = costs, draft_max, margin
        self._records = [_Record(prior) for prior in _PRIOR]
        self._purse = _ALLOWANCE
        self._base, self._draft_cost_s = 1, 0.0  # of the step under way
        self._chosen = 0
        self._passed_hopeless = 0
        self.steps = self.drafted = self.accepted = 0
        self._spent_s = self._plain_s = 0.0

    def choose(self, *, evidence: int, base_tokens: int, draft_cost_s: float = 0.0, most: int | None = None) -> int:
        """How many tokens to draft in the next step; 0: none.

        Args:
            evidence: the drafter's ``match_length``; 0: it has nothing to offer.
            base_tokens: tokens of the step so far: this request's own one, and those of the others, drafts included.
            draft_cost_s: seconds one guess takes to make; nothing for lookup.
            most: a limit of the caller's: room in the batch, tokens left of the answer.
        """
        self._base, self._draft_cost_s, self._chosen = max(1, base_tokens), draft_cost_s, 0
        limit = self._draft_max if most is None else min(self._draft_max, most)
        plain = self._costs.seconds(self._base)
        if evidence < 1 or limit < 1 or plain is None:
            return 0
        # Beyond twice the largest decode there is no telling what it costs.
        limit = min(limit, max(1, 2 * self._costs.largest - self._base))
        record = self._records[_class_of(evidence)]
        best = self._best(record.acceptance, limit, plain)
        if best:
            best = self._affordable(best, self._purse, plain)
        self._chosen = best or self._try(record, limit, plain)
        return self._chosen

    def could_gain(self, base_tokens: int, draft_cost_s: float = 0.0) -> bool:
        """Whether drafting could pay in a step of ``base_tokens`` if every guess were right, or nobody knows yet.

        Cheap to ask before a drafter is: under load it cannot, and no evidence has to be looked for. If not, the step
        is taken to be plain: :meth:`observe` may follow without :meth:`choose`.
        """
        self._base, self._draft_cost_s, self._chosen = max(1, base_tokens), draft_cost_s, 0
        plain = self._costs.seconds(self._base)
        if plain is None:
            return False
        if not self._costs.settled_above(self._base) or self._best(1.0, self._draft_max, plain):
            return True
        self._passed_hopeless += 1
        return self._passed_hopeless >= _HOPELESS_WAIT  # now and then it is worth a look

    def observe(self, evidence: int, drafted: int, accepted: int) -> None:
        """What became of the step chosen last.

        Args:
            evidence: as given to :meth:`choose`.
            drafted: tokens that were drafted; may be fewer than chosen.
            accepted: how many of them, from the first on, were right.
        """
        chosen, self._chosen = self._chosen, 0
        self.steps += 1
        self.drafted += drafted
        self.accepted += accepted
        if drafted and evidence > 0:
            self._records[_class_of(evidence)].add(drafted, accepted)
        plain = self._costs.seconds(self._base)
        if plain is None:
            return
        took = self._seconds(drafted)
        if drafted < chosen:
            took += self._draft_cost_s  # the guess that was not good enough
        self._spent_s += took
        self._plain_s += plain * (1 + accepted)
        gained = plain * self._share(1 + accepted) - took
        self._purse = min(_PURSE_LIMIT, self._purse + gained / plain + _BUDGET)

    def summary(self) -> str:
        """One sentence for the receipt, with the counterfactual: what the same tokens had taken without drafts."""
        if not self.drafted:
            return f"Nothing drafted in {self.steps} steps: no draft promised a gain."
        counts = f"Drafted {self.drafted}, accepted {self.accepted}"
        if not self._spent_s:
            return f"{counts}; no step times to tell the gain by."
        return f"{counts}; about {self._plain_s / self._spent_s:.2f} × the plain speed by measured step times."

    def _seconds(self, drafts: int) -> float:
        """Of the step under way with so many drafts."""
        step = self._costs.seconds(self._base + drafts)
        return (step or 0.0) + drafts * self._draft_cost_s

    def _share(self, tokens: float) -> float:
        """Output of the step relative to a plain one when this request gets ``tokens`` and the others one each."""
        return (self._base - 1 + tokens) / self._base

    def _best(self, acceptance: float, limit: int, plain: float) -> int:
        """The draft length with the most tokens per second, all sequences together; 0: none beats plain clearly."""
        best, best_rate = 0, (1 + self._margin) / plain
        seconds, base, per_draft = self._costs.seconds, self._base, self._draft_cost_s
        tokens = chance = 1.0
        for drafts in range(1, limit + 1):
            chance *= acceptance
            tokens += chance
            step = seconds(base + drafts) or plain
            rate = (base - 1 + tokens) / base / (step + drafts * per_draft)
            if rate > best_rate:
                best, best_rate = drafts, rate
        return best

    def _affordable(self, drafts: int, purse: float, plain: float) -> int:
        """The longest draft, up to ``drafts``, whose complete failure ``purse`` covers."""
        while drafts and self._seconds(drafts) / plain - 1 > purse:
            drafts -= 1
        return drafts

    def _try(self, record: _Record, limit: int, plain: float) -> int:
        """A short draft now and then, though none promises a gain: prices and texts change."""
        record.passed += 1
        settled = self._costs.settled_above(self._base)
        if settled and not self._best(1.0, limit, plain):
            self._passed_hopeless += 1
            if self._passed_hopeless < _HOPELESS_WAIT:
                return 0
        elif settled and record.passed < record.wait:
            return 0
        drafts = self._affordable(min(2, limit), self._purse - (_RESERVE if settled else 0.0), plain)
        if drafts:
            record.passed = self._passed_hopeless = 0
        return drafts


def _class_of(evidence: int) -> int:
    """Index of the class of a match length of at least 1."""
    index = len(_EVIDENCE) - 1
    while evidence < _EVIDENCE[index]:
        index -= 1
    return index
