"""The page of the commands, from their help."""

from collections.abc import Iterator

import click

from rankserve_client.cli import main
from rankserve_client.cli.setting_names import ControlOption, key_of, variable_of

_HEAD = """# Commands and settings

Every command with its options, made from their help by `make docs`. An option of `rankserve serve` such as `--port` is
also the key `port` under `[serve]` of a config file, and the environment variable named beside it:
[command-line.md](../command-line.md) says which counts first.
"""


def commands_page() -> str:
    """The page, in Markdown."""
    lines = [_HEAD]
    with click.Context(main, info_name="rankserve") as context:
        for name in main.list_commands(context):
            lines += _command(main.get_command(context, name), (name,), context)
    return "\n".join(lines).rstrip() + "\n"


def _command(command: click.Command | None, path: tuple[str, ...], parent: click.Context) -> Iterator[str]:
    assert command is not None, path
    context = click.Context(command, info_name=path[-1], parent=parent)
    pieces = " ".join(command.collect_usage_pieces(context))
    yield from (f"## rankserve {' '.join(path)}", "", "```text", f"rankserve {' '.join(path)} {pieces}", "```", "")
    yield from (_plain((command.help or "").partition("\b")[0]), "")
    yield from ("| option | | variable |", "|---|---|---|")
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            yield _row(option, path, context)
    yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _command(command.get_command(context, name), (*path, name), context)


def _row(option: click.Option, path: tuple[str, ...], context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    names = ", ".join(f"`{name}`" for name in option.opts)
    default = ""
    extra = option.get_help_extra(context)
    if "default" in extra:
        default = f" Default: {extra['default']}."
    variable = "" if isinstance(option, ControlOption) else f"`{variable_of(path, option)}`"
    if key_of(option) == "config":
        variable = f"`{option.envvar}`"
    text = f"{_plain(option.help or '')}{default}".replace("|", "\\|").replace("<", "\\<")
    return f"| {names}{value.replace('|', ', ').replace('[', '').replace(']', '')} | {text} | {variable} |"


def _plain(text: str) -> str:
    return " ".join(text.split())
