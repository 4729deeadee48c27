"""Restarts and crashes happen in processes of their own, for real."""

import pytest

from workbench.errors import StorageError
from workbench.evaluation import memory_processes as processes
from workbench.evaluation.memory_bench import questions
from workbench.evaluation.memory_processes import fill_folder, kill_moments, kill_while_archiving, restart, text_of
from workbench.interfaces import Message
from workbench.memory import BufferMemory


def test_after_a_restart_everything_is_there_and_nothing_embedded_again(tmp_path):
    [query] = questions(1)
    fill_folder("hybrid", tmp_path, 120, asked=query, embedder="hashing")
    again = restart("hybrid", tmp_path, query=query, embedder="hashing")
    assert (again["count"], again["embedded"], again["queries"], again["found"]) == (120, 0, 0, 10)
    assert 0 < again["open_s"] < again["first_recall_s"]
    (tmp_path / "vectors.sqlite").unlink()
    assert restart("hybrid", tmp_path, query=query, embedder="hashing")["embedded"] == 120, "and it would show"


def test_a_restart_that_fails_says_why(tmp_path):
    with BufferMemory(folder=tmp_path), pytest.raises(StorageError, match="in use by process"):
        restart("buffer", tmp_path, query="x", embedder=None)


def test_what_was_acknowledged_before_a_kill_is_there_once(tmp_path):
    seen = kill_while_archiving("archive", tmp_path, after_s=0.1, short_term=5, batch=10, embedder="hashing")
    assert seen["died"]
    assert seen["acknowledged"] > 0
    assert (seen["missing"], seen["doubled"], seen["unfound"]) == (0, 0, 0)


def test_what_is_missing_or_doubled_is_seen():
    memory = BufferMemory(100)
    memory.add_many([Message.user(text_of(number)) for number in (0, 1, 1, 3)])
    assert processes._verified(memory, 6) == {"missing": 3, "doubled": 2, "unfound": 3}


def test_a_process_that_cannot_begin_says_why(tmp_path):
    with BufferMemory(folder=tmp_path), pytest.raises(StorageError, match="in use by process"):
        kill_while_archiving("buffer", tmp_path, after_s=0.0)


def test_moments_are_random_and_repeatable():
    moments = kill_moments(20, seed=1, longest_s=2.0)
    assert moments == kill_moments(20, seed=1, longest_s=2.0)
    assert len(set(moments)) == 20
    assert max(moments) <= 2
    assert max(moments) > 1
