"""The config file: TOML with a table for each command, whose keys are the command's options.

`[serve]` sets options of `rankserve serve`, `[models.promote]` those of `rankserve models promote`, and `[client]`
those that all commands have in common which call a server.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

import click

from rankserve_client.cli.commands import find_commands
from rankserve_client.cli.setting_names import ClientOption, key_of, settings_of
from rankserve_client.cli.suggestions import did_you_mean

CLIENT_TABLE: Final = "client"
_TABLES: Final = "rankserve.config_tables"
_FILE: Final = "rankserve.config_file"


def use(context: click.Context, path: tuple[str, ...], file: str | None) -> None:
    """Makes what a file says of a command the defaults of its options.

    Raises:
        click.ClickException: the file is not TOML, or has a table, a key or a value that cannot be; the message says
            which.
        OSError: it cannot be read.
    """
    origins: dict[str, str] = {}
    context.meta[_TABLES] = origins
    context.meta[_FILE] = file
    if file is None:
        return
    content = _read(file)
    _check_tables(file, content)
    defaults: dict[str, Any] = {}
    for table, options in _tables_of(context.command, path):
        if options:
            where = f"{file}, [{'.'.join(table)}]"
            values = _checked(context, _table(file, content, table), options, where)
            defaults |= values
            origins |= dict.fromkeys(values, where)
    context.default_map = defaults


def used(context: click.Context) -> str | None:
    """The file that the running command was given; None where it was given none."""
    file: str | None = context.meta.get(_FILE)
    return file


def origin_of(context: click.Context, option: click.Parameter) -> str:
    """Which file and table the value of an option came from."""
    origins: dict[str, str] = context.meta[_TABLES]
    return origins[option.name or ""]


def _checked(
    context: click.Context, values: dict[str, Any], options: dict[str, click.Option], where: str
) -> dict[str, Any]:
    """The values of a table by the names of the parameters that they are for."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict) and _is_subcommand(context, key):
            continue
        option = options.get(key)
        if option is None:
            raise click.ClickException(f"{where}: there is no setting {key!r}.{did_you_mean(key, options)}")
        _check(context, option, value, f"{where} {key} = {_shown(value)}")
        found[option.name or ""] = value if not _takes_several(option) or isinstance(value, list) else [value]
    return found


def _read(file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise click.ClickException(f"{file} is not TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file} is not TOML: it is not UTF-8") from error


def _check_tables(file: str, content: dict[str, Any]) -> None:
    names = [CLIENT_TABLE, *find_commands()]
    for name, value in content.items():
        if not isinstance(value, dict):
            raise click.ClickException(
                f"{file}: {name} = {_shown(value)} stands in no table; settings stand under [serve], [client] or "
                "another command"
            )
        if name not in names:
            raise click.ClickException(f"{file}: [{name}] is no command of rankserve.{did_you_mean(name, names)}")


def _tables_of(command: click.Command, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], dict[str, click.Option]]]:
    """The tables that a command reads and the options by key, what counts more behind what counts less."""
    options = {key_of(option): option for option in settings_of(command)}
    of_clients: dict[str, click.Option] = {
        key: option for key, option in options.items() if isinstance(option, ClientOption)
    }
    return [((CLIENT_TABLE,), of_clients), (path, options)]


def _table(file: str, content: dict[str, Any], table: tuple[str, ...]) -> dict[str, Any]:
    for depth, name in enumerate(table):
        content = content.get(name, {})
        if not isinstance(content, dict):
            raise click.ClickException(f"{file}: {'.'.join(table[: depth + 1])} should be a table of settings")
    return content


def _is_subcommand(context: click.Context, name: str) -> bool:
    return isinstance(context.command, click.Group) and name in context.command.list_commands(context)


def _check(context: click.Context, option: click.Option, value: Any, where: str) -> None:
    """Refuses a value that the command line would not take either, in TOML's own types."""
    wanted, right = _wanted(option)
    several = _takes_several(option)
    each = value if several and isinstance(value, list) else [value]
    if not all(right(one) for one in each) or (option.nargs > 1 and len(each) != option.nargs):
        count = f"a list of {option.nargs} " if option.nargs > 1 else "one or more of " if several else ""
        raise click.ClickException(f"{where}: should be {count}{wanted}")
    try:
        for one in each:
            option.type.convert(one, option, context)
    except click.BadParameter as error:
        hint = did_you_mean(str(value), _choices(option))
        raise click.ClickException(f"{where}: {error.message.rstrip('.')}.{hint}") from error


def _wanted(option: click.Option) -> tuple[str, Any]:
    """What kind of value an option takes, in words and as a test."""
    if option.is_flag:
        return "true or false", lambda value: isinstance(value, bool)
    if isinstance(option.type, click.types.IntParamType):
        return "whole number" if option.multiple else "a whole number", lambda value: type(value) is int
    if isinstance(option.type, click.types.FloatParamType):
        return "number" if option.multiple else "a number", lambda value: type(value) in (int, float)
    return "text in quotes", lambda value: isinstance(value, str)


def _takes_several(option: click.Option) -> bool:
    return option.multiple or option.nargs > 1


def _choices(option: click.Option) -> list[str]:
    return [str(choice) for choice in option.type.choices] if isinstance(option.type, click.Choice) else []


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else f"{text[:57]}..."
