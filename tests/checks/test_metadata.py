import importlib.metadata
import re
import runpy

import click
import pytest

from checks.repository import COMMANDS, PYPROJECT, ROOT


def test_the_installed_commands_are_those_of_pyproject() -> None:
    installed = importlib.metadata.distribution("rankserve").entry_points.select(group="rankserve.commands")
    assert {entry.name: entry.value for entry in installed} == COMMANDS, "run `make setup`"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_resolves(name: str) -> None:
    (entry,) = importlib.metadata.entry_points(group="rankserve.commands", name=name)
    command = entry.load()
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.get_short_help_str(), "`rankserve --help` has nothing to say of it"


def test_the_installed_version_and_the_changelogs_are_the_sources() -> None:
    version = runpy.run_path(str(ROOT / PYPROJECT["tool"]["hatch"]["version"]["path"]))["__version__"]
    assert importlib.metadata.version("rankserve") == version, "run `make setup`"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(version)}\]", changelog, flags=re.MULTILINE)
