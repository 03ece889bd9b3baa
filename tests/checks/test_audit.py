"""The audit of locked packages: what it finds, what it ignores, and when it says that it has not looked."""

import os
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


def test_a_service_that_cannot_be_reached_is_told_and_no_failure() -> None:
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:1" for scheme in ("http", "https")}
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | nowhere
    process = subprocess.run(
        [sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("not audited: the service of vulnerabilities gives no answer: ")
