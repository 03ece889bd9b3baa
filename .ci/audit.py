"""Looks for published vulnerabilities of the packages in a lock file: `python .ci/audit.py [LOCK]`.

A finding fails it unless .ci/audit-ignored.toml says, for a while, why it does not matter here:

    [[ignored]]
    id = "GHSA-xxxx-xxxx-xxxx"    # or any other name of it
    reason = "why nobody can use it against rankserve"
    until = 2027-01-31            # when to look again

Two services are asked: PyPI's own and, where that is of no use, OSV. Whether one is of use is tried with a release that
is known to be vulnerable: an index that is only a mirror has every package and no vulnerability.

Where neither is, nothing was audited. That is said on stderr as loudly as text can, and is no failure, so that the
checks pass on a machine without a way out. Set RANKSERVE_AUDIT=required where it has to be one: before a release.
"""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_LOCK = _HERE.parent / "requirements.lock"
_IGNORED = _HERE / "audit-ignored.toml"
_KNOWN_BAD = "urllib3==1.24.1"
_SERVICES = ("pypi", "osv")
_REQUIRED = "RANKSERVE_AUDIT"
_TIMEOUT_SECONDS = 300

Finding = dict[str, Any]


def main(lock: Path) -> int:
    """The exit code."""
    reasons = []
    for service in _SERVICES:
        reason = service_fault(service)
        if reason is None:
            return audit(service, lock)
        reasons.append(f"{service}: {reason}")
    return not_audited(lock, reasons)


def audit(service: str, lock: Path) -> int:
    """Asks a service that is of use; gives the exit code."""
    report, errors = run_pip_audit(service, lock)
    if report is None:
        print(f"pip-audit failed: {errors}", file=sys.stderr)
        return 1
    faults = faults_of(report, tomllib.loads(_IGNORED.read_text(encoding="utf-8")), datetime.now(UTC).date())
    for fault in faults:
        print(fault, file=sys.stderr)
    audited = [package for package in report["dependencies"] if "version" in package]
    for package in report["dependencies"]:
        if package not in audited:
            print(f"not audited: {package['name']}: {package.get('skip_reason')}")
    print(f"{len(audited)} packages audited with {service}, {len(faults)} to look at")
    return 1 if faults else 0


def not_audited(lock: Path, reasons: list[str]) -> int:
    """Says so; gives the exit code."""
    required = os.environ.get(_REQUIRED) == "required"
    line = "!" * 100
    told = [
        line,
        f"NOT AUDITED: no package of {lock.name} was looked up, so vulnerable ones would not have been found.",
        *reasons,
        f"This fails, as {_REQUIRED}=required." if required else f"Let this fail with: {_REQUIRED}=required make audit",
        line,
    ]
    print("\n".join(told), file=sys.stderr)
    return 1 if required else 0


def service_fault(service: str) -> str | None:
    """Why a service of vulnerabilities is of no use now; None where it is."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "requirements.txt")
        file.write_text(f"{_KNOWN_BAD}\n", encoding="utf-8")
        report, errors = run_pip_audit(service, file)
    if report is None:
        return f"gives no answer: {errors}"
    if not findings_of(report):
        return f"does not know the vulnerabilities of {_KNOWN_BAD}"
    return None


def run_pip_audit(service: str, requirements: Path) -> tuple[dict[str, Any] | None, str]:
    """The report, or None and the last thing that pip-audit has said."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--vulnerability-service", service),
        *("--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off"),
    ]
    try:
        process = subprocess.run(  # noqa: S603  # no shell, and nothing of it comes from outside
            command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
        return json.loads(process.stdout), ""
    except subprocess.TimeoutExpired:
        return None, f"no end after {_TIMEOUT_SECONDS} seconds"
    except ValueError:
        said = process.stderr.strip().splitlines()
        return None, said[-1] if said else f"exit code {process.returncode}"


def findings_of(report: dict[str, Any]) -> list[Finding]:
    """Every vulnerability, with the package and version that it is in."""
    return [
        {**found, "package": f"{package['name']} {package['version']}"}
        for package in report["dependencies"]
        for found in package.get("vulns", ())
    ]


def faults_of(report: dict[str, Any], ignored: dict[str, Any], today: date) -> list[str]:
    """One line for each finding that is not ignored, and for each word to ignore one that is no longer of use."""
    findings = findings_of(report)
    entries = ignored.get("ignored", [])
    faults = []
    for entry in entries:
        if not entry.get("reason") or entry["until"] < today:
            faults.append(f"{_IGNORED.name}: {entry['id']}: no reason, or it has to be looked at again")
        elif not any(entry["id"] in _names(found) for found in findings):
            faults.append(f"{_IGNORED.name}: {entry['id']} is not found any more: take it out")
    good = {entry["id"] for entry in entries if entry.get("reason") and entry["until"] >= today}
    for found in findings:
        if not good & _names(found):
            fixed = ", ".join(found["fix_versions"]) or "no release"
            faults.append(f"{found['package']}: {found['id']} ({', '.join(found['aliases'])}), fixed in {fixed}")
    return faults


def _names(found: Finding) -> set[str]:
    return {found["id"], *found["aliases"]}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else _LOCK))
