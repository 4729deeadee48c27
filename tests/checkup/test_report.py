"""A report for a terminal, a notebook and an exit status."""

import pytest

from workbench.checkup import Check, Report

FINE = Check("Fine", "ok", "all well")
POOR = Check("Poor", "warning", "could be better", "make it better")
BAD = Check("Bad", "problem", "will fail", "repair it")


@pytest.mark.parametrize(
    ("checks", "exit_code", "headline"),
    [
        ((FINE,), 0, "no problems and no warnings"),
        ((FINE, POOR), 0, "no problems and 1 warning"),
        ((BAD, POOR, POOR, BAD), 1, "2 problems and 2 warnings"),
    ],
)
def test_only_problems_fail(checks, exit_code, headline):
    report = Report(checks)
    assert report.exit_code == exit_code
    assert headline in str(report)
    assert headline in report._repr_html_()


def test_the_text_has_every_check_and_remedy():
    text = str(Report((FINE, POOR, BAD)))
    for check in (FINE, POOR, BAD):
        assert check.name in text
        assert check.detail in text
    assert "→ make it better" in text
    assert repr(Report((FINE,))) == str(Report((FINE,)))


def test_names_stand_in_one_column():
    lines = str(Report((FINE, Check("A long name", "warning", "found")))).splitlines()
    assert lines[2].index("all well") == lines[3].index("found")


def test_long_details_are_wrapped_and_commands_are_not():
    command = "do " + "something " * 30 + "long"
    lines = str(Report((Check("X", "problem", "word " * 60, command),))).splitlines()
    assert max(len(line) for line in lines if "→" not in line) <= 110
    assert any(line.endswith(command) for line in lines)


def test_markup_is_text_in_html():
    evil = "<script>alert(1)</script>"
    page = Report((Check(evil, "problem", evil, evil),))._repr_html_()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3


def test_checks_are_found_by_name():
    report = Report((FINE, BAD))
    assert report["Bad"] is BAD
    with pytest.raises(KeyError):
        report["Nothing"]
