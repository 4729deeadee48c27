"""Limits of containers, version 1 and 2, from folders laid out as the kernel does."""

import pytest

from workbench.hardware.cgroup import Limits, limits, oom_kills


@pytest.fixture
def tree(tmp_path):
    """write(path, text) below a pretended /sys/fs/cgroup, and limits_of(membership)."""

    class Tree:
        root = tmp_path / "cgroup"

        def write(self, path, text):
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

        def limits_of(self, membership):
            (tmp_path / "self").write_text(membership)
            return limits(self.root, tmp_path / "self")

    return Tree()


def test_version_2(tree):
    tree.write("job/cpu.max", "150000 100000")
    tree.write("job/memory.max", 4 * 2**30)
    tree.write("job/memory.current", 3 * 2**30)
    tree.write("job/memory.stat", f"anon 1\ninactive_file {2**30}")
    assert tree.limits_of("0::/job\n") == Limits(1.5, 4 * 2**30, 2 * 2**30)


def test_version_1(tree):
    tree.write("cpu,cpuacct/job/cpu.cfs_quota_us", 50_000)
    tree.write("cpu,cpuacct/job/cpu.cfs_period_us", 100_000)
    tree.write("memory/job/memory.limit_in_bytes", 1000)
    tree.write("memory/job/memory.usage_in_bytes", 400)
    tree.write("memory/job/memory.stat", "inactive_file 10\ntotal_inactive_file 30")
    found = tree.limits_of("2:cpu,cpuacct:/job\n1:memory:/job\n0::/\n")
    assert found.cpus == 0.5
    assert found.memory_bytes == 1000
    assert found.memory_available_bytes == 610


def test_the_tightest_ancestor_counts(tree):
    for path, limit, used in (("", 900, 500), ("/a", 800, 100), ("/a/b", 1000, 50)):
        tree.write(f"{path.lstrip('/')}/memory.max".lstrip("/"), limit)
        tree.write(f"{path.lstrip('/')}/memory.current".lstrip("/"), used)
    tree.write("a/cpu.max", "max 100000")
    tree.write("a/b/cpu.max", "200000 100000")
    found = tree.limits_of("0::/a/b\n")
    assert found == Limits(2.0, 800, 400)


@pytest.mark.parametrize("limit", ["max", str(2**63 - 4096)])
def test_no_limit_is_none(tree, limit):
    tree.write("memory.max", limit)
    tree.write("memory.current", 1)
    tree.write("cpu.max", "max 100000")
    assert tree.limits_of("0::/\n") == Limits(None, None, None)


def test_more_used_than_allowed_leaves_nothing(tree):
    tree.write("memory.max", 100)
    tree.write("memory.current", 150)
    assert tree.limits_of("0::/\n").memory_available_bytes == 0


def test_a_machine_without_cgroups_has_no_limits(tmp_path):
    assert limits(tmp_path / "nothing", tmp_path / "nowhere") == Limits(None, None, None)


@pytest.mark.parametrize(
    ("file", "text", "membership"),
    [
        ("job/memory.events", "low 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0", "0::/job\n"),
        ("memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2", "4:memory:/job\n0::/\n"),
    ],
    ids=["version 2", "version 1"],
)
def test_kills_for_want_of_memory_are_counted(tree, tmp_path, file, text, membership):
    tree.write(file, text)
    (tmp_path / "self").write_text(membership)
    (tmp_path / "vmstat").write_text("nr_free_pages 1\noom_kill 9\n")
    assert oom_kills(tree.root, tmp_path / "self", tmp_path / "vmstat") == 2


def test_without_a_group_the_machine_counts_and_else_nobody(tree, tmp_path):
    (tmp_path / "vmstat").write_text("nr_free_pages 1\noom_kill 9\n")
    assert oom_kills(tree.root, tmp_path / "none", tmp_path / "vmstat") == 9
    assert oom_kills(tree.root, tmp_path / "none", tmp_path / "no vmstat") is None
