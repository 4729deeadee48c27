"""A memory by somebody else: thirty lines on the event log, registered, and held to the contract."""

import workbench as wb
from workbench.interfaces import Message, Recollection
from workbench.memory.base import LoggedMemory, Query
from workbench.memory.transcript import Transcript
from workbench.testing import MemoryContract


class WordsTranscript(Transcript):
    """What one session's index is: word → messages that have it. Brought up to date with every new message."""

    def __init__(self, session: str, epoch: int) -> None:
        super().__init__(session, epoch)
        self.places: dict[str, list[int]] = {}

    def grown(self, first: int) -> None:
        for index in range(first, len(self)):
            for word in set(self.messages[index].content.lower().split()):
                self.places.setdefault(word, []).append(index)


@wb.memories.register("shared-words")
class SharedWordsMemory(LoggedMemory[WordsTranscript]):
    """Recalls the messages that share most words with the query; among equals the newest."""

    name = "shared-words"

    def _snapshot(self, session: str, epoch: int) -> WordsTranscript:
        return WordsTranscript(session, epoch)

    def _rank(self, snapshot: WordsTranscript, query: Query) -> list[Recollection]:
        shared = dict.fromkeys(snapshot.within(query.since, query.until), 0)
        for word in set(query.text.lower().split()):
            for index in snapshot.places.get(word, ()):
                if index in shared:
                    shared[index] += 1
        best = sorted(shared, key=lambda index: (shared[index], index))[-query.k :]
        return [snapshot.recollection(index, float(shared[index]), "shares words") for index in best]


class TestSharedWordsContract(MemoryContract):
    def make(self):
        return wb.memories.create("shared-words")


def test_it_is_found_by_name_and_keeps_what_was_said(tmp_path):
    with wb.memories.create("shared-words", folder=tmp_path) as memory:
        memory.add_many([Message.user("the red bicycle"), Message.user("a blue car"), Message.user("rain")])
    with wb.memories.create("shared-words", folder=tmp_path) as memory:
        assert [one.index for one in memory.recall("which red thing", k=1)] == [0]
        assert [one.index for one in memory.recall_at("red", turn=1)] == [0]
