"""What the commands print: tables for people, JSON for programs."""

import json
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rankserve_client.cli.common_options import is_quiet

# Wide enough that nothing wraps or is cut where there is no terminal whose width counts.
_PIPE_WIDTH = 10_000


def print_json(value: dict[str, Any]) -> None:
    """Prints one JSON object on one line of standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))


def console() -> Console:
    """The console on standard output: colours and the width of the screen on a terminal, plain and uncut in a pipe."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a title may have letters that the terminal's encoding has not
    # There is no stdout at all where the caller has closed it (`>&-`).
    width = None if sys.stdout and sys.stdout.isatty() else _PIPE_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)


def progress_console() -> Console:
    """The console on standard error, for what is no result; with `--quiet` it shows nothing."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False, quiet=is_quiet())


def moves(console: Console) -> bool:
    """Whether what changes in place may be shown there: not in a pipe, whatever FORCE_COLOR says of colours."""
    return console.is_interactive and console.file.isatty()


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows on a terminal that something takes its time, while this is open."""
    console = progress_console()
    if not moves(console):
        yield
        return
    with console.status(what):
        yield


def table(*columns: str, numeric: tuple[str, ...] = ()) -> Table:
    """An empty table; the columns named in `numeric` are aligned to the right."""
    result = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        result.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    return result


def printable(text: str) -> str:
    """The text without what would move the cursor or break the table."""
    return "".join(char if char.isprintable() else " " for char in text)


def cell(text: object, style: str = "") -> Text:
    """A table cell."""
    return Text(printable(str(text)), style=style)


def several(parts: list[str], console: Console) -> Text:
    """A table cell of several parts: below each other on a screen, which is narrow, and on one line in a pipe."""
    return Text(("\n" if console.is_terminal else ", ").join(map(printable, parts)))


def shortest(value: float) -> float:
    """The shortest decimal for a float of 32 bits, which scores are: 3.7 where Python would show 3.700000047683716."""
    for digits in range(6, 9):
        number = float(f"{value:.{digits}g}")
        if struct.pack("f", number) == struct.pack("f", value):
            return number
    return value
