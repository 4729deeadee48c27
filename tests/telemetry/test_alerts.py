"""Alerts come when a threshold is passed, go to the log and to listeners, and do not repeat themselves."""

import logging

import pytest

from workbench.errors import InvalidSettings
from workbench.telemetry import Alerts, AlertSettings, Trace, subscribe


def turn(total_ms=100.0, *, background=0.0, **counts):
    trace = Trace("turn", session="Ann")
    trace.place("background", 0.0, background)
    for name, value in counts.items():
        trace.count(name, value)
    trace.end(total_ms=total_ms)
    return trace


@pytest.mark.parametrize(
    ("total_ms", "level"), [(4_999, None), (5_001, "warning"), (10_001, "critical"), (10_000, "warning")]
)
def test_a_slow_turn(total_ms, level):
    found = [alert.level for alert in Alerts().check(turn(total_ms))]
    assert found == ([level] if level else [])


def test_what_runs_in_the_background_is_not_waited_for():
    assert Alerts().check(turn(11_000, background=9_000)) == []


def test_a_slow_database():
    [alert] = Alerts().check(turn(db_ms=501))
    assert (alert.what, alert.value, alert.threshold) == ("database", 501, 500)
    assert "databases 0.5 s" in str(alert)
    assert Alerts().check(turn(db_ms=499)) == []


def test_the_hit_rate_is_that_of_the_last_turns():
    alerts = Alerts(AlertSettings(window=4, least_lookups=8))
    for _ in range(3):
        assert alerts.check(turn(cache_hits=0, cache_misses=2)) == [], "too few look-ups to tell"
    [alert] = alerts.check(turn(cache_hits=0, cache_misses=2))
    assert (alert.what, alert.value) == ("hit_rate", 0.0)
    assert alerts.check(turn(cache_hits=0, cache_misses=2)) == [], "said once"
    for _ in range(4):
        assert alerts.check(turn(cache_hits=2)) == []
    alerts.check(turn(cache_misses=2))
    [alert] = alerts.check(turn(cache_misses=2))
    assert alert.value == 0.5, "said again after it had recovered"


def test_of_turns_that_end_at_once_one_says_it():
    alerts = Alerts(AlertSettings(window=4, least_lookups=1))
    first, second = (alerts._missed(turn(cache_misses=1)) for _ in range(2))
    assert next(first)[1] == "hit_rate"
    assert list(second) == [], "while the first is being told"


def test_turns_without_a_look_up_do_not_count():
    alerts = Alerts(AlertSettings(window=1, least_lookups=1))
    assert alerts.check(turn()) == []


def test_none_turns_an_alert_off():
    quiet = AlertSettings(turn_warning_ms=None, turn_critical_ms=None, hit_rate=None, database_ms=None)
    assert Alerts(quiet).check(turn(99_999, db_ms=9_999, cache_misses=99)) == []


def test_they_reach_the_log_and_who_listens(caplog):
    heard = []
    with caplog.at_level(logging.WARNING, "workbench.alerts"), subscribe(Alerts(None, heard.append)):
        turn(12_000)
        request = Trace("request")
        request.end(total_ms=99_999)
    assert [alert.level for alert in heard] == ["critical"]
    assert heard[0].labels["session"] == "Ann"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "12.0 s" in caplog.text


@pytest.mark.parametrize(
    "wrong", [{"turn_warning_ms": 0}, {"database_ms": float("nan")}, {"hit_rate": 1.5}, {"window": 0}]
)
def test_thresholds_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidSettings):
        AlertSettings(**wrong)
