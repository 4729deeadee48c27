"""Files are old or new, never half."""

import errno
import os
import threading

import pytest

from workbench.errors import StorageFull, StoreCorrupt
from workbench.storage import atomic, read_json, replace_file, write_bytes, write_json, write_text


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    write_bytes(path, b"\0\xff" * 1000)
    assert path.read_bytes() == b"\0\xff" * 1000
    assert names_in(path.parent) == ["file"], "no temporary file stays"


def test_text_is_utf8(tmp_path):
    write_text(tmp_path / "t", "naïve 東京 🌍\n")
    assert (tmp_path / "t").read_bytes() == "naïve 東京 🌍\n".encode()


def test_json_goes_through(tmp_path):
    value = {"text": "ä🌍", "none": None, "numbers": [1, 2.5], "nested": {"a": True}}
    write_json(tmp_path / "v.json", value)
    assert read_json(tmp_path / "v.json") == value


def test_half_a_surrogate_pair_goes_through_json(tmp_path):
    value = {"a\ud800": ["\udc00 \\udc00"]}
    write_json(tmp_path / "v.json", value)
    assert read_json(tmp_path / "v.json") == value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_json_is_refused_and_the_old_file_stays(tmp_path, value):
    write_json(tmp_path / "v.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "v.json", {"x": value})
    assert read_json(tmp_path / "v.json") == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{} trailing"])
def test_damaged_json_is_named(tmp_path, content):
    (tmp_path / "v.json").write_bytes(content)
    with pytest.raises(StoreCorrupt, match=r"v\.json") as caught:
        read_json(tmp_path / "v.json")
    assert caught.value.path == tmp_path / "v.json"


def test_a_missing_file_is_the_systems_own_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "f", "old")

    def fail():
        with replace_file(tmp_path / "f") as file:
            file.write(b"half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "f").read_text() == "old"
    assert names_in(tmp_path) == ["f"]


def test_until_the_end_of_the_block_the_old_file_is_seen(tmp_path):
    write_text(tmp_path / "f", "old")
    with replace_file(tmp_path / "f") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "f").read_text() == "old"
    assert (tmp_path / "f").read_text() == "new"


def test_everything_is_on_disk_before_the_name_changes(tmp_path, monkeypatch):
    """fsync the file, then rename, then fsync the folder."""
    steps = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        steps.append("sync folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "sync file")
        real_fsync(descriptor)

    def replace(source, target):
        steps.append("replace")
        real_replace(source, target)

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    monkeypatch.setattr(atomic.os, "replace", replace)
    write_text(tmp_path / "f", "x")
    assert steps == ["sync file", "replace", "sync folder"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_storage_full(tmp_path, monkeypatch, code):
    def full(descriptor):
        raise OSError(code, os.strerror(code))

    write_text(tmp_path / "f", "old")
    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(StorageFull) as caught:
        write_text(tmp_path / "f", "new")
    assert caught.value.path == tmp_path / "f"
    assert isinstance(caught.value.__cause__, OSError)
    assert (tmp_path / "f").read_text() == "old"


def test_other_errors_of_the_system_are_not_hidden(tmp_path, monkeypatch):
    def broken(source, target):
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(atomic.os, "replace", broken)
    with pytest.raises(PermissionError):
        write_text(tmp_path / "f", "new")
    assert names_in(tmp_path) == []


def test_a_reader_never_sees_a_half(tmp_path):
    path, stop, seen = tmp_path / "f", threading.Event(), set()
    write_text(path, "a" * 100_000)

    def read():
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for letter in "bcdefgh":
        write_text(path, letter * 100_000)
    stop.set()
    reader.join()
    assert {(text[0], len(text), len(set(text))) for text in seen} <= {(letter, 100_000, 1) for letter in "abcdefgh"}


def test_a_long_name_is_no_trouble(tmp_path):
    write_text(tmp_path / ("n" * 250), "x")
    assert names_in(tmp_path) == ["n" * 250]


def test_only_what_is_for_others_can_be_read_by_others(tmp_path):
    (tmp_path / "other").touch()
    write_text(tmp_path / "said", "text")
    assert (tmp_path / "said").stat().st_mode & 0o777 == 0o600
    write_text(tmp_path / "new", "text", private=False)
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode
    (tmp_path / "new").chmod(0o600)
    write_text(tmp_path / "new", "more", private=False)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600, "what somebody closed stays closed"
