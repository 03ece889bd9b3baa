"""The options of `rankserve serve` that bound connections; each sets the field of `ConnectionLimits` of its name."""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click

from rankserve_server.limits import ConnectionLimits

_Command = TypeVar("_Command", bound=Callable[..., Any])

# As milliseconds they have to fit into the core's 32 bits.
_LONGEST_SECONDS = 2_000_000


class Seconds(click.FloatRange):
    """A finite number of seconds; click's own ranges let "nan" pass."""

    name = "seconds"

    def __init__(self, least: float = 0.0) -> None:
        super().__init__(least, _LONGEST_SECONDS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or one line that says why it is none."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds


_TYPES_AND_HELP: dict[str, tuple[click.IntRange | Seconds, str]] = {
    "max_connections": (
        click.IntRange(1, 2**31 - 1),
        "Connections of one process; further ones are closed at once.",
    ),
    "max_connection_streams": (
        click.IntRange(1, 2**31 - 1),
        "Calls of one connection at the same time; further ones wait in the client.",
    ),
    "max_metadata_bytes": (click.IntRange(1_024, 2**24), "Size of the metadata of one call."),
    "max_connection_age_seconds": (
        Seconds(),
        "After about so long a connection is closed, so that clients spread over servers anew. 0 for never.",
    ),
    "max_connection_age_grace_seconds": (Seconds(), "What calls of such a connection get to end."),
    "max_connection_idle_seconds": (Seconds(), "After so long without calls a connection is closed. 0 for never."),
    "keepalive_seconds": (Seconds(1.0), "After so long without a sign of life a client is asked for one."),
    "keepalive_timeout_seconds": (Seconds(0.1), "Without an answer for so long a client counts as gone."),
    "min_ping_seconds": (Seconds(), "A client that asks for signs of life more often is cut."),
}


def connection_options(command: _Command) -> _Command:
    """Adds the options to a command, which gets them one by one; see `taken_from`."""
    defaults = asdict(ConnectionLimits())
    for name, (kind, text) in reversed(_TYPES_AND_HELP.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, default=defaults[name], show_default=True, type=kind, help=text)(command)
    return command


def taken_from(options: dict[str, Any]) -> ConnectionLimits:
    """Takes the options of connections out of those of the command."""
    return ConnectionLimits(**{name: options.pop(name) for name in _TYPES_AND_HELP})
