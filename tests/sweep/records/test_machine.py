import pytest

from workbench.sweep.records.machine import MACHINE_COLUMNS, machine_columns

ENVIRONMENT = {
    "load_1min": 1.5,
    "cpu_mhz": 2400.0,
    "cpu_temperature_c": 50.0,
    "gpu_readings": [
        {"temperature_c": 40.0, "sm_clock_mhz": 210.0, "power_w": 20.0},
        {"temperature_c": None, "sm_clock_mhz": 300.0, "power_w": None},
    ],
}


def test_what_was_read_at_the_end_stands_where_nothing_was_sampled():
    assert machine_columns(ENVIRONMENT, {}) == {
        "load_1min": 1.5,
        "cpu_mhz": 2400.0,
        "cpu_temperature_c": 50.0,
        "gpu_temperature_c": 40.0,
        "gpu_sm_clock_mhz": 300.0,
        "gpu_power_watts": 20.0,
    }


def test_what_the_monitor_saw_at_work_comes_first():
    series = {
        "cpu_temperature_c": [(0.0, 60.0), (1.0, None), (2.0, 70.0)],
        "gpu0_power_w": [(0.0, 100.0), (1.0, 300.0)],
        "gpu1_power_w": [(0.0, 50.0)],
        "gpu10_sm_clock_mhz": [(0.0, 1980.0)],
        "gpu0_temperature_c": [(0.0, None)],
    }
    found = machine_columns(ENVIRONMENT, series)
    assert found["cpu_temperature_c"] == 65.0
    assert found["gpu_power_watts"] == 200.0
    assert found["gpu_sm_clock_mhz"] == 1980.0
    assert found["gpu_temperature_c"] == 40.0


@pytest.mark.parametrize("environment", [{}, {"gpu_readings": None}, {"gpu_readings": []}])
def test_a_machine_that_tells_nothing_has_gaps(environment):
    assert machine_columns(environment, {}) == dict.fromkeys(MACHINE_COLUMNS)


def test_the_frame_has_them(results):
    results.run(results.cell(a=1), speed=1.0, series={"gpu0_power_w": [[0.0, 70.0]]})
    frame = results.records().frame()
    assert frame["gpu_power_watts"].tolist() == [70.0]
    assert frame["load_1min"].tolist() == [0.5]
    assert frame["cpu_mhz"].isna().all()
    assert frame["cpu_mhz"].dtype == float
