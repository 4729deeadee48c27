"""Further blocks and confirmations: decided upon once, noted before they run, and kept whatever happens later."""

import json

import pytest

from workbench.errors import StoreCorrupt
from workbench.sweep.execution.planners import AGENDA
from workbench.sweep.findings import ranking


@pytest.fixture
def ranked(monkeypatch):
    """The ranking says what the test says; remembers with how many runs it was asked."""

    class Ranked:
        def __init__(self):
            self.open, self.chosen, self.asked = [], (), []

        def undecided(self, spec, runs):
            assert all(run.cell.phase != "confirm" for run in runs)
            self.asked.append(len(runs))
            return frozenset(self.open.pop(0)) if self.open else frozenset()

        def finalists(self, spec, runs):
            return self.chosen

    found = Ranked()
    monkeypatch.setattr(ranking, "undecided", found.undecided)
    monkeypatch.setattr(ranking, "finalists", found.finalists)
    return found


def done(payload, attempt):
    return "done"


def ran(sweep, phase):
    return [(cell.configuration.label, cell.block) for cell in sweep.plan() if cell.phase == phase]


def test_blocks_follow_only_where_the_ranking_is_open(sweep, scripted, ranked):
    ranked.open = [{"a=1", "a=3"}, {"a=1", "a=2"}]
    one, executor = sweep(more_blocks=5), scripted(done)
    assert one.run(progress=False, executor=executor).audit.done == 12 + 4
    assert ranked.asked == [12, 14, 16]
    assert sorted(ran(one, "more")) == [("a=1", 0), ("a=1", 1), ("a=2", 1), ("a=3", 0)]
    assert str(one.status("grid")) == "12/12 runs done, 0 failed, 0 missing"
    assert one.status("more").planned == 4


def test_there_are_no_more_than_allowed_and_none_unasked(sweep, scripted, ranked, tmp_path):
    ranked.open = [{"a=1"}] * 9
    assert sweep(more_blocks=3).run(progress=False, executor=scripted(done)).audit.done == 12 + 3
    ranked.open = [{"a=1"}] * 9
    assert sweep(results=str(tmp_path / "none")).run(progress=False, executor=scripted(done)).audit.done == 12


def test_what_was_decided_stays_when_the_ranking_would_say_something_else(sweep, scripted, ranked):
    ranked.open = [{"a=1", "a=3"}]
    sweep(more_blocks=1, budget={"runs": 13}).run(progress=False, executor=scripted(done))
    one = sweep(more_blocks=1)
    assert one.status("more").missing == 1, "half of the block was run before the budget was spent"
    assert one.run(progress=False, executor=scripted(done)).audit.done == 14
    assert sorted(ran(one, "more")) == [("a=1", 0), ("a=3", 0)]


def test_blocks_added_later_change_nothing_that_was_run(sweep, scripted, ranked):
    ranked.open, ranked.chosen = [{"a=1", "a=3"}], ("a=1", "a=3")
    one = sweep(more_blocks=2, confirm=2)
    one.run(progress=False, executor=scripted(done))
    before = {run.cell.id for run in one.runs()}
    later, executor = sweep(more_blocks=2, confirm=2, blocks=6), scripted(done)
    assert later.run(progress=False, executor=executor).audit.planned == 18 + 2 + 4
    assert before < {run.cell.id for run in later.runs()}
    assert len(executor.ran) == 6, "only the new blocks"


def test_the_chosen_run_again_in_fresh_blocks(sweep, scripted, ranked):
    ranked.chosen = ("a=1", "a=3")
    one, executor = sweep(confirm=3), scripted(done)
    analysis = one.run(progress=False, executor=executor)
    assert analysis.audit.done == 12 + 6
    assert sorted(ran(one, "confirm")) == [(label, block) for label in ("a=1", "a=3") for block in range(3)]
    assert one.status("confirm").done == 6
    again = scripted(done)
    one.run(progress=False, executor=again)
    assert again.ran == []


def test_another_choice_is_confirmed_in_blocks_of_its_own(sweep, scripted, ranked):
    ranked.chosen = ("a=1", "a=3")
    sweep(confirm=2).run(progress=False, executor=scripted(done))
    ranked.chosen = ("a=1", "a=2")
    one = sweep(confirm=2)
    one.run(progress=False, executor=scripted(done))
    assert sorted(ran(one, "confirm")) == [("a=1", b) for b in range(4)] + [
        ("a=2", 2),
        ("a=2", 3),
        ("a=3", 0),
        ("a=3", 1),
    ]
    ranked.chosen = ("a=1", "a=3")
    again = scripted(done)
    sweep(confirm=2).run(progress=False, executor=again)
    assert again.ran == [], "that was confirmed before"


def test_more_confirmations_are_added_to_those_there_are(sweep, scripted, ranked):
    ranked.chosen = ("a=1", "a=2")
    sweep(confirm=1).run(progress=False, executor=scripted(done))
    one = sweep(confirm=3)
    one.run(progress=False, executor=scripted(done))
    assert one.status("confirm").done == 6


def test_if_the_reference_is_best_nothing_is_confirmed(sweep, scripted, ranked):
    assert sweep(confirm=3).run(progress=False, executor=scripted(done)).audit.planned == 12


def test_decisions_about_another_notebook_or_configuration_are_no_longer_part_of_it(sweep, scripted, ranked, notebook):
    ranked.open, ranked.chosen = [{"a=1", "a=3"}], ("a=1", "a=3")
    sweep(more_blocks=1, confirm=1).run(progress=False, executor=scripted(done))
    fewer = sweep(more_blocks=1, confirm=1, parameters={"a": [1, 2]})
    assert ran(fewer, "more") == [("a=1", 0)]
    notebook("a = 1", "other = 1")
    assert {cell.phase for cell in sweep(more_blocks=1, confirm=1).plan()} == {"grid"}


def test_a_damaged_agenda_is_said_not_guessed(sweep):
    one = sweep()
    one.folder.mkdir(parents=True)
    for text in (json.dumps({"blocks": [{"phase": "more"}]}), json.dumps([]), "{"):
        (one.folder / AGENDA).write_text(text)
        with pytest.raises(StoreCorrupt, match="agenda"):
            one.plan()


def test_the_real_ranking_ends_a_sweep_that_is_decided(sweep, scripted):
    one = sweep(blocks=6, more_blocks=4, confirm=2)
    analysis = one.run(progress=False, executor=scripted(done))
    assert one.status("confirm").done == 4
    assert {cell.configuration.label for cell in one.plan() if cell.phase == "confirm"} == {"a=1", "a=3"}
    assert analysis.audit.missing == 0
