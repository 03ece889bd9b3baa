"""What the commands show beside their results."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

_QUIET = "rankserve.quiet"


def is_quiet() -> bool:
    """Whether `--quiet` was given, which the command `rankserve` keeps for all that it runs."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(_QUIET))


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows on a terminal that something takes its time, while this is open."""
    if is_quiet() or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        yield
        return
    with console.status(what):
        yield
