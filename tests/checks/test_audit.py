"""The audit of locked packages: what it finds, what it ignores, and when it says that it has not looked."""

import os
import re
import runpy
import subprocess
import sys
from datetime import date
from typing import Any, Final

import pytest

from checks.repository import ROOT

SCRIPT: Final = ROOT / ".ci" / "audit.py"
TODAY: Final = date(2026, 11, 25)
REPORT: Final[dict[str, Any]] = {
    "dependencies": [
        {"name": "good", "version": "1.0", "vulns": []},
        {"name": "bad", "version": "2.0", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.1"]}]},
        {"name": "own", "skip_reason": "not found"},
    ]
}


def faults(*ignored: dict[str, Any]) -> list[str]:
    found: list[str] = runpy.run_path(str(SCRIPT))["faults_of"](REPORT, {"ignored": list(ignored)}, TODAY)
    return found


def ignoring(name: str, **changes: Any) -> dict[str, Any]:
    return {"id": name, "reason": "nobody calls it", "until": TODAY} | changes


def test_a_finding_is_told() -> None:
    assert faults() == ["bad 2.0: PYSEC-1 (CVE-1), fixed in 2.1"]


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_it_can_be_ignored_by_any_of_its_names(name: str) -> None:
    assert faults(ignoring(name)) == []


@pytest.mark.parametrize("changes", [{"until": date(2026, 11, 24)}, {"reason": ""}])
def test_but_only_with_a_reason_and_for_a_while(changes: dict[str, Any]) -> None:
    first, second = faults(ignoring("CVE-1", **changes))
    assert "CVE-1: no reason, or it has to be looked at again" in first
    assert second.startswith("bad 2.0: ")


def test_what_is_no_longer_found_is_not_to_be_ignored() -> None:
    assert any("CVE-2 is not found any more" in fault for fault in faults(ignoring("CVE-1"), ignoring("CVE-2")))


def audit(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Where no service can be reached."""
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:1" for scheme in ("http", "https")}
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=kept | nowhere | environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_that_nothing_was_audited_is_told_loudly_and_no_failure() -> None:
    process = audit(RANKSERVE_AUDIT="")
    assert process.returncode == 0, process.stderr
    assert process.stdout == ""
    assert "\nNOT AUDITED: no package of requirements.lock was looked up" in process.stderr
    assert re.search(r"^pypi: gives no answer: .", process.stderr, re.MULTILINE)
    assert re.search(r"^osv: gives no answer: .", process.stderr, re.MULTILINE)


def test_but_it_is_one_where_an_audit_is_required() -> None:
    process = audit(RANKSERVE_AUDIT="required")
    assert process.returncode == 1
    assert "NOT AUDITED" in process.stderr


def answering(*reports: dict[str, Any] | None) -> dict[str, Any]:
    """The script, with services that answer this, one call after the other."""
    answers = iter(reports)
    script = runpy.run_path(str(SCRIPT))
    main = script["main"]

    def run_pip_audit(*_: object) -> tuple[dict[str, Any] | None, str]:
        report = next(answers)
        return report, "" if report is not None else "no way out"

    main.__globals__["run_pip_audit"] = run_pip_audit
    return script


CLEAN: Final[dict[str, Any]] = {"dependencies": REPORT["dependencies"][:1]}


@pytest.mark.parametrize(
    ("reports", "code", "told"),
    [
        ((REPORT, CLEAN), 0, "1 packages audited with pypi, 0 to look at"),
        ((REPORT, REPORT), 1, "2 packages audited with pypi, 1 to look at"),
        ((None, REPORT, CLEAN), 0, "1 packages audited with osv, 0 to look at"),
        ((CLEAN, REPORT, REPORT), 1, "2 packages audited with osv, 1 to look at"),  # the first one is a mirror
        ((CLEAN, CLEAN), 0, "NOT AUDITED"),
        ((REPORT, None), 1, "pip-audit failed: no way out"),
    ],
)
def test_which_service_is_believed(
    reports: tuple[dict[str, Any] | None, ...], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service that finds nothing in what is known to be vulnerable says nothing of the rest."""
    assert answering(*reports)["main"](SCRIPT) == code
    assert told in "".join(capsys.readouterr())
