"""One owner a folder."""

import os

import pytest

from workbench.errors import StoreInUse
from workbench.storage import FolderLock


def test_a_folder_has_one_owner(tmp_path):
    with FolderLock(tmp_path), pytest.raises(StoreInUse) as caught:
        FolderLock(tmp_path).acquire()
    assert caught.value.pid == os.getpid()
    assert caught.value.path == tmp_path


def test_what_was_given_back_can_be_taken(tmp_path):
    for _ in range(3):
        with FolderLock(tmp_path):
            pass
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.release()
    with FolderLock(tmp_path):
        pass


def test_a_block_that_fails_gives_the_folder_back(tmp_path):
    with pytest.raises(RuntimeError), FolderLock(tmp_path):
        raise RuntimeError
    with FolderLock(tmp_path):
        pass


def test_taking_and_giving_back_are_idempotent(tmp_path):
    lock = FolderLock(tmp_path)
    lock.release()
    lock.acquire()
    lock.acquire()
    lock.release()
    lock.release()
    with FolderLock(tmp_path):
        pass


def test_the_folder_is_made_if_need_be(tmp_path):
    with FolderLock(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()


def test_other_folders_are_free(tmp_path):
    with FolderLock(tmp_path / "a"), FolderLock(tmp_path / "b"):
        pass


def test_a_refused_lock_leaks_no_descriptor(tmp_path):
    with FolderLock(tmp_path):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            with pytest.raises(StoreInUse):
                FolderLock(tmp_path).acquire()
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("rubbish", ["", "no number", "99999999999 and more"])
def test_an_owner_that_cannot_be_read_is_another_process(tmp_path, rubbish):
    with FolderLock(tmp_path):
        (tmp_path / ".lock").write_text(rubbish)
        with pytest.raises(StoreInUse, match="another process") as caught:
            FolderLock(tmp_path).acquire()
    assert caught.value.pid is None


def test_a_shorter_process_id_leaves_nothing_of_a_longer_one(tmp_path):
    (tmp_path / ".lock").write_text("1234567890123")
    with FolderLock(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
