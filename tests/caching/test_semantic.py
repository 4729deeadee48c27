"""The semantic cache keeps the contract of a cache, tells alike from the same, and survives."""

import math

import pytest

from workbench.caching import SemanticCache, at_threshold, binomial_interval, calibrate_threshold
from workbench.caching.agreement import disagreement
from workbench.caching.reading import read
from workbench.embedding import HashingEmbedder
from workbench.errors import InvalidSettings, UnknownName
from workbench.evaluation.datasets.question_pairs import own_question_pairs
from workbench.testing import CacheContract

OWN = own_question_pairs()


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def cache(**options):
    return SemanticCache(HashingEmbedder(), **{"threshold": 0.5, **options})


class TestSemanticContract(CacheContract):
    def make(self):
        return cache(threshold=0.9)


class TestSemanticFileContract(CacheContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path_factory):
        self.folder, self.made = tmp_path_factory.mktemp("caches"), 0

    def make(self):
        self.made += 1
        return cache(threshold=0.9, path=self.folder / f"{self.made}.sqlite")


def test_other_words_find_it_and_say_why():
    held = cache()
    held.put("How do I wash a big dog?", "with water")
    found = held.look_up("How do you wash a big dog?")
    assert (found.value, found.text) == ("with water", "How do I wash a big dog?")
    assert 0.5 <= found.similarity <= 1
    assert f"{found.similarity:.3f}" in found.why
    assert held.look_up("Where is the station?") is None


def test_scopes_see_nothing_of_each_other():
    held = cache()
    held.keep("How do I wash a dog?", "one", "a")
    assert held.look_up("How do I wash a dog?", "b") is None
    assert held.look_up("How do you wash a dog?", "b") is None
    assert held.look_up("How do you wash a dog?", "a").value == "one"


def test_it_survives_a_restart_and_is_bounded(tmp_path):
    path = tmp_path / "semantic.sqlite"
    first = cache(path=path, max_entries=3)
    for word in ("dog", "cat", "carpet", "window"):
        first.keep(f"How do I wash the {word}?", word, "s")
    first.close()
    again = cache(path=path, max_entries=3)
    assert again.stats.entries == 3
    assert again.look_up("How do you wash the window?", "s").value == "window"
    dog = again.look_up("How do I wash the dog?", "s")
    assert dog is None or dog.value != "dog", "the least recently used went"


def test_what_another_process_keeps_is_found(tmp_path):
    one, other = (cache(path=tmp_path / "semantic.sqlite") for _ in range(2))
    assert one.look_up("How do you wash a dog?") is None
    other.put("How do I wash a dog?", "with water")
    assert one.get("How do you wash a dog?") == "with water"


def test_what_was_pushed_out_is_not_offered():
    held = cache(max_entries=1)
    held.put("How do I wash a dog?", "1")
    held.put("Where is the station?", "2")
    assert held.get("How do you wash a dog?") is None
    assert len(held._shelves[""]) == 1


def test_what_is_not_held_takes_no_room():
    """A conversation asks in a scope of its own at every turn."""
    held = cache(max_entries=3)
    for number in range(20):
        assert held.look_up("How do I wash a dog?", f"asked {number}") is None
        held.keep("How do I wash a dog?", "with water", f"kept {number}")
    assert sorted(held._shelves) == ["kept 17", "kept 18", "kept 19"]
    rooms = [shelf._index._room.nbytes for shelf in held._shelves.values()]
    assert rooms == [4 * held.embedder.dimensions] * 3, "room for one vector each"
    clock = Clock()
    held = cache(ttl_s=10, clock=clock)
    held.keep("How do I wash a dog?", "with water", "s")
    clock.now = 10
    assert held.look_up("How do I wash a dog?", "s") is None
    assert not held._shelves, "expired"


def test_what_other_processes_push_out_takes_no_room_for_long(tmp_path):
    one, other = (cache(path=tmp_path / "semantic.sqlite", max_entries=10) for _ in range(2))
    for number in range(200):
        other.keep("How do I wash a dog?", "with water", f"{number}")
        one.look_up("Where is the station?", "mine")
    assert len(one._shelves) <= 21
    assert one.look_up("How do you wash a dog?", "199").value == "with water"


def test_an_unknown_embedder_needs_a_threshold():
    with pytest.raises(InvalidSettings, match="calibrate"):
        SemanticCache(HashingEmbedder())
    with pytest.raises(UnknownName):
        SemanticCache("no such model")
    for wrong in ({"threshold": 2}, {"max_entries": 0}, {"ttl_s": 0}):
        with pytest.raises(InvalidSettings):
            cache(**wrong)


# -- guards ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), [pair[:2] for pair in OWN if not pair[2]])
def test_what_only_sounds_alike_is_kept_apart(one, other):
    assert disagreement(read(one), read(other))
    assert disagreement(read(other), read(one)), "either way round"


@pytest.mark.parametrize(("one", "other"), [pair[:2] for pair in OWN if pair[2]])
def test_what_asks_for_the_same_is_not(one, other):
    assert disagreement(read(one), read(other)) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who won in 1,000 games?", "Who won in 1000 games?"),
        ("Which laptop is best below 40k?", "Which laptop is best below 40000?"),
        ("Do the Indians vote in May?", "Does India vote in May?"),
        ("Is the United Kingdom an island?", "Is the UK an island?"),
        ("Is it legal or not?", "Is it legal?"),
        ("What is the difference between A1 and B2?", "What is the difference between B2 and A1?"),
        ("What places in Rome are good to see?", "What places are good to see in Rome?"),
    ],
)
def test_guards_look_through_spellings(one, other):
    assert disagreement(read(one), read(other)) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Does Austria vote?", "Does Australia vote?"),
        ("Is Indiana big, or is Paris?", "Is Paris big, or is India?"),
        ("How old is Ben?", "How tall is Ann?"),
        ("Is it not raining?", "Is it raining?"),
        ("What do wives need?", "What do husbands need?"),
    ],
)
def test_guards_are_not_fooled(one, other):
    assert disagreement(read(one), read(other))


# -- calibration ----------------------------------------------------------------------------------------------------


def test_the_interval_is_clopper_and_pearsons():
    """Against published values: 0 of 10, 1 of 10, 10 of 10."""
    assert binomial_interval(0, 10) == pytest.approx((0, 0.3085), abs=1e-4)
    assert binomial_interval(1, 10) == pytest.approx((0.0025, 0.4450), abs=1e-4)
    assert binomial_interval(10, 10) == pytest.approx((0.6915, 1), abs=1e-4)
    assert binomial_interval(0, 0) == (0, 1)


def test_a_threshold_keeps_its_budget_and_no_more_than_it_must():
    wrong, right = [number / 1000 for number in range(1000)], [0.5, 0.95, 0.999]
    values, labels = wrong + right, [False] * 1000 + [True] * 3
    plain = calibrate_threshold(values, labels, 0.02, confidence=None)
    assert plain.false_hits == 20
    sure = calibrate_threshold(values, labels, 0.02)
    assert sure.false_hit_interval[1] <= 0.02
    assert binomial_interval(sure.false_hits + 1, 1000)[1] > 0.02
    assert sure.threshold > plain.threshold
    assert at_threshold(values, labels, sure.threshold) == sure


def test_ties_and_barred_pairs_are_on_the_safe_side():
    found = calibrate_threshold([0.9] * 10 + [0.9, 0.95], [False] * 10 + [True] * 2, 0.1, confidence=None)
    assert (found.false_hits, found.right_hits) == (0, 1)
    barred = calibrate_threshold([-math.inf] * 50 + [0.2], [False] * 50 + [True], 0.1)
    assert (barred.false_hits, barred.right_hits) == (0, 1)


def test_too_few_pairs_promise_nothing():
    found = calibrate_threshold([0.1, 0.9], [False, True], 0.02)
    assert found.threshold == math.inf
    assert found.hit_rate == 0
    for labels, budget in (([True, True], 0.02), ([True, False], 1.0)):
        with pytest.raises(InvalidSettings):
            calibrate_threshold([0.1, 0.9], labels, budget)


def test_calibrating_sets_the_threshold():
    held = cache()
    found = held.calibrate(OWN, 0.2)
    assert held.threshold == found.threshold
    assert found.different + found.same == len(OWN)
    assert found.false_hits == 0
