"""requirements.lock is in step with pyproject.toml, and the same on every machine."""

import re
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from checks.repository import PYPROJECT, ROOT

LOCK: Final = (ROOT / "requirements.lock").read_text(encoding="utf-8")
EXTRAS: Final = ("server", "training", "dev")
_ENTRY: Final = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;]+)(?P<rest>.*\n(?:[ #].*\n)*)", re.MULTILINE
)


def entries(lock: str) -> dict[str, tuple[str, str]]:
    """The version of every package, and the lines that follow."""
    return {match["name"]: (match["version"], match["rest"]) for match in _ENTRY.finditer(lock)}


def direct_requirements() -> list[Requirement]:
    """What pyproject.toml asks for; an extra that another one includes counts with it."""
    project = PYPROJECT["project"]
    names, found = list(EXTRAS), [Requirement(line) for line in project["dependencies"]]
    while names:
        for line in project["optional-dependencies"][names.pop()]:
            requirement = Requirement(line)
            if requirement.name == project["name"]:
                names += requirement.extras
            else:
                found.append(requirement)
    return found


def out_of_step(lock: str, requirements: list[Requirement]) -> list[str]:
    locked = entries(lock)
    faults = []
    for requirement in requirements:
        version, _ = locked.get(canonicalize_name(requirement.name), ("", ""))
        if not version or not requirement.specifier.contains(version, prereleases=True):
            faults.append(f"{requirement}: locked is {version or 'nothing'}")
    asked = {canonicalize_name(requirement.name) for requirement in requirements}
    via = re.compile(r"rankserve \(pyproject\.toml\)")
    faults += [
        f"{name}: nobody asks for it" for name, (_, rest) in locked.items() if via.search(rest) and name not in asked
    ]
    return faults


def test_it_is_in_step() -> None:
    assert out_of_step(LOCK, direct_requirements()) == [], "run `make lock`"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("click>=99", "click>=99: locked is 8"),
        ("no-such-package", "no-such-package: locked is nothing"),
    ],
)
def test_a_requirement_that_is_not_locked_is_found(line: str, fault: str) -> None:
    (found,) = out_of_step(LOCK, [*direct_requirements(), Requirement(line)])
    assert found.startswith(fault)


def test_a_package_that_nobody_asks_for_any_more_is_found() -> None:
    without = [requirement for requirement in direct_requirements() if requirement.name != "msgspec"]
    assert out_of_step(LOCK, without) == ["msgspec: nobody asks for it"]


def test_every_package_has_hashes_and_one_version() -> None:
    names = [match["name"] for match in _ENTRY.finditer(LOCK)]
    assert len(names) == len(set(names)) > len(direct_requirements())
    assert not [name for name, (_, rest) in entries(LOCK).items() if "--hash=sha256:" not in rest]


def test_it_names_no_place() -> None:
    assert not re.findall(r"(?m)^\s*(?:--(?!hash)|-[a-z]|\.|/).*|\S*://\S*|.* @ .*", LOCK)
