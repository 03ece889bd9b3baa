"""What a setting is called: its key in a config file and its environment variable follow from the option's name."""

import os

import click


class ClientOption(click.Option):
    """An option that all commands have which call a server.

    It can also be set for all of them: in the table `[client]` of a config file, and by RANKSERVE_ and its name.
    """


class ControlOption(click.Option):
    """An option that says where settings come from, and is none itself."""


def settings_of(command: click.Command) -> list[click.Option]:
    """The options of a command that a config file or the environment can set."""
    options = [option for option in command.params if isinstance(option, click.Option)]
    return [option for option in options if not isinstance(option, ControlOption)]


def key_of(option: click.Option) -> str:
    """Its key in a config file: the option as it is typed, without the leading dashes."""
    names = [name for name in option.opts if name.startswith("--")] or option.opts
    return names[0].lstrip("-")


def variable_of(path: tuple[str, ...], option: click.Option) -> str:
    """Its environment variable: RANKSERVE_, the command and the option, such as RANKSERVE_SERVE_MODELS_DIR."""
    return "_".join(("rankserve", *path, key_of(option))).replace("-", "_").upper()


def variables_of(path: tuple[str, ...], option: click.Option) -> list[str]:
    """All variables that set it, what counts more before what counts less."""
    declared = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    of_all = [variable_of((), option)] if isinstance(option, ClientOption) else []
    return list(dict.fromkeys([variable_of(path, option), *of_all, *declared]))


def set_variable(option: click.Parameter) -> str:
    """The environment variable that an option has its value from."""
    names = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    return next((name for name in names if os.environ.get(name)), "")
