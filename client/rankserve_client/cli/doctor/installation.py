"""Whether what is installed is what this release was tested with: Python, libraries and extras."""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from rankserve_client.cli.doctor.findings import Finding
from rankserve_client.version import __version__

_DISTRIBUTION = "rankserve"
# For those who work on rankserve itself.
_NOT_FOR_USERS = ("dev",)
_LITTLE_SPACE = 2**30


def installation() -> Iterator[Finding]:
    """Python, and the libraries of the client and of each extra."""
    yield Finding("rankserve", "ok", f"{__version__} in {Path(__file__).parents[2]}")
    yield _python()
    distribution = metadata.distribution(_DISTRIBUTION)
    requirements = [Requirement(text) for text in distribution.requires or ()]
    yield _libraries("client", [each for each in requirements if _is_needed(each, "")], needed=True)
    for extra in distribution.metadata.get_all("Provides-Extra") or ():
        if extra not in _NOT_FOR_USERS:
            of_extra = [each for each in requirements if _is_needed(each, extra) and not _is_needed(each, "")]
            yield _libraries(extra, of_extra, needed=False)


def machine() -> Iterator[Finding]:
    """The clock and the disk."""
    yield _clock()
    yield _disk()


def _python() -> Finding:
    wanted = SpecifierSet(metadata.metadata(_DISTRIBUTION)["Requires-Python"] or "")
    installed = ".".join(map(str, sys.version_info[:3]))
    if installed in wanted:
        return Finding("python", "ok", f"{installed} at {sys.executable}")
    return Finding("python", "fail", f"{installed}; {wanted} is needed", "make an environment with a newer Python")


def _is_needed(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _libraries(extra: str, requirements: list[Requirement], *, needed: bool) -> Finding:
    """Those of one extra together: all there, none there, or which of them is wrong."""
    check = extra if needed else f"extra {extra}"
    what = "rankserve" if needed else f"rankserve[{extra}]"
    advice = f"pip install --upgrade '{what}'"
    installed = {each.name: _installed(each.name) for each in requirements}
    missing = [name for name, version in installed.items() if version is None]
    if missing and not needed:
        return Finding(check, "skip", f"not installed: {', '.join(missing)}", f"if you need it: pip install '{what}'")
    wrong = [
        f"{each.name} {installed[each.name] or 'is missing'}, {each.specifier} is needed"
        for each in requirements
        if installed[each.name] is None or not each.specifier.contains(installed[each.name] or "", prereleases=True)
    ]
    if wrong:
        return Finding(check, "fail", "; ".join(wrong), advice)
    return Finding(check, "ok", ", ".join(f"{name} {version}" for name, version in sorted(installed.items())))


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _clock() -> Finding:
    """Certificates and tokens are of no use where the clock is wrong; at least it cannot be before the release."""
    now, installed = time.time(), Path(__file__).stat().st_mtime
    shown = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if now < installed:
        return Finding("clock", "fail", f"{shown}, before rankserve was installed", "set the clock: timedatectl")
    return Finding("clock", "ok", shown)


def _disk() -> Finding:
    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    found = f"{free / 2**30:,.1f} GiB free in {place}"
    if free < _LITTLE_SPACE:
        return Finding("temporary files", "warn", found, "free some space, or set TMPDIR")
    return Finding("temporary files", "ok", found)
