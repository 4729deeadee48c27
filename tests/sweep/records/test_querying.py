import pytest

from workbench.errors import UsageError


@pytest.fixture
def filled(results):
    for block, level in enumerate((1, 2, 1, 2)):
        series = {"itl_ms": [[0.1, 5.0], [0.2, None]]}
        results.run(results.cell(block=block, a=level), speed=float(level), a=0.5, series=series, info={"text": "x"})
    results.run(results.cell(block=9, a=3), status="failed", error="boom", reason="error")
    return results


@pytest.fixture(params=["from memory", "from parquet"])
def records(filled, request):
    if request.param == "from parquet":
        filled.records().compact()
    return filled.records()


def test_runs_attempts_and_samples_can_be_asked(records):
    found = records.query("SELECT a, count(*) AS n, median(speed) AS speed FROM runs GROUP BY a ORDER BY a")
    assert found.to_dict("list") == {"a": [1, 2], "n": [2, 2], "speed": [1.0, 2.0]}
    assert records.query("SELECT reason FROM attempts WHERE status = 'failed'")["reason"].tolist() == ["error"]
    found = records.query("SELECT series, count(*) AS n, count(value) AS given FROM samples GROUP BY ALL")
    assert found.to_dict("list") == {"series": ["itl_ms"], "n": [8], "given": [4]}


def test_a_metric_that_is_called_like_a_parameter_has_its_own_column(records):
    assert records.query('SELECT DISTINCT "metric.a" AS v FROM runs')["v"].tolist() == [0.5]


def test_settings_and_environment_are_json(records):
    found = records.query("SELECT environment->>'$.git.commit' AS c, requested->>'$.model' AS m FROM runs LIMIT 1")
    assert (found["c"][0], found["m"][0]) == ("c0ffee", "tiny")


def test_times_are_utc_and_values_are_bound(records):
    found = records.query("SELECT finished_at - started_at AS took, started_at FROM runs WHERE a = ? LIMIT 1", [2])
    assert len(found) == 1
    assert str(found["started_at"].dtype.tz) == "UTC"
    assert len(records.query("SELECT * FROM runs WHERE a = $level", {"level": 1})) == 2


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT sped FROM runs", r"(?s)sped.*Columns of runs and attempts: cell.*speed.*Columns of samples: .*at_s"),
        ("SELECT * FROM rums", r"(?s)rums.*Columns of runs"),
        ("SELEC 1", r"(?s)syntax error.*Columns of runs"),
        ("SELECT 1; SELECT 2", "Give one SELECT"),
        ("", "Give one SELECT"),
        ("DROP VIEW runs", "Give one SELECT"),
        ("CREATE TABLE t AS SELECT 1", "Give one SELECT"),
        ("SET threads = 1", "Give one SELECT"),
        ("COPY runs TO 'stolen.csv'", "Give one SELECT"),
        ("INSTALL httpfs", "Give one SELECT"),
        ("ATTACH 'other.db'", "Give one SELECT"),
    ],
)
def test_what_is_not_a_query_of_these_says_what_there_is(records, sql, said):
    with pytest.raises(UsageError, match=said):
        records.query(sql)


def test_a_query_sees_no_file_and_no_variable(records, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    mine = records.frame()
    assert len(mine) == 4
    for source in (f"'{secret}'", f"read_csv('{secret}')", f"read_text('{secret}')", "glob('/etc/*')", "mine"):
        with pytest.raises(UsageError, match="Columns of runs"):
            records.query(f"SELECT * FROM {source}")
