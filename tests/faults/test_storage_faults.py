"""Real processes, real signals, real limits: two owners, dead owners, full disks, hostile names."""

import json
import os
import signal
import subprocess
import sys

import pytest

from workbench.errors import StorageFull, StoreInUse
from workbench.storage import FolderLock, atomic, read_json, safe_name, write_json, write_text

HOLD = """
import sys
from workbench.storage import FolderLock
FolderLock(sys.argv[1]).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path):
    """Another process that holds tmp_path."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


# -- row 12: two processes on one folder ------------------------------------------------------------------------------


def test_the_second_process_is_told_who_has_the_folder(tmp_path, owner):
    with pytest.raises(StoreInUse, match=f"process {owner.pid}") as caught:
        FolderLock(tmp_path).acquire()
    assert caught.value.pid == owner.pid


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_dead_owners_lock_is_taken_over(tmp_path, owner, blow):
    owner.send_signal(blow)
    assert owner.wait() == -blow
    with FolderLock(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_an_owner_that_ends_well_leaves_the_folder_free(tmp_path, owner):
    owner.communicate("")
    with FolderLock(tmp_path):
        pass


def test_a_program_started_by_the_owner_does_not_hold_the_folder(tmp_path):
    """Neither while it starts nor afterwards: a kernel or worker that outlives its owner blocks nobody."""
    lock = FolderLock(tmp_path)
    lock.acquire()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        lock.release()
        with FolderLock(tmp_path):
            pass
    finally:
        child.communicate(b"\n")


FORK = """
import os, sys
from workbench.errors import StoreInUse
from workbench.storage import FolderLock
with FolderLock(sys.argv[1]) as lock:
    pid = os.fork()
    if pid == 0:
        lock.release()
        os._exit(0)
    os.waitpid(pid, 0)
    try:
        FolderLock(sys.argv[1]).acquire()
    except StoreInUse:
        print("still mine")
"""


def test_a_forked_child_cannot_give_its_parents_folder_away(tmp_path):
    done = subprocess.run([sys.executable, "-c", FORK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "still mine\n"


# -- row 13: disk full ------------------------------------------------------------------------------------------------

FILL = """
import resource, sys
from workbench.errors import StorageFull
from workbench.storage import write_json, write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write, value in ((write_text, "x" * 10_000), (write_json, list(range(10_000)))):
    try:
        write(sys.argv[1], value)
    except StorageFull as error:
        print(error)
"""


def test_a_file_beyond_the_limit_leaves_the_old_one_intact(tmp_path):
    path = tmp_path / "store.json"
    write_json(path, {"old": True})
    done = subprocess.run([sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.count("No room to write") == 2
    assert done.stdout.count(str(path)) == 2
    assert read_json(path) == {"old": True}
    assert [found.name for found in tmp_path.iterdir()] == ["store.json"], "no temporary file is left behind"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_a_full_device_leaves_the_old_file_intact(tmp_path, monkeypatch):
    path = tmp_path / "store"
    write_text(path, "old")

    def on_the_full_device(**options):
        (tmp_path / "x.tmp").symlink_to("/dev/full")
        return os.open("/dev/full", os.O_WRONLY), str(tmp_path / "x.tmp")

    monkeypatch.setattr(atomic.tempfile, "mkstemp", on_the_full_device)
    with pytest.raises(StorageFull) as caught:
        write_text(path, "new " * 100_000)
    assert "free some space" in str(caught.value)
    assert path.read_text() == "old"
    assert not (tmp_path / "x.tmp").exists()


def test_after_the_disk_has_room_again_writing_goes_on(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(StorageFull):
            write_text(tmp_path / "f", "x")
    write_text(tmp_path / "f", "x")
    assert (tmp_path / "f").read_text() == "x"


KILLED = """
import os, signal, sys
from workbench.storage import replace_file
with replace_file(sys.argv[1]) as file:
    file.write(b"half of the new")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_killed_half_way_leaves_the_old_file_intact(tmp_path):
    write_text(tmp_path / "f", "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "f")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "f").read_text() == "old"
    write_text(tmp_path / "f", "newer")
    assert (tmp_path / "f").read_text() == "newer"


# -- row 17: names ----------------------------------------------------------------------------------------------------


def test_hostile_names_stay_in_their_folder_and_apart(tmp_path):
    names = ["../escape", "nul\0", "CON", "n" * 300, "\u202ertl", "caf\u00e9", "cafe\u0301", "/etc/passwd", "..", ""]
    store = tmp_path / "store"
    for name in names:
        write_json(store / f"{safe_name(name)}.json", {"name": name})
    assert sorted(found.name for found in tmp_path.iterdir()) == ["store"]
    kept = [json.loads(file.read_text())["name"] for file in store.iterdir()]
    assert sorted(kept) == sorted(names)
