"""What the verdicts promise, by simulation: intervals cover, equal arms are rarely called different.

Machines drift by 10 % over a sweep; noise is log-normal, or has heavy tails. Seeded: nothing here is a matter of luck.
"""

import math

import numpy as np
import pytest

from workbench.sweep.design.planning import cells_of_block, plan
from workbench.sweep.findings.comparing import against_reference
from workbench.sweep.findings.finding import find
from workbench.sweep.findings.ground import ground
from workbench.sweep.findings.looks import Looks
from workbench.sweep.findings.ranking import undecided
from workbench.sweep.findings.statistics import LEAST_BAND, effect_of_logs, holm, judge

TRUTH = 1.05


def lognormal(rng, shape):
    return 0.03 * rng.standard_normal(shape)


def heavy(rng, shape):
    """Student's t with 3 degrees of freedom: once in a while a run is far off."""
    return 0.03 * rng.standard_t(3, shape)


def positions(rng, sims, blocks, arms, design):
    """Place of each arm's run in the running order: (sims, blocks, arms)."""
    if design == "abba":
        first = rng.integers(0, 2, size=(sims, (blocks + 1) // 2))
        order = np.stack([first, 1 - first], axis=-1).reshape(sims, -1)[:, :blocks]
        within = np.stack([order, 1 - order], axis=-1)
    else:
        within = rng.permuted(np.broadcast_to(np.arange(arms), (sims, blocks, arms)).copy(), axis=2)
    return np.arange(blocks)[None, :, None] * arms + within


def log_values(rng, sims, blocks, arms, design, noise):
    """Logarithms of what equal arms measure on a machine that gets 10 % slower: (sims, blocks, arms)."""
    drift = 1 - 0.10 * positions(rng, sims, blocks, arms, design) / (blocks * arms - 1)
    return np.log(drift) + noise(rng, (sims, blocks, arms))


def coverage(rng, sims, blocks, arms, design, noise):
    logs = log_values(rng, sims, blocks, arms, design, noise)
    effects = [effect_of_logs(one + math.log(TRUTH)) for one in logs[:, :, 1] - logs[:, :, 0]]
    return np.mean([effect.low <= TRUTH <= effect.high for effect in effects])


def false_alarms(rng, sims, blocks, arms, design, noise):
    """Share of sweeps of equal arms with any "better" or "worse" in the family; no twins widen the band."""
    logs = log_values(rng, sims, blocks, arms, design, noise)
    wrong = 0
    for ratios in logs[:, :, 1:] - logs[:, :, :1]:
        effects = [effect_of_logs(ratios[:, arm]) for arm in range(arms - 1)]
        ps = holm([effect.p for effect in effects])
        verdicts = [judge(e, p, LEAST_BAND, "maximize", arms - 1)[0] for e, p in zip(effects, ps, strict=True)]
        wrong += any(verdict in ("better", "worse") for verdict in verdicts)
    return wrong / sims


DESIGNS = [("abba", 2), ("blocks", 2), ("blocks", 5)]


@pytest.mark.parametrize("noise", [lognormal, heavy])
@pytest.mark.parametrize(("design", "arms"), DESIGNS)
def test_intervals_cover_the_truth(design, arms, noise):
    assert coverage(np.random.default_rng(1), 1500, 10, arms, design, noise) >= 0.93


@pytest.mark.parametrize("noise", [lognormal, heavy])
@pytest.mark.parametrize(("design", "arms"), DESIGNS)
def test_equal_arms_are_rarely_called_different(design, arms, noise):
    assert false_alarms(np.random.default_rng(2), 800, 10, arms, design, noise) <= 0.05


@pytest.mark.soak
@pytest.mark.parametrize("blocks", [6, 10, 11, 20, 40])
@pytest.mark.parametrize("noise", [lognormal, heavy])
@pytest.mark.parametrize(("design", "arms"), [*DESIGNS, ("blocks", 12)])
def test_the_same_for_longer(design, arms, noise, blocks):
    rng = np.random.default_rng(3)
    assert coverage(rng, 20_000, blocks, arms, design, noise) >= 0.945
    assert false_alarms(rng, 4_000, blocks, arms, design, noise) <= 0.05


def looked(logs, looks):
    """Whether an adaptive comparison of equal arms ever says "different": it stops where its interval leaves 1."""
    for end in looks.ends:
        keys = [("h", "grid", b) for b in range(looks.blocks)] + [("h", "more", b) for b in range(end - looks.blocks)]
        effect = effect_of_logs(logs[:end], looks.level(keys))
        if effect.low > 1 or effect.high < 1:
            return True
    return False


def test_looking_again_and_again_costs_no_more_than_alpha(spec_of):
    """The control: with 95 % at every look, the same looks are wrong in more than every tenth sweep of equal arms."""
    looks = Looks.of(spec_of(blocks=10, more_blocks=40))
    logs = 0.03 * np.random.default_rng(4).standard_normal((1500, looks.ends[-1]))
    assert np.mean([looked(one, looks) for one in logs]) <= 0.05

    class Naive(Looks):
        def level(self, blocks):
            return 0.95

    assert np.mean([looked(one, Naive(blocks=10, ends=looks.ends)) for one in logs]) > 0.10


def adaptive(spec, finished, seed, scale):
    """A sweep of equal arms with further blocks where the ranking is undecided, on a drifting machine."""
    rng = np.random.default_rng(seed)
    cells = plan(spec)
    length = len(cells) + spec.more_blocks * len(cells) // spec.blocks

    def measure(cell, order):
        return {"speed": (1 - 0.10 * order / length) * math.exp(scale * rng.standard_normal())}

    runs, blocks, labels = finished(cells, measure), 0, frozenset()
    while blocks < spec.more_blocks:
        if not blocks or spec.blocks + blocks in Looks.of(spec).ends:  # in between the answer stays: see test_ranking
            labels = undecided(spec, runs)
        if not labels:
            break
        runs += finished(cells_of_block(spec, labels, "more", blocks), measure, first=len(runs) + 1)
        blocks += 1
    return runs, blocks


def wrongly_decided(spec, finished, sims, scale):
    wrong, extra, missed, compared = 0, 0, 0, 0
    for seed in range(sims):
        runs, blocks = adaptive(spec, finished, seed, scale)
        findings = find(spec, runs, [cell.configuration for cell in plan(spec)[: len(plan(spec)) // spec.blocks]])
        verdicts = {c.verdict for c in findings.comparisons}
        wrong += bool(verdicts & {"better", "worse"})
        extra += blocks
        compared += len(findings.comparisons)
        missed += sum(not c.effect.low <= 1 <= c.effect.high for c in findings.comparisons)
    return wrong / sims, extra, missed / compared


def test_adaptive_sweeps_of_equal_arms_find_nothing(spec_of, finished):
    spec = spec_of(parameters={"a": [1, 2, 3]}, more_blocks=10)
    wrong, extra, missed = wrongly_decided(spec, finished, 100, scale=0.1)
    assert extra > 0  # else nothing was tested
    assert wrong <= 0.05
    assert missed <= 0.05


@pytest.mark.soak
@pytest.mark.parametrize("scale", [0.005, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("more", [5, 10, 40])
def test_adaptive_sweeps_for_longer(spec_of, finished, more, scale):
    spec = spec_of(parameters={"a": [1, 2, 3, 4]}, more_blocks=more)
    wrong, _, missed = wrongly_decided(spec, finished, 1500, scale)
    assert wrong <= 0.05
    assert missed <= 0.05


def split_plot(spec, finished, seed, *, plot_noise, effect=1.0):
    """Runs of a split plot: an error for each whole plot and block, and a smaller one for each run."""
    rng = np.random.default_rng(seed)
    plots = {}

    def measure(cell, order):
        arm = cell.configuration
        plot = (cell.block, arm.parameters["model"], arm.arm == "twin")
        shift = plots.setdefault(plot, plot_noise * rng.standard_normal())
        truth = effect if arm.parameters["a"] == 2 else 1.0
        drift = 1 - 0.10 * order / 80
        return {"speed": drift * truth * math.exp(shift + 0.005 * rng.standard_normal())}

    return finished(plan(spec), measure)


@pytest.fixture
def split_spec(spec_of):
    return spec_of(parameters={"model": ["m1", "m2"], "a": [1, 2]}, slow=["model"], twin=True)


def test_whole_plot_effects_are_held_against_the_whole_plot_error(split_spec, finished):
    arms = [cell.configuration for cell in plan(split_spec)[:5]]
    covered, wrong, inner = [], [], []
    for seed in range(200):
        findings = find(split_spec, split_plot(split_spec, finished, seed, plot_noise=0.05, effect=TRUTH), arms)
        effects = {e.parameter: e.comparison for e in findings.effects}
        covered.append(effects["model"].effect.low <= 1 <= effects["model"].effect.high)
        wrong.append(effects["model"].verdict in ("better", "worse"))
        inner.append(effects["a"].effect.low <= TRUTH <= effects["a"].effect.high)
    assert np.mean(covered) >= 0.93
    assert np.mean(inner) >= 0.93
    assert np.mean(wrong) <= 0.05


def test_counting_cells_instead_of_blocks_would_be_wrong(split_spec, finished):
    """The control: every pair of cells taken as a replicate of its own, the whole-plot error seems to shrink."""
    covered = []
    for seed in range(150):
        table = ground(split_spec, [], split_plot(split_spec, finished, seed, plot_noise=0.05)).table
        pairs = [table.pairs(f"model=m2, a={a}", f"model=m1, a={a}", "speed").values() for a in (1, 2)]
        effect = effect_of_logs([math.log(x / y) for found in pairs for x, y in found])
        covered.append(effect.low <= 1 <= effect.high)
    assert np.mean(covered) < 0.90


def test_within_a_plot_the_noise_between_plots_does_not_hide_effects(split_spec, finished):
    """2.5 % within plots stand out although the twins, in plots of their own, differ by more."""
    runs = split_plot(split_spec, finished, 0, plot_noise=0.05, effect=1.025)
    arms = [cell.configuration for cell in plan(split_spec)[:5]]
    stand = ground(split_spec, arms, runs)
    assert stand.floors["speed"].width > 0.025
    by_name = {c.label: c for c in against_reference(stand, [arms], split_spec.measures[0])}
    assert by_name["model=m1, a=2"].verdict == "better"
    assert by_name["model=m1, a=2"].band < 0.015
    assert by_name["model=m2, a=2"].band == stand.floors["speed"].width
    assert by_name["model=m2, a=2"].verdict != "better"
