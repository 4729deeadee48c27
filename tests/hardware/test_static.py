"""The snapshot of a machine: everything static, plain JSON."""

import json

from workbench.hardware import snapshot


def test_a_snapshot_is_json_and_names_the_machine(no_gpu):
    found = json.loads(json.dumps(snapshot(), allow_nan=False))
    assert found["host"]
    assert found["os"]
    assert found["cpu"]["name"]
    assert found["cpu"]["usable"] >= 1
    assert found["ram_total_bytes"] > 2**20
    assert found["gpus"] == []
    assert found["driver"] is None


def test_gpus_and_their_driver_are_in_it(nvml):
    found = json.loads(json.dumps(snapshot(), allow_nan=False))
    assert [gpu["name"] for gpu in found["gpus"]] == ["NVIDIA Test 9000"] * 2
    assert found["driver"] == "580.1"


def test_two_snapshots_are_equal(no_gpu):
    assert snapshot() == snapshot()
