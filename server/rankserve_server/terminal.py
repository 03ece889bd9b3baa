"""What the commands show beside their results."""

import sys
from collections.abc import Callable, Iterator
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


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows on a terminal how far something is; what it gives is told how much is done, and of how much."""
    if is_quiet() or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
