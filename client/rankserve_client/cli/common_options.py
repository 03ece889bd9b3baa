"""What every command has beside its own options: a config file, environment variables, `--print-config`, `--quiet`.

A setting comes from the command line, else from its environment variable, else from the config file, else it has its
default. `prepare` gives that to any command, whichever package adds it: names follow from those of the command and
the option.
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import click

from rankserve_client.cli import config_file
from rankserve_client.cli.setting_names import ControlOption, settings_of, variables_of
from rankserve_client.cli.suggestions import did_you_mean

QUIET: Final = "rankserve.quiet"
"""In the `meta` of click's context: whether `--quiet` was given. Packages that do not import this one look there."""
_PRINT: Final = "rankserve.print_config"
_PATH: Final = "rankserve.command"

# How alike two names are, of 1, to be the same with a typo.
_NEARLY: Final = 0.9
CONFIG_VARIABLE: Final = "RANKSERVE_CONFIG"


def is_quiet() -> bool:
    """Whether the running command is to print its result and its errors only."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(QUIET))


def prepare(command: click.Command, path: tuple[str, ...]) -> click.Command:
    """Gives a command, once, the common options and its own ones their environment variables.

    Args:
        command: of any package.
        path: its name behind `rankserve`: `("models", "promote")`.
    """
    if any(isinstance(parameter, ControlOption) for parameter in command.params):
        return command
    command.params += [_config_option(path), _print_option(), _quiet_option()]
    for option in settings_of(command):
        option.envvar = variables_of(path, option)
    if command.callback is not None:
        command.callback = _printing_first(command.callback)
    return command


def _config_option(path: tuple[str, ...]) -> click.Option:
    def read(context: click.Context, _: click.Parameter, file: str | None) -> None:
        context.meta[_PATH] = path
        if not context.resilient_parsing:
            _warn_of_typos(context, path)
            config_file.use(context, path, file)

    return ControlOption(
        ["--config"],
        type=click.Path(),
        metavar="FILE",
        envvar=CONFIG_VARIABLE,
        show_envvar=True,
        is_eager=True,
        expose_value=False,
        callback=read,
        help=f"Settings from a TOML file: option = value under [{'.'.join(path)}].",
    )


def _warn_of_typos(context: click.Context, path: tuple[str, ...]) -> None:
    """Says which environment variable is no setting, but nearly is. Others there may be for other reasons."""
    known = [name for option in settings_of(context.command) for name in variables_of(path, option)]
    begin = f"{'_'.join(('rankserve', *path)).replace('-', '_').upper()}_"
    for name in sorted(os.environ.keys() - set(known)):
        meant = did_you_mean(name, known, _NEARLY) if name.startswith(begin) else ""
        if meant:
            click.echo(f"Warning: the environment variable {name} sets nothing.{meant}", err=True)


def _print_option() -> click.Option:
    def keep(context: click.Context, _: click.Parameter, wanted: bool) -> None:
        context.meta[_PRINT] = wanted

    return ControlOption(
        ["--print-config"],
        is_flag=True,
        expose_value=False,
        callback=keep,
        help="Print every setting and where it comes from, as such a file, and do nothing else.",
    )


def _quiet_option() -> click.Option:
    def keep(context: click.Context, _: click.Parameter, quiet: bool) -> None:
        context.meta[QUIET] = quiet

    return click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=keep,
        envvar="RANKSERVE_QUIET",
        help="Print the result and what is wrong, and nothing else.",
    )


def _printing_first(callback: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(callback)
    def run(*arguments: Any, **options: Any) -> Any:
        context = click.get_current_context()
        if context.meta.get(_PRINT):
            # Only now: no other run needs it.
            from rankserve_client.cli.printed_config import printed_config

            click.echo(printed_config(context, context.meta[_PATH]))
            context.exit()
        return callback(*arguments, **options)

    return run
