"""What `--print-config` prints: a config file with every setting of a command, and where each comes from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rankserve_client.cli import config_file
from rankserve_client.cli.arguments import arguments_of
from rankserve_client.cli.setting_names import key_of, set_variable, settings_of

_COMMENT_COLUMN = 40


def printed_config(context: click.Context, path: tuple[str, ...]) -> str:
    """The settings of the running command as TOML, which `--config` reads back to the same settings."""
    typed, _, _ = context.command.make_parser(context).parse_args(list(arguments_of(context)))
    lines = [
        f"# rankserve {' '.join(path)}: every setting, and where it comes from. The command line counts before the",
        "# environment, that before the config file, and that before the default.",
        f"[{'.'.join(path)}]",
        *(_line(context, option, typed) for option in settings_of(context.command)),
    ]
    return "\n".join(lines)


def _line(context: click.Context, option: click.Option, typed: Mapping[str, Any]) -> str:
    value = _value(context, option, typed)
    if value is None or value == () or value == []:
        default = _in_words(option)
        return f"# {key_of(option)} is not set{f': {default}' if default else ''}"
    setting = f"{key_of(option)} = {_toml(value)}"
    return f"{setting:<{_COMMENT_COLUMN}}  # {_origin(context, option)}"


def _value(context: click.Context, option: click.Option, typed: Mapping[str, Any]) -> Any:
    """As it was given, and not what the command makes of it; None where it was not."""
    name = option.name or ""
    source = context.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        value = typed[name]
    elif source is ParameterSource.ENVIRONMENT:
        value = option.value_from_envvar(context)
    elif source is ParameterSource.DEFAULT_MAP:
        value = context.lookup_default(name)
    else:
        value = option.to_info_dict()["default"]
    if value is None:
        return False if option.is_flag else None
    return option.type_cast_value(context, value)


def _origin(context: click.Context, option: click.Option) -> str:
    source = context.get_parameter_source(option.name or "")
    if source is ParameterSource.COMMANDLINE:
        return "command line"
    if source is ParameterSource.ENVIRONMENT:
        return set_variable(option)
    return config_file.origin_of(context, option) if source is ParameterSource.DEFAULT_MAP else "default"


def _in_words(option: click.Option) -> str:
    """What its help says of the default that no value stands for."""
    _, found, text = (option.help or "").partition("[default: ")
    return text.partition("]")[0] if found else ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's strings are TOML's, but for one character.
    text = str(value) if isinstance(value, Path) else value
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
