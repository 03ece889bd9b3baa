"""What `rankserve serve` would run with here: by its own options, variables and config file."""

from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from rankserve_client.cli.command_group import loaded
from rankserve_client.cli.commands import find_commands
from rankserve_client.cli.common_options import prepare
from rankserve_client.cli.doctor.findings import Finding

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_COMMAND = "serve"


class ServeSettings(NamedTuple):
    """The settings by name, the names of those that were given, and what is wrong with them or missing."""

    values: dict[str, Any]
    given: frozenset[str]
    finding: Finding


def serve_settings(arguments: list[str]) -> ServeSettings:
    """Reads them as the command would from these arguments."""
    point: EntryPoint | None = find_commands().get(_COMMAND)
    try:
        if point is None:
            raise ModuleNotFoundError(name="rankserve_server")
        context = prepare(loaded(point), (_COMMAND,)).make_context(_COMMAND, arguments)
    except ModuleNotFoundError as error:
        found = f"rankserve serve cannot run: {error.name} is not installed"
        return ServeSettings({}, frozenset(), Finding("settings", "skip", found, "pip install 'rankserve[server]'"))
    except (click.ClickException, OSError) as error:
        found = error.format_message() if isinstance(error, click.ClickException) else str(error)
        return ServeSettings({}, frozenset(), Finding("settings", "fail", found, "rankserve serve --print-config"))
    given = frozenset(
        name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    )
    return ServeSettings(context.params, given, Finding("settings", "ok", _described(given)))


def _described(given: frozenset[str]) -> str:
    if not given:
        return "all of rankserve serve have their defaults"
    return f"given for rankserve serve: {', '.join(sorted(name.replace('_', '-') for name in given))}"
