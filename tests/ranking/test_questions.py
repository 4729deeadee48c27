"""What a query asks for, and the dates it names."""

from datetime import UTC, datetime

import numpy as np
import pytest

from workbench.ranking.questions import Asked, asked_for, nearness


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("When did she move?", {"when"}),
        ("In which month did she move?", {"when"}),
        ("How many cats has she?", {"how_many"}),
        ("How long has she lived here?", {"how_long"}),
        ("Where does she live?", {"where"}),
        ("Which city does she live in?", {"where", "what"}),
        ("Who is her friend?", {"who"}),
        ("What does she read?", {"what"}),
        ("Would she like it?", set()),
        ("", set()),
    ],
)
def test_kinds_of_questions(query, kinds):
    asked = asked_for(query)
    assert {name for name in Asked.__slots__ if getattr(asked, name)} == kinds


def at(*dates):
    return np.array([datetime(*date, tzinfo=UTC).timestamp() for date in dates])


@pytest.mark.parametrize(
    "query",
    [
        "What did she do on 3 June, 2023?",
        "What did she do on June 3, 2023?",
        "What did she do on June 3rd?",
        "What did she do on the 3rd of june 2023?",
    ],
)
def test_a_day_however_it_is_written(query):
    near = nearness(query, at((2023, 5, 1), (2023, 6, 3, 12), (2023, 6, 9), (2023, 9, 1)))
    assert near[1] == 1
    assert 0.3 < near[2] < 1
    assert max(near[0], near[3]) < 0.1


def test_a_month_without_a_year_is_any_of_the_session():
    near = nearness("What happened in August?", at((2022, 8, 5), (2023, 1, 5), (2023, 8, 20)))
    assert near[0] == near[2] == 1
    assert near[1] < 0.01


@pytest.mark.parametrize(
    ("query", "month"),
    [("What did he do in May?", True), ("on 5 May", True), ("May 2023 plans", True), ("What may he do?", False)],
)
def test_may_is_a_month_where_it_stands_as_one(query, month):
    assert bool(nearness(query, at((2023, 5, 10))).any()) == month


def test_no_date_an_impossible_date_and_impossible_times():
    assert not nearness("What did she do?", at((2023, 6, 3))).any()
    assert not nearness("on 31 June 2023", at((2023, 6, 30))).any()
    assert np.isfinite(nearness("on 3 June", np.array([-1e18, 0.0, 1e18]))).all()
    assert nearness("on 3 June", np.array([])).shape == (0,)
