"""Words and meaning together: what is found, what is embedded and when, and what is left of a forgotten session."""

import threading
from contextlib import closing

import pytest

import workbench as wb
from workbench.embedding import HashingEmbedder
from workbench.embedding.cache import CachedEmbedder
from workbench.errors import InvalidSettings, StorageError, UnknownName
from workbench.interfaces import Message
from workbench.memory.hybrid import HybridMemory
from workbench.storage import Entry
from workbench.testing import MemoryContract
from workbench.testing.contracts.memory import indices_of, texts_of

FUSIONS = ("zscore", "calibrated", "rrf")


class Counting(HashingEmbedder):
    """Keeps what it was asked to embed; waits, or fails, when it is told to."""

    def __init__(self):
        super().__init__(256)
        self.passages = []
        self.open = threading.Event()
        self.open.set()
        self.fault = None

    def embed(self, texts):
        self.open.wait(20)
        if self.fault is not None:
            raise self.fault
        self.passages += texts
        return super().embed(texts)

    def embed_query(self, text):
        return HashingEmbedder(256).embed([text])[0]


@pytest.fixture
def embedder():
    return Counting()


@pytest.fixture
def memory(embedder):
    memory = HybridMemory(embedder)
    yield memory
    embedder.open.set()
    memory.close()


class TestContract(MemoryContract):
    def make(self):
        return HybridMemory(HashingEmbedder(64))

    def make_in(self, folder):
        return HybridMemory(HashingEmbedder(64), folder)


def _say(memory, *texts, **given):
    memory.add_many([Message.user(text) for text in texts], **given)


def test_it_is_registered():
    with wb.memories.create("hybrid", embedder=HashingEmbedder(16), fusion="rrf") as memory:
        assert isinstance(memory, HybridMemory)


FILLER = [f"we spoke about item number {number} of the list" for number in range(40)]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_shares_words_is_found_with_every_fusion(fusion):
    with HybridMemory(HashingEmbedder(256), fusion=fusion) as memory:
        _say(memory, *FILLER[:20], "the violin lesson starts on Thursday", *FILLER[20:])
        found = memory.recall("When is my violin lesson?", k=1)
        assert texts_of(found) == ["the violin lesson starts on Thursday"]
        assert found[0].reason == "shares words with the query"


def test_add_does_not_wait_for_embedding(memory, embedder):
    embedder.open.clear()
    _say(memory, *FILLER)
    memory.add(Message.user("one more"))
    assert embedder.passages == [], "Messages are acknowledged before they are embedded."
    embedder.open.set()
    memory.flush()
    assert sorted(embedder.passages) == sorted([*FILLER, "one more"])


def test_recall_finds_what_has_just_been_added(memory):
    for number in range(30):
        memory.add(Message.user(f"the password of door {number} is wx{number}"))
        assert f"the password of door {number} is wx{number}" in texts_of(memory.recall(f"door {number}", k=5))


def test_a_text_is_embedded_once(memory, embedder):
    for text in FILLER:
        _say(memory, text)
        memory.recall("the list", k=3)
    memory.flush()
    memory.recall("the list", k=3)
    assert sorted(embedder.passages) == sorted(FILLER)


def test_nothing_is_embedded_again_after_a_restart(tmp_path):
    first = Counting()
    with HybridMemory(first, tmp_path) as memory:
        _say(memory, *FILLER)
        found = memory.recall("item number 7", k=5)
    second = Counting()
    with HybridMemory(second, tmp_path) as memory:
        assert memory.recall("item number 7", k=5) == found
    assert len(first.passages) == len(FILLER)
    assert second.passages == [], "Vectors come from the cache."


def test_close_embeds_what_waits(tmp_path):
    embedder = Counting()
    embedder.open.clear()
    memory = HybridMemory(embedder, tmp_path)
    _say(memory, *FILLER)
    embedder.open.set()
    memory.close()
    assert sorted(embedder.passages) == sorted(FILLER)


@pytest.mark.parametrize("moment", ["embedded", "waiting"])
def test_forget_discards_the_vectors(tmp_path, moment):
    embedder = Counting()
    with HybridMemory(embedder, tmp_path) as memory:
        _say(memory, "a secret of mine", session="gone")
        _say(memory, "what stays", session="kept")
        if moment == "embedded":
            memory.flush()
        memory.forget("gone")
        memory.flush()
    with closing(CachedEmbedder(embedder, tmp_path / "vectors.sqlite")) as cache:
        assert cache.stats.entries == 1, "Only the other session's vector is left."


def test_what_is_forgotten_while_it_is_embedded_leaves_no_vector(tmp_path):
    embedder = Counting()
    with HybridMemory(embedder, tmp_path) as memory:
        embedder.open.clear()
        _say(memory, "a secret of mine", session="gone")
        forgetting = threading.Thread(target=memory.forget, args=["gone"])
        forgetting.start()
        embedder.open.set()
        forgetting.join(20)
        memory.flush()
        assert memory.embedders[0].stats.entries == 0


def test_vectors_that_come_after_the_session_is_gone_are_discarded(memory, embedder):
    memory._background.close()  # what it does is done here, step by step
    _say(memory, "a secret of mine", session="gone")
    embedder.embed = lambda texts: memory.forget("gone") or HashingEmbedder(256).embed(texts)
    memory._embed_batch("gone")
    assert memory.embedders[0].stats.entries == 0


def test_a_full_transcript_restored_in_place_leaves_no_old_vector(tmp_path):
    with HybridMemory(Counting(), tmp_path / "a") as memory, HybridMemory(Counting(), tmp_path / "b") as other:
        _say(memory, "old", "both")
        _say(other, "both", "new")
        memory.flush()
        entries = [Entry(one.kind, one.data, one.at) for one in other.events("default")]
        memory.restore("default", entries, replace=True)
        memory.flush()
        assert memory.embedders[0].stats.entries == 2
        assert set(texts_of(memory.recall("old", k=10))) == {"both", "new"}


def test_an_error_of_the_embedder_is_told_by_flush_and_mended_by_the_next_recall(memory, embedder):
    embedder.fault = StorageError("the model is gone")
    _say(memory, "the violin lesson starts on Thursday")
    with pytest.raises(StorageError, match="the model is gone"):
        memory.flush()
    embedder.fault = None
    assert texts_of(memory.recall("violin")) == ["the violin lesson starts on Thursday"]


def test_since_and_until(memory):
    _say(memory, *[f"tea at {hour}" for hour in range(10)], at=[hour * 3600.0 for hour in range(10)])
    assert indices_of(memory.recall("tea", k=10, since=2 * 3600, until=5 * 3600)) == [2, 3, 4]
    assert memory.recall("tea", since=1e9) == []


@pytest.mark.parametrize("fusion", FUSIONS)
def test_with_a_half_life_the_newer_of_two_equals_wins(fusion):
    texts = ["my favourite colour is green", *FILLER, "my favourite colour is green"]
    times = [float(place * 86_400) for place in range(len(texts))]
    with HybridMemory(HashingEmbedder(256), fusion=fusion, half_life_s=86_400, neighbour_weight=0) as memory:
        _say(memory, *texts, at=times)
        found = {one.index: one.score for one in memory.recall("Which colour is my favourite?", k=42)}
        assert found[len(texts) - 1] > 0 < found[0]
        assert found[0] / found[len(texts) - 1] == pytest.approx(0.5 ** (len(texts) - 1), rel=1e-3)


def test_an_answer_is_found_by_the_question_before_it():
    texts = ["Which instrument do you play in the orchestra?", "The oboe."]
    with HybridMemory(HashingEmbedder(256), neighbour_weight=0.5) as memory:
        _say(memory, *FILLER, *texts, *FILLER)
        found = memory.recall("instrument in the orchestra", k=3)
        assert "The oboe." in texts_of(found)
        assert [one.reason for one in found if one.message.content == "The oboe."] == [
            "next to a message that matches the query"
        ]


def test_a_neighbour_is_of_the_same_sitting():
    texts = ["Which instrument do you play in the orchestra?", "The oboe."]
    with HybridMemory(HashingEmbedder(256), neighbour_weight=0.9) as memory:
        _say(memory, *FILLER, *texts, *FILLER, at=[0.0] * 41 + [1e6] * 41)
        assert "The oboe." not in texts_of(memory.recall("instrument in the orchestra", k=2))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_whom_the_query_names_is_preferred(fusion):
    said = [Message("user", "I bought a car", name=name) for name in ("Bob", "Ann", "Bob", "Cleo", "Dan")]
    with HybridMemory(HashingEmbedder(256), fusion=fusion, neighbour_weight=0) as memory:
        memory.add_many(said)
        assert indices_of(memory.recall("Who sold Ann's car?", k=1)) == [1]


def test_a_replay_finds_what_was_found_then(memory):
    _say(memory, *FILLER[:20])
    then = memory.recall("item number 7", k=5)
    _say(memory, *FILLER[20:])
    assert memory.recall_at("item number 7", turn=20, k=5) == then


def test_calibrated_scores_are_between_0_and_1_and_mean_the_same():
    with HybridMemory(HashingEmbedder(256), fusion="calibrated", neighbour_weight=0) as memory:
        _say(memory, *FILLER, "the violin lesson starts on Thursday")
        hit = max(one.score for one in memory.recall("violin lesson on Thursday", k=3))
        miss = max(one.score for one in memory.recall("unicorn", k=3))
        assert 0 <= miss < 0.3 < hit <= 1


def test_a_query_that_says_nothing_brings_the_newest(memory):
    _say(memory, *["the same"] * 5)
    assert indices_of(memory.recall("", k=2)) == [3, 4]


@pytest.mark.parametrize(
    "settings",
    [
        {"dense_weight": -0.1},
        {"dense_weight": 1.1},
        {"speaker_weight": -1},
        {"neighbour_weight": float("nan")},
        {"neighbour_weight": float("inf")},
        {"half_life_s": 0},
        {"k1": -1},
        {"b": 2},
        {"open_sessions": 0},
    ],
)
def test_settings_out_of_range_are_refused_before_a_file_is_opened(tmp_path, settings):
    with pytest.raises(InvalidSettings):
        HybridMemory(HashingEmbedder(16), tmp_path / "m", **settings)
    assert not (tmp_path / "m").exists()


def test_an_unknown_fusion_or_embedder_names_the_known(tmp_path):
    with pytest.raises(UnknownName, match="zscore"):
        HybridMemory(HashingEmbedder(16), fusion="mean")
    with pytest.raises(UnknownName, match="hashing"):
        HybridMemory("no-such-embedder", tmp_path)
    with HybridMemory(HashingEmbedder(16), tmp_path):
        pass  # the folder was given back


def test_an_embedder_that_was_given_is_not_closed():
    closed = []
    embedder = HashingEmbedder(16)
    embedder.close = lambda: closed.append(1)
    cache = CachedEmbedder(embedder)
    with HybridMemory(embedder), HybridMemory(cache):
        pass
    assert not closed
    assert len(cache.embed(["still open"])) == 1


def test_without_weight_on_meaning_no_embedder_is_asked(tmp_path):
    class Never(HashingEmbedder):
        def embed(self, texts):
            raise AssertionError("embedded for nothing")

        embed_query = embed

    with HybridMemory(Never(), tmp_path, dense_weight=0) as memory:
        memory.add_many([Message("user", "The oboe is old.", name="Ann"), Message("user", "Hello.", name="Bob")])
        memory.flush()
        found = memory.recall("Is the oboe new?", k=1)
        assert [(one.index, one.reason) for one in found] == [(0, "shares words with the query")]
        assert memory.recall("What did Bob say?", k=1)[0].reason == "by somebody the query names"
        memory.forget("default")
    assert not (tmp_path / "vectors.sqlite").exists()
