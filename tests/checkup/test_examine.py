"""The whole examination, on this very machine."""

import subprocess
import sys

from workbench.checkup import doctor, examine


def test_every_check_is_there_under_its_name():
    report = doctor()
    assert [check.name for check in report.checks] == [name for name, _ in examine.CHECKS]
    assert all(check.detail for check in report.checks)
    assert all(check.remedy for check in report.checks if check.status != "ok"), "whatever is wrong has a remedy"


def test_a_check_that_breaks_is_a_problem_and_spoils_no_other(monkeypatch):
    def broken():
        raise RuntimeError("cannot look")

    monkeypatch.setattr(examine, "CHECKS", (("Broken", broken), *examine.CHECKS[:1]))
    report = doctor()
    assert report["Broken"].status == "problem"
    assert "RuntimeError: cannot look" in report["Broken"].detail
    assert report["Python"].status == "ok"


def test_keys_in_the_environment_are_never_shown(monkeypatch):
    sentinel = "sk-sentinel-0123456789"
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "WORKBENCH_API_KEY", "WORKBENCH_MODEL"):
        monkeypatch.setenv(name, sentinel)
    report = doctor()
    assert sentinel not in str(report)
    assert sentinel not in report._repr_html_()


def test_nothing_is_printed():
    code = "import workbench; workbench.doctor()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
