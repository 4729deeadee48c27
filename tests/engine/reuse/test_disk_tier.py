"""States on disk: found again after a restart, shared between processes, and never the reason a request fails."""

from __future__ import annotations

import errno
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from workbench.engine.reuse import disk_tier, state_file, state_folder
from workbench.engine.reuse.backlog import Backlog
from workbench.engine.reuse.disk_tier import DiskTier, default_folder
from workbench.engine.reuse.state_file import file_bytes
from workbench.settings import cache_dir

MODEL = "f" * 64
PROMPT = list(range(100, 150))
STATE = np.random.default_rng(0).integers(0, 256, 5000, np.uint8)
SIZE = file_bytes(MODEL, len(PROMPT), STATE.nbytes)


def opened(folder: Path, fingerprint: str = MODEL, budget: int = 10**6, **options) -> DiskTier:
    return DiskTier(folder, fingerprint, budget, **options)


def filled(folder: Path, *prompts, **options) -> DiskTier:
    with opened(folder, **options) as tier:
        for prompt in prompts or [PROMPT]:
            assert tier.put(prompt, STATE, wait=True)
            tier.flush()
    return tier


def read_back(tier: DiskTier, tokens) -> bytearray | None:
    _, entry = tier.longest(tokens)
    return None if entry is None else tier.read(entry)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.kv"))


def set_age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


# -- what it is for ----------------------------------------------------------------------------------------------------


def test_a_state_survives_a_restart(tmp_path: Path):
    filled(tmp_path)
    again = opened(tmp_path)
    length, entry = again.longest([*PROMPT[:40], 1, 2])
    assert (length, entry.tokens, entry.size) == (40, tuple(PROMPT), STATE.nbytes)
    assert again.read(entry) == STATE.tobytes()
    assert again.longest([1, 2]) == (0, None)
    assert again.used_bytes == sum(path.stat().st_size for path in files(tmp_path)) <= SIZE


def test_nothing_is_there_at_first_and_nothing_is_made_by_looking(tmp_path: Path):
    tier = opened(tmp_path / "none")
    assert tier.longest(PROMPT) == (0, None)
    assert (len(tier), tier.used_bytes) == (0, 0)
    assert not (tmp_path / "none").exists()
    assert default_folder() == cache_dir() / "kv"


def test_only_the_owner_can_read_what_was_said(tmp_path: Path):
    filled(tmp_path / "kv")
    assert (tmp_path / "kv").stat().st_mode & 0o077 == 0
    assert files(tmp_path / "kv")[0].stat().st_mode & 0o077 == 0


def test_the_index_is_built_without_reading_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    filled(tmp_path)
    monkeypatch.setattr(disk_tier, "read_state", None)
    assert opened(tmp_path).longest(PROMPT)[0] == len(PROMPT)


def test_the_state_is_referred_to_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    handed = []
    monkeypatch.setattr(disk_tier, "write_state", lambda path, fingerprint, packed, state: handed.append(state))
    filled(tmp_path)
    assert handed[0] is STATE


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_bytes(tmp_path: Path, kind):
    with opened(tmp_path) as tier:
        tier.put(PROMPT, kind(b"abc"))
        tier.flush()
        assert read_back(tier, PROMPT) == b"abc"


def test_a_longer_one_takes_the_place_of_its_prefixes(tmp_path: Path):
    tier = filled(tmp_path, PROMPT[:10], PROMPT[:20], [7, 7], PROMPT)
    assert len(files(tmp_path)) == len(tier) == 2
    assert read_back(opened(tmp_path), PROMPT[:10]) is not None


def test_what_is_covered_is_not_written_again_but_counts_as_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    filled(tmp_path)
    set_age(files(tmp_path)[0], 1000)
    monkeypatch.setattr(disk_tier, "write_state", None)
    with opened(tmp_path) as tier:
        assert tier.covers(PROMPT[:30])
        assert not tier.covers([*PROMPT, 1])
        assert tier.put(PROMPT[:30], STATE)
    assert time.time() - files(tmp_path)[0].stat().st_mtime < 100


def test_the_same_put_twice_before_it_is_written_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written = []
    real = disk_tier.write_state
    monkeypatch.setattr(disk_tier, "write_state", lambda *args: (time.sleep(0.1), written.append(1), real(*args)))
    with opened(tmp_path) as tier:
        for _ in range(3):
            assert tier.put(PROMPT, STATE)
        tier.flush()
    assert len(written) == 1


def test_states_that_cannot_be_cut_stand_for_themselves_only(tmp_path: Path):
    tier = filled(tmp_path, PROMPT[:20], PROMPT, divisible=False)
    assert len(files(tmp_path)) == 2
    assert tier.longest(PROMPT[:30])[0] == 20
    assert tier.longest(PROMPT[:10]) == (0, None)


# -- whose it is -------------------------------------------------------------------------------------------------------


def test_another_fingerprint_is_not_seen_and_left_alone(tmp_path: Path):
    filled(tmp_path)
    other = filled(tmp_path, PROMPT, fingerprint="e" * 64)
    assert len(files(tmp_path)) == 2
    assert len(other) == 1
    assert opened(tmp_path, "d" * 64).longest(PROMPT) == (0, None)


def test_another_version_is_not_seen_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    filled(tmp_path)
    for module in (state_file, disk_tier):
        monkeypatch.setattr(module, "VERSION", 2)
    assert opened(tmp_path).longest(PROMPT) == (0, None)
    assert len(files(tmp_path)) == 1


def test_a_file_under_a_foreign_name_is_found_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    filled(tmp_path)
    name = filled(tmp_path / "other", PROMPT, fingerprint="e" * 64)._prefix + "0" * 32 + ".kv"
    files(tmp_path)[0].rename(tmp_path / name)
    assert opened(tmp_path, "e" * 64).longest(PROMPT) == (0, None)
    assert not files(tmp_path)
    assert "another model or other settings" in caplog.text


# -- budget ------------------------------------------------------------------------------------------------------------


def test_the_least_recently_used_file_goes_whoever_wrote_it(tmp_path: Path):
    filled(tmp_path, [1, 1])
    filled(tmp_path, [2, 2], fingerprint="e" * 64)
    filled(tmp_path, [3, 3])
    one, three = (opened(tmp_path).longest([token])[1].name for token in (1, 3))
    for path in files(tmp_path):
        set_age(path, {one: 100, three: 50}.get(path.name, 75))
    small = file_bytes(MODEL, 2, STATE.nbytes)
    user = opened(tmp_path)
    assert read_back(user, [1, 1]) is not None, "used: now the youngest"
    filled(tmp_path, [4, 4], budget=3 * small)
    found = opened(tmp_path)
    assert [found.longest([token])[0] for token in (1, 3, 4)] == [1, 1, 1]
    assert opened(tmp_path, "e" * 64).longest([2])[0] == 0
    assert found.used_bytes <= 3 * small


def test_the_total_never_passes_the_budget(tmp_path: Path):
    budget = 3 * SIZE + 100
    with opened(tmp_path, budget=budget) as tier:
        for token in range(12):
            assert tier.put([token, *PROMPT[1:]], STATE)
            tier.flush()
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= budget
            assert len(tier) == len(files(tmp_path)) == min(token + 1, 3)


@pytest.mark.parametrize(("tokens", "state", "budget"), [(PROMPT, STATE, 5000), (PROMPT, STATE, 0), ([], STATE, 10**6)])
def test_what_can_never_fit_is_refused(tmp_path: Path, tokens, state, budget):
    with opened(tmp_path, budget=budget) as tier:
        assert not tier.put(tokens, state)
        assert not tier.put(PROMPT, b"")
    assert not files(tmp_path)


def test_a_full_queue_refuses_or_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gate = threading.Event()
    real = disk_tier.write_state
    monkeypatch.setattr(disk_tier, "write_state", lambda *args: (gate.wait(10), real(*args)))
    with opened(tmp_path, queue_bytes=2 * STATE.nbytes) as tier:
        assert [tier.put([token], STATE) for token in range(4)] == [True, True, False, False]
        threading.Timer(0.1, gate.set).start()
        assert tier.put([5], STATE, wait=True)
    assert len(files(tmp_path)) == 3
    assert not tier.put([6], STATE), "closed"
    tier.close()


def test_one_failing_item_does_not_end_the_backlog(caplog: pytest.LogCaptureFixture):
    done = []
    backlog: Backlog[int] = Backlog(lambda item: done.append(1 // item), 10, "test")
    for item in (0, 1):
        assert backlog.add(item, 1, wait=True)
    backlog.flush()
    backlog.close()
    assert done == [1]
    assert "ZeroDivisionError" in caplog.text


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False], ids=["indexed before", "after a restart"])
def test_one_flipped_bit_anywhere_is_a_miss(tmp_path: Path, known: bool, caplog: pytest.LogCaptureFixture):
    filled(tmp_path)
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    front = len(whole) - STATE.nbytes
    places = [*range(0, front, 3), *range(front, len(whole), 997), len(whole) - 1]
    for place in places:
        path.write_bytes(whole)
        tier = opened(tmp_path)
        if known:
            assert len(tier) == 1
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        assert read_back(tier, PROMPT) is None, place
        assert not path.exists(), "a damaged file is removed"
        assert len(tier) == 0
    assert caplog.text.count("computed again") == len(places)


def test_a_file_of_any_other_length_is_a_miss(tmp_path: Path):
    filled(tmp_path)
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    for length in [*range(0, 260, 7), *range(260, len(whole), 401), len(whole) - 1]:
        path.write_bytes(whole)
        tier = opened(tmp_path)
        assert len(tier) == 1
        os.truncate(path, length)
        assert read_back(tier, PROMPT) is None
        path.write_bytes(whole[:length])
        assert opened(tmp_path).longest(PROMPT) == (0, None)
        assert not path.exists()
    path.write_bytes(whole + b"\0")
    assert opened(tmp_path).longest(PROMPT) == (0, None)


def test_a_header_that_promises_the_moon_allocates_nothing(tmp_path: Path):
    filled(tmp_path)
    path = files(tmp_path)[0]
    header = state_file.StateHeader(fingerprint=MODEL, n_tokens=1, state_bytes=2**60, tokens_crc=0, state_crc=0)
    encoded = state_file._encode(header)
    front = state_file._PREAMBLE.pack(state_file.MAGIC, 1, len(encoded), state_file.zlib.crc32(encoded))
    for content in (encoded, b"[1]", b"{}", b"\xff"):
        front = state_file._PREAMBLE.pack(state_file.MAGIC, 1, len(content), state_file.zlib.crc32(content))
        path.write_bytes(front + content)
        assert opened(tmp_path).longest(PROMPT) == (0, None)


def test_a_file_of_other_tokens_is_a_miss(tmp_path: Path):
    tier = filled(tmp_path, [1, 2], [3, 4])
    _, one = tier.longest([1, 2])
    _, other = tier.longest([3, 4])
    os.replace(tmp_path / other.name, tmp_path / one.name)
    assert tier.read(one) is None


def test_a_damaged_file_is_replaced_by_the_next_put(tmp_path: Path):
    filled(tmp_path)
    files(tmp_path)[0].write_bytes(b"rubbish")
    assert read_back(filled(tmp_path), PROMPT) == STATE.tobytes()


def test_what_cannot_be_read_is_a_miss_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    tier = filled(tmp_path, [1], [2])

    def broken(*args):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(disk_tier, "read_state", broken)
    assert read_back(tier, [1]) is read_back(tier, [2]) is None
    assert len(files(tmp_path)) == 2
    assert caplog.text.count("not kept on disk for now") == 1


# -- other processes ---------------------------------------------------------------------------------------------------


def test_what_another_writes_is_found_and_what_it_removes_is_a_miss(tmp_path: Path):
    reader = opened(tmp_path)
    assert reader.longest(PROMPT) == (0, None)
    filled(tmp_path)
    length, entry = reader.longest(PROMPT)
    assert length == len(PROMPT)
    files(tmp_path)[0].unlink()
    assert reader.read(entry) is None
    assert reader.longest(PROMPT) == (0, None)
    filled(tmp_path)
    _, entry = reader.longest(PROMPT)
    for path in files(tmp_path):
        path.unlink()
    assert reader.longest(PROMPT) == (0, None)


def test_a_change_in_the_same_tick_of_the_clock_is_noticed(tmp_path: Path):
    tier = opened(tmp_path)
    tick = time.time_ns()
    os.utime(tmp_path, ns=(tick, tick))
    assert tier.longest(PROMPT) == (0, None)
    filled(tmp_path)
    os.utime(tmp_path, ns=(tick, tick))
    assert tier.longest(PROMPT)[0] == len(PROMPT)


def test_the_budget_holds_when_another_wrote_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = disk_tier.write_state

    def write_and_be_joined(*args):
        (tmp_path / "another.kv").write_bytes(bytes(SIZE))
        set_age(tmp_path / "another.kv", 10)
        real(*args)

    monkeypatch.setattr(disk_tier, "write_state", write_and_be_joined)
    filled(tmp_path, budget=SIZE + 100)
    assert "another.kv" not in {path.name for path in files(tmp_path)}
    assert len(files(tmp_path)) == 1


WRITER = """
import sys
import numpy as np
from workbench.engine.reuse.disk_tier import DiskTier
folder, seed, count, size = sys.argv[1], *map(int, sys.argv[2:])
random = np.random.default_rng(seed)
with DiskTier(folder, "f" * 64, 1_200_000) as tier:
    print("up", flush=True)
    for _ in range(count):
        tokens = [int(random.integers(4)), *range(int(random.integers(1, 60)))]
        tier.put(tokens, bytes([sum(tokens) % 256]) * size, wait=True)
"""


def start_writer(folder: Path, seed: int, count: int, size: int) -> subprocess.Popen:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), *map(str, (seed, count, size))], stdout=subprocess.PIPE
    )
    assert child.stdout.readline() == b"up\n"
    return child


def check_all(folder: Path) -> int:
    """Every file is whole and holds what belongs to its tokens."""
    tier = opened(folder)
    assert len(tier) == len(files(folder))
    for entry in list(tier._by_name.values()):
        assert tier.read(entry) == bytes([sum(entry.tokens) % 256]) * entry.size
    return len(tier)


def test_two_processes_write_while_a_third_reads(tmp_path: Path):
    children = [start_writer(tmp_path, seed, 60, 100_000) for seed in (1, 2)]
    reader = opened(tmp_path)
    hits = 0
    while any(child.poll() is None for child in children):
        for first in range(4):
            _, entry = reader.longest([first, *range(60)])
            state = entry and reader.read(entry)
            if state:
                hits += 1
                assert state == bytes([sum(entry.tokens) % 256]) * entry.size
    assert [child.wait() for child in children] == [0, 0]
    for child in children:
        child.stdout.close()
    assert hits
    assert check_all(tmp_path)
    assert not list(tmp_path.glob(".*.tmp"))
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 1_200_000


def test_kill_9_in_mid_write_leaves_whole_files_and_leftovers_that_go(tmp_path: Path):
    leftovers = 0
    for attempt in range(40):
        if leftovers >= 3:
            break
        child = start_writer(tmp_path, attempt, 10_000, 1_000_000)
        at = len(list(tmp_path.glob(".*.tmp")))
        while child.poll() is None and len(list(tmp_path.glob(".*.tmp"))) == at:
            pass  # a write lasts a millisecond on a fast disk: kill at sight of one, not after a pause
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        check_all(tmp_path)
        leftovers += len(list(tmp_path.glob(".*.tmp")))
    for path in tmp_path.glob(".*.tmp"):
        set_age(path, state_folder.STALE_S + 1)
    (tmp_path / ".fresh.tmp").write_bytes(b"somebody writes this at the moment")
    filled(tmp_path)
    assert [path.name for path in tmp_path.glob(".*.tmp")] == [".fresh.tmp"]
    assert leftovers, "no kill hit a write: the test shows nothing"


# -- no room -----------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_said_once_and_the_tier_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    filled(tmp_path, [1])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path) as tier:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            for token in (2, 3):
                assert tier.put([token], STATE)
                tier.flush()
            assert tier.longest([2]) == (0, None)
            assert read_back(tier, [1]) == STATE.tobytes(), "what is there can be read"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert caplog.text.count("not kept on disk for now: No room") == 1
        assert tier.put([4], STATE)
        tier.flush()
        assert read_back(tier, [4]) == STATE.tobytes()
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").write_text("in the way")
    with opened(tmp_path / "file" / "kv") as tier:
        for token in (1, 2):
            tier.put([token], STATE)
            tier.flush()
        assert tier.longest([1]) == (0, None)
    assert caplog.text.count("not kept on disk for now") == 1
