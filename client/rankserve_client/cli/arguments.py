"""The arguments that a command was given, as they were typed."""

from collections.abc import Sequence

import click

_META = "rankserve.arguments"


def keep_arguments(context: click.Context, arguments: Sequence[str]) -> None:
    """Keeps those of the command that is run next."""
    context.meta[_META] = tuple(arguments)


def arguments_of(context: click.Context) -> tuple[str, ...]:
    """Those of the running command."""
    arguments: tuple[str, ...] = context.meta[_META]
    return arguments
