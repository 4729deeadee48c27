import json
import math

import numpy as np
import pytest

import workbench
from workbench.errors import UsageError
from workbench.sweep.records.recording import load_record, record


@pytest.fixture
def target(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    monkeypatch.setenv("WORKBENCH_RECORD", str(path))
    return path


@pytest.fixture
def alone(monkeypatch):
    monkeypatch.delenv("WORKBENCH_RECORD", raising=False)


def test_outside_a_sweep_the_record_is_only_returned(alone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = record({"a_ms": 1}, b_tps=2.5, info={"x": "y"})
    assert made.metrics == {"a_ms": 1, "b_tps": 2.5}
    assert made.info == {"x": "y"}
    assert list(tmp_path.iterdir()) == []


def test_it_is_the_packages_record():
    assert workbench.record is record


def test_inside_a_sweep_it_is_written_and_read_back_unchanged(target):
    made = record(speed_tps=3.5, info={"settings": {"n_ctx": 512}}, series={"rss_bytes": [(0.0, 1), (0.5, None)]})
    assert load_record(target) == made
    assert made.series["rss_bytes"] == [(0.0, 1), (0.5, None)]


def test_several_calls_add_up(target):
    record(a=1)
    both = record(b=2, info={"k": 1})
    assert both.metrics == {"a": 1, "b": 2}
    assert load_record(target).metrics == {"a": 1, "b": 2}
    assert record(a=1).metrics == {"a": 1, "b": 2}


def test_one_metric_has_one_value(target):
    record(a=1)
    with pytest.raises(UsageError, match=r"'a' was recorded as 1 before and now as 2"):
        record(a=2)
    assert load_record(target).metrics == {"a": 1}


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_could_not_be_read_is_a_gap_never_zero(target, value):
    assert record(a=value).metrics == {"a": None}
    assert json.loads(target.read_text())["metrics"] == {"a": None}


@pytest.mark.parametrize("value", [np.float32(1.5), np.int64(3), 7])
def test_numpy_numbers_are_numbers(target, value):
    assert record(a=value).metrics["a"] == value
    assert load_record(target).metrics["a"] == value


@pytest.mark.parametrize("value", ["12", True, [1], {"x": 1}, 1j])
def test_what_is_no_number_is_refused(target, value):
    with pytest.raises(UsageError, match="not a number"):
        record(a=value)
    assert not target.exists()


def test_a_sample_needs_its_time(alone):
    with pytest.raises(UsageError, match="without a time"):
        record(series={"s": [(None, 1.0)]})


def test_info_becomes_json(target, tmp_path):
    record(info={"path": tmp_path, "pair": (1, 2), "nan": math.nan, 3: {"deep": np.float32(0.5)}})
    info = load_record(target).info
    assert info == {"path": str(tmp_path), "pair": [1, 2], "nan": None, "3": {"deep": 0.5}}
